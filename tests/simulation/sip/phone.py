"""A telephone for simulations: calls, answers, acknowledges, cancels and hangs up."""

from __future__ import annotations

from sip.fields import NameAddr
from sip.headers import Headers
from sip.message import Request, Response, response_to
from sip.transaction.derived import cancel_for
from sip.transaction.key import ClientKey, ServerKey
from sip.uri import SipUri
from tests.simulation.sip.world import Node, World


def host_of(address: NameAddr) -> str:
    assert isinstance(address.uri, SipUri)
    return address.uri.host


class Phone(Node):
    """Rings at once, answers after `answer_after` seconds (None: never, `refuse` with a status).

    As caller it acknowledges every 2xx, hangs up `talk` seconds after the first, and keeps the
    statuses it heard.
    """

    def __init__(
        self,
        world: World,
        host: str,
        *,
        answer_after: float | None = 1.0,
        refuse: int | None = None,
        talk: float = 5.0,
    ) -> None:
        super().__init__(world, host)
        self.answer_after = answer_after
        self.refuse = refuse
        self.talk = talk
        self.heard: list[int] = []
        self.bye_answered = 0
        self.acknowledged: set[str] = set()
        self.ended: set[str] = set()
        self.cancelled: set[ServerKey] = set()
        self.answered: set[ServerKey] = set()
        self._invite: Request | None = None
        self._dialogs: dict[tuple[str, str | None], Request] = {}
        self._first_hop = ""

    # The caller.

    def call(self, uri: str, via: str, call_id: str = "call") -> Request:
        fields = Headers.of(
            ("From", f"<sip:a@{self.host}>;tag={self.host}"),
            ("To", f"<{uri}>"),
            ("Call-ID", f"{call_id}@{self.host}"),
            ("CSeq", "1 INVITE"),
            ("Max-Forwards", "70"),
            ("Contact", f"<sip:a@{self.host}>"),
        )
        self._invite = self.with_via(Request("INVITE", uri, fields))
        self._first_hop = via
        self.send(self._invite, via)
        return self._invite

    def cancel(self) -> None:
        """Give up the call, which RFC 3261 9.1 allows once it rings."""
        assert self._invite is not None
        if any(status < 200 for status in self.heard) and max(self.heard) < 200:
            self.send(cancel_for(self._invite), self._first_hop)

    def on_response(self, key: ClientKey, response: Response) -> None:
        if key.method == "BYE":
            self.bye_answered += 1
        elif key.method == "INVITE":
            if response.status_code > 100:
                self.heard.append(response.status_code)
            if 200 <= response.status_code < 300:
                self._acknowledge(response)

    def _acknowledge(self, response: Response) -> None:
        dialog = (response.call_id, response.to.tag)
        if dialog not in self._dialogs:
            self._dialogs[dialog] = self._in_dialog(response, "ACK", 1)
            bye = self._in_dialog(response, "BYE", 2)
            self.world.after(self.talk, lambda: self._send_bye(bye))
        self.send_stateless(self._dialogs[dialog], self._hop(self._dialogs[dialog]))

    def _send_bye(self, bye: Request) -> None:
        self.send(self.with_via(bye), self._hop(bye))

    def _hop(self, request: Request) -> str:
        return host_of(request.routes[0]) if request.routes else request.request_uri.split("@")[1]

    def _in_dialog(self, response: Response, method: str, cseq: int) -> Request:
        routes = [("Route", str(route)) for route in reversed(response.record_routes)]
        fields = Headers.of(
            *routes,
            ("From", response.headers.get("From") or ""),
            ("To", response.headers.get("To") or ""),
            ("Call-ID", response.call_id),
            ("CSeq", f"{cseq} {method}"),
            ("Max-Forwards", "70"),
        )
        return Request(method, str(response.contacts[0].uri), fields)

    # The callee.

    def on_request(self, key: ServerKey, request: Request) -> None:
        if request.method == "BYE":
            self.ended.add(request.call_id)
            self.respond(key, response_to(request, 200))
            return
        self.respond(key, self._answer(request, 180))
        if self.answer_after is not None:
            self.world.after(self.answer_after, lambda: self._pick_up(key, request, 0.5))

    def on_cancel(self, key: ServerKey, invite_key: ServerKey | None, request: Request) -> None:
        self.respond(key, response_to(request, 200 if invite_key else 481))
        if invite_key is not None and invite_key not in self.cancelled | self.answered:
            self.cancelled.add(invite_key)
            self.respond(invite_key, self._answer(request_of(request), 487))

    def on_ack(self, request: Request) -> None:
        self.acknowledged.add(request.call_id)

    def _pick_up(self, key: ServerKey, request: Request, interval: float) -> None:
        """Answer, and repeat a 200 until the ACK comes or 64*T1 have passed (13.3.1.4)."""
        if key in self.cancelled or request.call_id in self.acknowledged or interval > 64:
            return
        self.answered.add(key)
        self.respond(key, self._answer(request, self.refuse or 200))
        if self.refuse is None:
            self.world.after(min(interval, 4.0), lambda: self._pick_up(key, request, 2 * interval))

    def _answer(self, request: Request, status: int) -> Response:
        recorded = [("Record-Route", value) for value in request.headers.all("Record-Route")]
        contact = ("Contact", f"<sip:b@{self.host}>")
        return response_to(request, status, to_tag=self.host, headers=(*recorded, contact))


def request_of(cancel: Request) -> Request:
    """Return what stands in for the INVITE of a CANCEL in building its 487."""
    headers = cancel.headers.replace("CSeq", f"{cancel.cseq.number} INVITE")
    return Request("INVITE", cancel.request_uri, headers)
