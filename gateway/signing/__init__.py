"""The HTTP interface between call control and STI-AS/VS (ATIS-1000082, TS 24.229 annex V)."""
