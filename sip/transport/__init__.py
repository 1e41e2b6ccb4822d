"""UDP, TCP and TLS transports; the only sockets of the sip room."""
