"""Mail that leaves this machine."""
