"""Whether every configured port can be bound, before anything listens."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from gateway.config.load import ConfigError
from gateway.config.root import Config


@dataclass(frozen=True, slots=True)
class Port:
    """One port of the configuration with the path of its key."""

    key: str
    kind: Literal["udp", "tcp"]
    address: str
    port: int


def configured_ports(config: Config) -> Iterator[Port]:
    """Return every fixed port a gateway of this configuration binds."""
    for index, listener in enumerate(config.listen):
        kind: Literal["udp", "tcp"] = "udp" if listener.transport == "udp" else "tcp"
        yield Port(f"listen[{index}].port", kind, listener.address, listener.port)
    if config.spin is not None:
        yield Port("spin.port", "tcp", config.spin.address, config.spin.port)
        if config.spin.agent is not None:
            agent = config.spin.agent
            yield Port("spin.agent.port", "tcp", agent.address, agent.port)
    if config.stir.repository is not None:
        repository = config.stir.repository
        yield Port("stir.repository.port", "tcp", repository.address, repository.port)
    if config.admin is not None:
        yield Port("admin.port", "tcp", config.admin.address, config.admin.port)


def check_ports(config: Config) -> None:
    """Bind and release every port; raises ConfigError for the first that is busy or not ours."""
    taken: dict[tuple[str, str, int], str] = {}
    for port in configured_ports(config):
        place = (port.kind, port.address, port.port)
        if place in taken:
            raise ConfigError(port.key, f"{port.address}:{port.port} is also {taken[place]}")
        taken[place] = port.key
        _try_bind(port)


def _try_bind(port: Port) -> None:
    family = socket.AF_INET6 if ":" in port.address else socket.AF_INET
    kind = socket.SOCK_DGRAM if port.kind == "udp" else socket.SOCK_STREAM
    with socket.socket(family, kind) as probe:
        if port.kind == "tcp":
            # As the servers do: a port whose last connections linger in TIME_WAIT is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((port.address, port.port))
        except OSError as error:
            raise ConfigError(
                port.key, f"cannot bind {port.kind} {port.address}:{port.port} ({error.strerror})"
            ) from None
