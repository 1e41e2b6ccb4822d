"""The transparency log of a directory: what was answered about an identifier was answered to all.

An RFC 9162 Merkle tree served as C2SP tiles (c2sp.org/tlog-tiles) under signed, witnessed
checkpoints. Pure: hashes, notes, proofs and decisions; files and sockets are the gateway's.
"""
