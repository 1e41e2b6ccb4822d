"""DNSSEC validation from a pinned DS to a signed answer (RFC 4033-4035, 5155, 6840, 9824)."""
