"""A call from another provider: nothing is believed but what its Identity header proves."""

from __future__ import annotations

from typing import Any

import structlog

from gateway.asserted_headers import called_number, is_anonymous, marked_headers
from gateway.call_facts import asserted_as_shown
from gateway.calls.route_token import Side
from gateway.calls.setup import CallSetup
from gateway.calls.state import MAX_FORKS, Direction
from gateway.calls.targets import WEBRTC
from gateway.identity import check_records, verdict_record
from gateway.policy.peers import PeerTerms
from gateway.policy.verdicts import Decision, decide, decide_stated
from gateway.policy.verstat import PASSED, Mark, stated
from gateway.refusal import CallRefused
from sip.message import Response
from sip.uri import SipUri, parse_uri
from stir.verdict import CallVerdict

_log = structlog.get_logger("spingate.calls")


class InboundSetup(CallSetup):
    """An INVITE on a peers listener."""

    direction: Direction = "inbound"
    _found: CallVerdict | None = None

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._answers: dict[str, str | None] = {}  # by To tag: a repeated answer is the same

    def _networks(self) -> dict[Side, str]:
        return {"caller": "peers", "callee": "access"}

    async def prepare(self) -> None:
        """Verify who calls, then deliver the call to the own user."""
        number = self._own_number()
        self.record.called = number
        terms = self.wiring.peers.terms(self.flow)
        self.admit(terms.name, terms.max_calls, 503)
        self.record.policy = terms.identity
        self._refuse_anonymous(number, terms)
        mark = await self._verified(terms)
        await self._show_caller(terms)
        found = await self.wiring.delivery.find(number, self.received.request_uri)
        self._tell(mark, found.verstat)
        exchange = await self.bridge(WEBRTC, found.media)
        if self.call is not None:
            self.call.exchange = exchange
        self.go(found.routes, exchange)

    def leaving(self, response: Response) -> Response:
        """Say in the answer, signed, who answered; to a caller who proved a number himself."""
        settings = self.wiring.config.stir.authentication
        proven = self._found is not None and self._found.outcome == "valid"
        wanted = settings is not None and settings.sign_answers and proven
        if not wanted or not 200 <= response.status_code < 300:
            return response
        if self.record.caller is None or self.record.called is None:
            return response
        tag = response.to.tag or ""
        if tag not in self._answers and len(self._answers) < MAX_FORKS:
            self._answers[tag] = self.wiring.identity.sign_response(
                response, orig=self.record.caller, dest=self.record.called
            )
        signed = self._answers.get(tag)
        if signed is None:
            return response
        return response.with_headers(response.headers.append("Identity", signed))

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

    def _refuse_anonymous(self, number: str, terms: PeerTerms) -> None:
        """Refuse a caller who is not shown where peer or called user want none (RFC 5079)."""
        if not is_anonymous(self.request):
            return
        owner = self.wiring.callers.owner(number)
        if owner is not None and owner.refuse_anonymous:
            raise CallRefused(433)
        if terms.refuse_anonymous:
            if terms.identity != "observe":
                raise CallRefused(433)
            self._observe(433)

    async def _verified(self, terms: PeerTerms) -> Mark | None:
        """Verify the Identity, or take the word of a peer that is trusted to have done it."""
        if terms.trust_verstat and "Identity" not in self.request.headers:
            mark = stated(self.request.headers)
            # what was found of the asserted number is not to be shown of another one in From
            if mark is not None and (mark.verstat != PASSED or asserted_as_shown(self.request)):
                self.record.verdict = {"outcome": "stated", "verstat": mark.verstat}
                return self._decided(decide_stated(mark.verstat, terms.identity), mark)
        verdict = self._found = await self._verdict(terms)
        record: dict[str, Any] = verdict_record(verdict)
        self.record.verdict = record
        self.record.caller = record.get("orig")
        self.record.passport = record.get("passport")
        self.wiring.metrics.verdicts.labels(str(record.get("reason") or "valid")).inc()
        if verdict.outcome != "valid":
            _log.warning(
                "call not verified",
                culprit=self.flow.remote.host,
                policy=terms.identity,
                reason=record.get("reason"),
                call_id=self.received.call_id,
            )
        mark = Mark(verdict.verstat, verdict.attest, verdict.origid)
        return self._decided(decide(verdict, terms.identity), mark)

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

    def _decided(self, decision: Decision, mark: Mark) -> Mark | None:
        """Return the mark for the device, None where policy wants none; raises CallRefused."""
        if decision.status is not None:
            headers = tuple(("Reason", value) for value in decision.reason_headers)
            raise CallRefused(decision.status, phrase=decision.phrase, headers=headers)
        if decision.would_refuse is not None:
            self._observe(decision.would_refuse)
        return None if decision.verstat is None else mark

    async def _show_caller(self, terms: PeerTerms) -> None:
        """Leave of name, Call-Info and priority what is verified, and add what was signed.

        Not where policy only observes, nor where the peer is trusted to have done it.
        """
        display, found = self.wiring.caller_display, self._found
        if display is None or found is None or terms.identity == "observe":
            return
        headers, checks = await display.shown(self.request, found)
        self.request = self.request.with_headers(headers)
        if checks and self.record.verdict is not None:
            self.record.verdict["caller_data"] = check_records(checks)

    def _observe(self, status: int) -> None:
        """Write down what a strict policy would have answered."""
        if self.record.would_refuse is None:
            self.record.would_refuse = status
            self.wiring.metrics.spared.labels(str(status)).inc()

    def _tell(self, mark: Mark | None, dialect: str | None) -> None:
        passed = mark is not None and mark.verstat == PASSED
        dialects = self.wiring.dialects
        self.request = self.request.with_headers(
            marked_headers(
                self.request,
                mark,
                self.record.caller if passed else None,
                dialects,
                dialects.named(dialect),
            )
        )
