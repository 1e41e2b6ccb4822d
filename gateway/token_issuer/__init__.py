"""The issuer of tokens as a service: keys, quotas, signing processes, HTTP (RFC 9578 section 6)."""
