"""ACME for STI certificates (RFC 8555, 9447, 9448): values and procedures without I/O or clock."""
