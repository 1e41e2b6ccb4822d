"""Configuration: one TOML file, checked whole before anything listens."""

from gateway.config.load import ConfigError, load_config
from gateway.config.root import Config

__all__ = ["Config", "ConfigError", "load_config"]
