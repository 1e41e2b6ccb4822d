"""Discovery: from a telephone number to URIs, by cache and SPIN."""
