"""The authoritative server of published numbers: UDP and TCP in front of a signed zone."""
