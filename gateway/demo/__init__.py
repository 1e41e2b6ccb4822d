"""The two-provider scene on loopback; nothing else imports it."""
