"""Policy: peers, attestation and what a verdict means for a call."""
