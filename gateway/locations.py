"""Where own users can be reached now: the registrar over its store, and the live flows."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from gateway.binding_store import BindingsUnavailable, SqlBindingStore
from gateway.config.sip import Registrar
from sip.flow import Flow
from sip.message import Request, Response, response_to
from sip.registrar import RegistrarSettings, current, register
from sip.transport.transport_set import TransportSet

_log = structlog.get_logger("spingate.registration")


@dataclass(frozen=True, slots=True)
class Location:
    """One registered contact whose flow is open."""

    contact_uri: str
    flow: Flow
    q: float


class Locations:
    """Registers contacts under E.164 numbers and finds them again.

    `transports` is asked late, as the endpoint that owns them is made after call control.
    """

    def __init__(
        self,
        store: SqlBindingStore,
        settings: Registrar,
        transports: Callable[[], TransportSet],
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._settings = RegistrarSettings(
            min_expires=settings.min_expires_seconds,
            max_expires=settings.max_expires_seconds,
            default_expires=settings.max_expires_seconds,
            max_contacts=settings.max_contacts,
        )
        self._transports = transports
        self._clock = clock

    async def register(self, request: Request, number: str, flow: Flow, now: float) -> Response:
        """Carry out a REGISTER for a number (RFC 3261 section 10.3), 503 without a database."""
        token = self._transports().flow_token(flow)
        try:
            await self._make_room(number)
            return await register(
                request, number, self._store, self._settings, now=now, flow_token=token
            )
        except BindingsUnavailable as error:
            _log.error("bindings cannot be stored", culprit="database", detail=str(error))
            headers = (("Retry-After", "10"),)
            return response_to(request, 503, to_tag=secrets.token_hex(8), headers=headers)

    async def _make_room(self, number: str) -> None:
        """Forget contacts whose connection is gone where there are as many as there may be.

        Nobody can call them, and a device that reconnects from another port each time would be
        locked out by what it left behind (RFC 5626 section 6: a failed flow may be forgotten).
        """
        before = await self._store.get(number)
        if len(before) < self._settings.max_contacts:
            return
        reachable = tuple(
            binding
            for binding in before
            if self._transports().flow_of(binding.flow_token) is not None
        )
        if reachable != before:
            await self._store.replace(number, reachable, expected=before)

    async def find(self, number: str) -> list[Location]:
        """Return the reachable contacts of a number, the preferred first.

        A contact whose connection is gone cannot be called (RFC 5626 section 5.3) and is left out.
        """
        try:
            bindings = await self._store.get(number)
        except BindingsUnavailable as error:
            _log.error("bindings cannot be read", culprit="database", detail=str(error))
            return []
        found = []
        for binding in current(bindings, self._clock()):
            flow = self._transports().flow_of(binding.flow_token)
            if flow is not None:
                found.append(Location(binding.contact_uri, flow, binding.q))
        return found
