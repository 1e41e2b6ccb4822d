"""A SIP endpoint without transports: what is sent is kept, what comes back a test decides."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from sip.client_transaction import Cause, ClientEvent, FailedEvent, ResponseEvent
from sip.flow import Hop
from sip.message import Request, Response, response_to
from sip.transaction.key import ServerKey
from tests.support.fake_media import SDP_TYPE
from tests.support.virtual_loop import VirtualLoop

OUR_VIA = "SIP/2.0/TLS gateway.invalid;branch=z9hG4bK"


class Sent:
    """One request that left, with the means to answer it as its receiver would."""

    def __init__(
        self,
        request: Request,
        hops: Sequence[Hop],
        on_event: Callable[[ClientEvent], None] | None,
        loop: VirtualLoop,
    ) -> None:
        self.request = request
        self._loop = loop
        self.hops = tuple(hops)
        self.cancelled = False
        self._on_event = on_event

    def cancel(self, headers: Sequence[tuple[str, str]] = ()) -> None:
        self.cancelled = True

    def response(
        self,
        status: int,
        *,
        tag: str = "callee",
        body: bytes = b"",
        headers: Sequence[tuple[str, str]] = (),
    ) -> Response:
        """A response of the receiver, with the dialog's header fields (RFC 3261 12.1.1)."""
        fields = [*headers]
        if 100 < status < 300:
            fields += [("Record-Route", str(route)) for route in self.request.record_routes]
            fields.append(("Contact", f"<sip:{tag}@192.0.2.77:5060>"))
        if body:
            fields.append(SDP_TYPE)
        to_tag = None if status == 100 else tag
        response = response_to(self.request, status, to_tag=to_tag, headers=fields)
        return response.with_body(body, SDP_TYPE[1]) if body else response

    def answer(
        self,
        status: int,
        *,
        tag: str = "callee",
        body: bytes = b"",
        headers: Sequence[tuple[str, str]] = (),
        settle: bool = True,
    ) -> None:
        """Let a response arrive from the first hop."""
        response = self.response(status, tag=tag, body=body, headers=headers)
        self.deliver(response, settle=settle)

    def deliver(self, response: Response, *, settle: bool = True) -> None:
        """Let any response arrive from the first hop."""
        self._tell(ResponseEvent(response, self.hops[0], None), settle=settle)

    def fail(self, cause: Cause = "timeout") -> None:
        """Let the client transaction end without a response."""
        self._tell(FailedEvent(cause, f"test: {cause}"))

    def _tell(self, event: ClientEvent, *, settle: bool = True) -> None:
        tell = self._on_event
        assert tell is not None, "nobody waits for a response to this"
        self._loop.do(lambda: tell(event), settle=settle)


class FakeEndpoint:
    """What call control needs of `sip.endpoint.Endpoint`, and a `Responder` besides."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.sent: list[Sent] = []
        self.responses: dict[ServerKey, list[Response]] = {}
        self._count = itertools.count(1)

    def send(
        self,
        request: Request,
        hops: Sequence[Hop],
        on_event: Callable[[ClientEvent], None],
        *,
        branch_suffix: str = "",
    ) -> Sent:
        return self._keep(request, hops, on_event, branch_suffix)

    def send_stateless(self, request: Request, hop: Hop, *, branch_suffix: str = "") -> None:
        self._keep(request, [hop], None, branch_suffix)

    def respond(self, key: ServerKey, response: Response) -> None:
        self.responses.setdefault(key, []).append(response)

    def _keep(
        self,
        request: Request,
        hops: Sequence[Hop],
        on_event: Callable[[ClientEvent], None] | None,
        suffix: str,
    ) -> Sent:
        via = f"{OUR_VIA}{next(self._count)}{suffix}"
        request = request.with_headers(request.headers.prepend("Via", via))
        sent = Sent(request, hops, on_event, self._loop)
        self.sent.append(sent)
        return sent
