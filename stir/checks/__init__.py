"""The checks of RFC 8224 section 6.2, one function a step, and what they work on."""
