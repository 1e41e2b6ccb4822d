"""Multimedia messages that carry invitations."""
