"""A call from another provider: nothing is believed but what its Identity header proves."""

from __future__ import annotations

from typing import Any

import structlog

from gateway.asserted_headers import called_number, marked_headers
from gateway.calls.route_token import Side
from gateway.calls.setup import CallSetup
from gateway.calls.state import Direction
from gateway.calls.targets import WEBRTC
from gateway.identity import verdict_record
from gateway.policy.peers import PeerTerms
from gateway.policy.verdicts import Decision, decide
from gateway.refusal import CallRefused
from sip.uri import SipUri, parse_uri
from stir.verdict import CallVerdict

_log = structlog.get_logger("spingate.calls")


class InboundSetup(CallSetup):
    """An INVITE on a peers listener."""

    direction: Direction = "inbound"

    def _networks(self) -> dict[Side, str]:
        return {"caller": "peers", "callee": "access"}

    async def prepare(self) -> None:
        """Verify who calls, then deliver the call to the own user."""
        number = self._own_number()
        self.record.called = number
        terms = self.wiring.peers.terms(self.flow)
        self.admit(terms.name, terms.max_calls, 503)
        self.record.policy = terms.identity
        await self._verify()
        routes, media = await self.wiring.delivery.find(number, self.received.request_uri)
        exchange = await self.bridge(WEBRTC, media)
        if self.call is not None:
            self.call.exchange = exchange
        self.go(routes, exchange)

    def _own_number(self) -> str:
        """The own number that is called; a request for anyone else is not relayed."""
        uri = parse_uri(self.request.request_uri)
        if isinstance(uri, SipUri) and not (
            self.wiring.listeners.serves_domain(uri.host) or self.wiring.listeners.is_ours(uri)
        ):
            raise CallRefused(403, "Requests for other domains are not relayed")
        number = called_number(uri)
        if number is None or number not in self.wiring.numbers:
            raise CallRefused(404, "The number is not served by this provider")
        return number

    async def _verify(self) -> None:
        terms = self.wiring.peers.terms(self.flow)
        policy = terms.identity
        verdict = await self._verdict(terms)
        record: dict[str, Any] = verdict_record(verdict)
        self.record.verdict = record
        self.record.caller = record.get("orig")
        self.record.passport = record.get("passport")
        self.wiring.metrics.verdicts.labels(str(record.get("reason") or "valid")).inc()
        decision = decide(verdict, policy)
        if verdict.outcome != "valid":
            _log.warning(
                "call not verified",
                culprit=self.flow.remote.host,
                policy=policy,
                reason=record.get("reason"),
                call_id=self.received.call_id,
            )
        self._apply(decision)

    async def _verdict(self, terms: PeerTerms) -> CallVerdict:
        """The verdict on what came with the call or, where nothing did, on what lies ready."""
        out_of_band = self.wiring.out_of_band
        if out_of_band is not None and self.record.called is not None:
            verdict = await out_of_band.verify(
                self.request, dest=self.record.called, loses_identity=terms.out_of_band
            )
            if verdict is not None:
                return verdict
        verdict = await self.wiring.identity.verify(self.request)
        if out_of_band is not None:
            out_of_band.note(self.request, verdict)
        return verdict

    def _apply(self, decision: Decision) -> None:
        if decision.status is not None:
            headers = tuple(("Reason", value) for value in decision.reason_headers)
            raise CallRefused(decision.status, phrase=decision.phrase, headers=headers)
        orig = self.record.caller if decision.verstat == "TN-Validation-Passed" else None
        self.request = self.request.with_headers(
            marked_headers(self.request, decision.verstat, orig)
        )
