"""STI certificates: reading, paths, authority over numbers, issuing, and what is fetched."""
