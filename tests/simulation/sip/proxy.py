"""A record-routing, forking proxy for simulations, built of nothing but the engines."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from sip.message import Request, Response, response_to
from sip.proxy_request import check_request, prepare_forward, take_route
from sip.response_context import (
    CancelBranch,
    ContextAction,
    ForwardRequest,
    ForwardResponse,
    ResponseContext,
    Target,
)
from sip.transaction.derived import cancel_for
from sip.transaction.key import ClientKey, ServerKey, TransactionKey
from sip.uri import SipUri
from tests.simulation.sip.world import Node, World

KEY = b"loop-detection-key-of-the-tests!"


class Proxy(Node):
    """Sends a request to every target its location function names, or along its Route."""

    def __init__(self, world: World, host: str, locate: Callable[[Request], list[Target]]) -> None:
        super().__init__(world, host)
        self.locate = locate
        self.contexts: dict[ServerKey, ResponseContext] = {}
        self.forwarded = 0
        self._received: dict[ServerKey, Request] = {}
        self._branches_of: dict[ClientKey, tuple[ServerKey, str]] = {}
        self._clients: dict[tuple[ServerKey, str], tuple[ClientKey, Request]] = {}
        self._ringing: set[ClientKey] = set()
        self._cancel_when_ringing: set[ClientKey] = set()

    def is_ours(self, uri: SipUri) -> bool:
        return uri.host == self.host

    def next_deadline(self) -> float:
        deadlines = [c.next_deadline() for c in self.contexts.values()]
        return min([super().next_deadline(), *(d for d in deadlines if d is not None)], default=inf)

    def wake(self) -> None:
        super().wake()
        for key, context in list(self.contexts.items()):
            self.act(key, context.expire(self.world.now))

    def on_request(self, key: ServerKey, request: Request) -> None:
        refusal = check_request(request, is_ours=self.is_ours, loop_key=KEY)
        if refusal is not None:
            answer = response_to(
                request, refusal.status, refusal.reason, to_tag="p", headers=refusal.headers
            )
            self.respond(key, answer)
            return
        routed, ours = take_route(request, is_ours=self.is_ours)
        context = self.contexts[key] = ResponseContext(request, self.timers)
        self._received[key] = routed
        targets = [Target("route", routed.request_uri)] if ours else self.locate(routed)
        self.act(key, context.start(targets, self.world.now))

    def on_cancel(self, key: ServerKey, invite_key: ServerKey | None, request: Request) -> None:
        self.respond(key, response_to(request, 200 if invite_key else 481))
        if invite_key is not None and invite_key in self.contexts:
            self.act(invite_key, self.contexts[invite_key].cancel(self.world.now))

    def on_ack(self, request: Request) -> None:
        routed, _ = take_route(request, is_ours=self.is_ours)
        prepared = prepare_forward(routed, None, loop_key=KEY)
        assert prepared.next_hop is not None
        self.send_stateless(prepared.request, prepared.next_hop.host)

    def on_response(self, key: ClientKey, response: Response) -> None:
        if key.method == "CANCEL":
            return
        if response.status_code < 200:
            self._ringing.add(key)
            if key in self._cancel_when_ringing:
                self._cancel_when_ringing.discard(key)
                self._cancel(key)
        server, branch = self._branches_of[key]
        self.act(server, self.contexts[server].response(branch, response, self.world.now))

    def on_timeout(self, key: TransactionKey) -> None:
        if isinstance(key, ClientKey) and key in self._branches_of:
            server, branch = self._branches_of[key]
            self.act(server, self.contexts[server].failed(branch, "timeout", self.world.now))

    def act(self, key: ServerKey, actions: list[ContextAction]) -> None:
        for action in actions:
            match action:
                case ForwardRequest(branch, target, breadth):
                    self._forward(key, branch, target, breadth)
                case ForwardResponse(response, _):
                    self.respond(key, response)
                case CancelBranch(branch):
                    client, _ = self._clients[key, branch]
                    if client in self._ringing:
                        self._cancel(client)
                    else:
                        self._cancel_when_ringing.add(client)

    def _forward(self, key: ServerKey, branch: str, target: Target, breadth: int) -> None:
        self.forwarded += 1
        request, suffix, next_hop = prepare_forward(
            self._received[key],
            target.uri,
            record_routes=(f"<sip:{self.host};lr>",),
            loop_key=KEY,
            max_breadth=breadth,
        )
        assert next_hop is not None
        sent = self.with_via(request, suffix)
        client = ClientKey(sent.top_via.branch or "", sent.method)
        self._branches_of[client] = (key, branch)
        self._clients[key, branch] = (client, sent)
        self.send(sent, next_hop.host)

    def _cancel(self, client: ClientKey) -> None:
        if client in self.hops:
            _, sent = self._clients[self._branches_of[client]]
            self.send(cancel_for(sent), self.hops[client])
