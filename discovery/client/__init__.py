"""Clients of discovery's HTTP interfaces without I/O: requests to send, answers to read."""
