"""How a service beside the gateway runs: with the operator's listener, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Protocol

from gateway.cli.output import console, emit_json
from gateway.config.load import cannot_bind
from gateway.config.root import Admin
from gateway.operator_listener import Measured, operator_listener
from gateway.started import settle_memory


class Service(Measured, Protocol):
    """What is started and stopped."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


async def serve(
    service: Service,
    name: str,
    admin: Admin | None,
    told: str,
    *,
    as_json: bool,
    more: Callable[[], Mapping[str, object]] = dict,
    reload: Callable[[], None] | None = None,
) -> None:
    """Run a service until SIGTERM or SIGINT; SIGHUP does `reload`. Raises ConfigError.

    name: of the service in metrics; told: the line for people; more: members of the line for
    programs, asked for once it runs.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    if reload is not None:
        loop.add_signal_handler(signal.SIGHUP, reload)
    operator = None if admin is None else operator_listener(admin, service, name)
    async with AsyncExitStack() as stack:
        await service.start()
        stack.push_async_callback(service.stop)
        if operator is not None:
            try:
                await operator.start()
            except OSError as error:
                raise cannot_bind("admin.port", error) from None
            stack.push_async_callback(operator.stop)
        settle_memory()
        place: dict[str, Any] = {"address": service.listener.host, "port": service.listener.port}
        if operator is not None:
            place["admin_port"] = operator.port
        if as_json:
            emit_json({"event": "serving", **place, **more()})
        else:
            console.print(f"{told} at {place['address']}:{place['port']}", soft_wrap=True)
        await stopped.wait()
