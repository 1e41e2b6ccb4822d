"""SPIN in the gateway: its engines joined with STIR, HTTP and short messages."""
