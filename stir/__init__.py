"""STIR: PASSporTs, Identity, STI certificates, authentication and verification services."""
