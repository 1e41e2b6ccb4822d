"""A conformance suite for STI services: good and bad PASSporTs, and what became of each."""
