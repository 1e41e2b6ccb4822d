"""Addresses of a scene: a /24 of loopback that nobody else uses."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable
from typing import Final

_ATTEMPTS: Final = 200
# 127.0 is what everybody uses, 127.1 what people type by hand.
_FIRST, _LAST = 16, 250


class NoFreePrefix(OSError):
    """No /24 of loopback was free; another program holds the ports everywhere."""


def choose_prefix(ports: Iterable[tuple[int, int]], rand: random.Random | None = None) -> str:
    """Return a prefix such as "127.61.7" whose given ports are all free.

    `ports` are (last octet, TCP port). Raises NoFreePrefix, or OSError where loopback has no
    address but 127.0.0.1.
    """
    wanted = tuple(ports)
    chance = rand or random.SystemRandom()
    for _ in range(_ATTEMPTS):
        prefix = f"127.{chance.randint(_FIRST, _LAST)}.{chance.randint(0, 255)}"
        if all(_is_free(f"{prefix}.{host}", port) for host, port in wanted):
            return prefix
    raise NoFreePrefix("no /24 of 127.0.0.0/8 has the scene's ports free")


def _is_free(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
        return True
