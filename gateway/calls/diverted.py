"""A call that an own PBX forwards: the caller stays who it was, and who forwarded is signed.

The PBX sends the call on with the caller's From and the Identity header fields it was given. They
are verified as they were for the PBX's number; then a div PASSporT says that this number sent the
call on to another one (RFC 8946 section 4.1). Nothing is signed on top of what is not valid.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import structlog

from gateway.asserted_headers import marked_headers, own_headers
from gateway.call_facts import identity_values
from gateway.caller_data import without_priorities
from gateway.calls.outbound import OutboundSetup
from gateway.calls.targets import WEBRTC
from gateway.calls.wiring import Wiring
from gateway.config.base import NumberSet
from gateway.config.sip import Trunk
from gateway.identity import verdict_record
from gateway.numbers import dialled_number
from gateway.policy.callers import Caller
from gateway.policy.verstat import Mark
from gateway.refusal import CallRefused
from sip.fields import parse_name_addrs
from sip.flow import Flow
from sip.message import Request
from stir.extensions.div_signing import open_ends
from stir.identity import MalformedIdentity, parse_identity
from stir.passport import MalformedPassport, Passport, parse_passport
from stir.reason import Reason
from stir.rich_call_data import verified_priorities
from stir.telephone_number import number_of
from stir.verdict import CallVerdict

# RFC 5806, which most PBXs send, before RFC 7044; a few entries tell all that is asked for.
_HISTORY: Final = ("Diversion", "History-Info")
_MAX_ENTRIES: Final = 16
_MAX_IDENTITIES: Final = 8
_log = structlog.get_logger("spingate.calls")


def diverting_trunk(wiring: Wiring, request: Request, flow: Flow) -> Trunk | None:
    """Return the trunk that forwards this call, None where the call is its own.

    A trunk with `may_divert` forwards what has Identity header fields and a From that is not one of
    its numbers: those it calls from are signed afresh.
    """
    trunk = wiring.callers.trunk(flow)
    if trunk is None or not trunk.may_divert or not identity_values(request):
        return None
    shown = number_of(str(request.from_.uri)) or ""
    own, region = wiring.callers.numbers_of(trunk), wiring.config.provider.region
    return None if f"+{shown}" in own or dialled_number(shown, region) in own else trunk


class DivertedSetup(OutboundSetup):
    """An INVITE on an access listener, of a call that did not begin there."""

    _verdict: CallVerdict
    _div: str

    async def prepare(self) -> None:
        """Verify the call as it came to the PBX, then send it on with a div PASSporT."""
        trunk = diverting_trunk(self.wiring, self.received, self.flow)
        assert trunk is not None
        self._div = diverting_number(self.received, self.wiring.callers.numbers_of(trunk))
        number = self._dialled()
        self.record.diverted_from, self.record.called = self._div, number
        if not number.startswith(trunk.allow_prefixes):
            raise CallRefused(403, "This trunk may not call that prefix")
        if number in self.wiring.numbers:
            self.direction = self.record.direction = "local"
        self.admit(trunk.name, trunk.max_calls, 403)
        orig = await self._verified()
        caller = self.wiring.callers.caller_through(trunk, orig, self.flow)
        if self.direction == "local":
            await self._stay(caller, number)
        else:
            await self._leave(caller, number)

    async def _verified(self) -> str:
        """Verify the received Identity and return the number of who calls; raises CallRefused."""
        self._verdict = verdict = await self.wiring.identity.verify_diverted(
            self.received, self._div
        )
        record = verdict_record(verdict)
        self.record.verdict = record
        self.record.caller = orig = record["orig"]
        self.wiring.metrics.verdicts.labels(str(record["reason"] or "valid")).inc()
        if verdict.outcome != "valid":
            reason = verdict.reason or Reason.IDENTITY_MISSING
            _log.warning(
                "forwarded call not verified",
                culprit=self.flow.remote.host,
                reason=reason.code,
                call_id=self.received.call_id,
            )
            headers = tuple(("Reason", value) for value in verdict.reason_headers)
            raise CallRefused(reason.sip_status, phrase=reason.phrase, headers=headers)
        if orig is None:
            raise CallRefused(403, "The caller of a diverted call has to be a telephone number")
        return str(orig)

    async def _stay(self, caller: Caller, number: str) -> None:
        """Deliver it to an own user, marked as a call from outside is.

        The div goes along: an own PBX may forward the call once more.
        """
        self._refuse_anonymous(number)
        found = await self.wiring.delivery.find(number, self.received.request_uri)
        exchange = await self._bridge(caller, found.media)
        if self.wiring.caller_display is not None:
            shown, _ = await self.wiring.caller_display.shown(self.request, self._verdict)
            self.request = self.request.with_headers(shown)
        dialects = self.wiring.dialects
        mark = Mark(self._verdict.verstat, self._verdict.attest, self._verdict.origid)
        dialect = dialects.named(found.verstat)
        request, passport = self.wiring.identity.divert(
            self.request, self._verdict, div=self._div, dest=number
        )
        self.record.passport = passport
        headers = marked_headers(request, mark, caller.number, dialects, dialect)
        self.request = request.with_headers(headers)
        self.go(found.routes, exchange)

    async def _leave(self, caller: Caller, number: str) -> None:
        domain = self.wiring.config.provider.domain
        headers = own_headers(self.request.headers, caller.number, domain, self.wiring.dialects)
        values, psap_callback = verified_priorities(self._verdict)
        headers = without_priorities(headers, values, psap_callback=psap_callback)
        for value in identity_values(self.received):
            headers = headers.append("Identity", value)
        self.request = self.request.with_headers(headers)
        # Who asks for the new number is who forwards: ours is no word for the foreign caller's.
        routes = await self._resolve(replace(caller, number=self._div), number)
        exchange = await self._bridge(caller, WEBRTC)
        self.request, self.record.passport = self.wiring.identity.divert(
            self.request, self._verdict, div=self._div, dest=number
        )
        self.go(routes, exchange)


def diverting_number(request: Request, own: NumberSet) -> str:
    """Return the own number that forwards, in E.164; raises CallRefused with 403.

    It is the one the received PASSporTs lead to. Diversion or History-Info, where the PBX sends
    them, have to agree, and choose where the PASSporTs name several own numbers.
    """
    ends = {f"+{end}" for end in open_ends(_passports(request)) if f"+{end}" in own}
    stated = _stated(request)
    chosen = ends & stated if stated else ends
    if len(chosen) == 1:
        return chosen.pop()
    if not ends:
        raise CallRefused(403, "The received Identity is for none of the trunk's numbers")
    if not chosen:
        raise CallRefused(403, "Diversion names another number than the received Identity")
    raise CallRefused(403, "The received Identity is for several numbers: send Diversion")


def _passports(request: Request) -> list[Passport]:
    """What can be read of the received PASSporTs; what cannot fails when it is verified."""
    found = []
    for value in identity_values(request)[:_MAX_IDENTITIES]:
        try:
            found.append(parse_passport(parse_identity(value).token))
        except (MalformedIdentity, MalformedPassport):
            continue
    return found


def _stated(request: Request) -> set[str]:
    """The numbers the PBX says have forwarded the call: the latest Diversion, or History-Info's."""
    for name in _HISTORY:
        values = request.headers.all(name)[:_MAX_ENTRIES]
        if not values:
            continue
        entries = parse_name_addrs(name, values)[:_MAX_ENTRIES]
        numbers = [number_of(str(entry.uri)) for entry in entries]
        return {
            f"+{number}" for number in (numbers[:1] if name == "Diversion" else numbers) if number
        }
    return set()
