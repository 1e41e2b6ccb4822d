"""SPIN: a signed invitation sent to a number by SMS, a signed answer by HTTPS."""
