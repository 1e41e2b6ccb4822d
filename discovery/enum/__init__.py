"""ENUM (RFC 6116): numbers in private DNS trees, NAPTR rules, DNSSEC validation, publishing."""
