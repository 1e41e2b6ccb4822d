"""The operator's listener of a service beside the gateway: metrics and health, by bearer token."""

from __future__ import annotations

from typing import Protocol

from prometheus_client import ProcessCollector

from gateway.config.files import read_secret
from gateway.config.root import Admin
from gateway.http.admin import service_application
from gateway.http.listener import HttpListener
from gateway.metrics import Exposition


class Measured(Protocol):
    """A service that says how it is."""

    @property
    def listener(self) -> HttpListener: ...

    def measure(self, exposition: Exposition) -> None:
        """Add what can be counted; nothing that was asked for, and nobody who asked."""
        ...

    def health(self) -> str:
        """Return "ok", or what is wrong in a word or two."""
        ...


def operator_listener(admin: Admin, service: Measured, name: str) -> HttpListener:
    """Return the listener, not started; metrics begin with `spingate_` and the service's name.

    Raises ConfigError where there is no credential.
    """
    token = read_secret(admin.token, admin.token_file, "admin.token")
    exposition = Exposition(f"spingate_{name}")
    ProcessCollector(registry=exposition.registry)
    listener = service.listener
    exposition.gauge("connections", "Connections open", lambda: listener.connections)
    exposition.counts(
        "connections_refused",
        "Connections beyond a limit, closed at once",
        (),
        lambda: {(): listener.refused_connections},
    )
    service.measure(exposition)
    application = service_application(token, exposition.exposition, service.health)
    return HttpListener(application, admin.address, admin.port, tls=None)
