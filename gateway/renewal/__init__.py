"""Certificates of our own: ordered, published, switched to, and renewed before they expire."""
