"""The directory service: what it keeps, its HTTP interfaces, and the authority beside it."""
