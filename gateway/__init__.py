"""The only glue: configuration, call control, policy, HTTP APIs, command line and demo."""

__version__ = "0.1.0"
