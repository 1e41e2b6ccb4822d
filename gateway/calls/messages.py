"""MESSAGE outside a dialog (RFC 3428): the way of a call, without a dialog or media.

Between providers it is signed with a PASSporT of type msg, bound to its body (RFC 9475 section
3.2); one of another type would stay valid while somebody changed the text.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from discovery.model import Service
from gateway.calls.inbound import InboundSetup
from gateway.calls.outbound import OutboundSetup
from gateway.calls.setup import CallSetup
from gateway.calls.targets import Route
from gateway.policy.attestation import CallDirection
from gateway.policy.callers import Caller
from gateway.policy.peers import PeerTerms
from stir.extensions.msg import MSG
from stir.reason import Reason
from stir.verdict import CallVerdict, decide

_RECORDED: Final = "message-"


class _Message(CallSetup):
    """What a message has not: an entry in the table of calls, a route of its own, an end."""

    _counted: str | None = None

    def cancel(self) -> None:
        """Nothing but an INVITE can be cancelled (RFC 3261 section 9.1)."""

    def admit(self, account: str, limit: int, status_over_limit: int) -> None:
        """Count the message; raises CallRefused where the account has too many under way."""
        self.record.account = account
        self.wiring.messages.enter(account, limit, status_over_limit)
        self._counted = account

    def _record_routes(self, route: Route) -> tuple[str, ...]:
        return ()

    def finished(self) -> None:
        """Write the record, under a direction of its own."""
        if self._counted is not None:
            self.wiring.messages.leave(self._counted)
            self._counted = None
        if not self.record.direction.startswith(_RECORDED):
            self.record.direction = _RECORDED + self.record.direction
        super().finished()


class OutboundMessage(_Message, OutboundSetup):
    """A MESSAGE on an access listener."""

    service = Service.IM

    async def _sign(self, caller: Caller, number: str, direction: CallDirection) -> None:
        if self.wiring.attestation.attested(caller, direction) is not None:
            self.request, self.record.passport = self.wiring.identity.sign_message(
                self.request, orig=caller.number, dest=number, beside=self._beside
            )

    async def _publish(self, caller: Caller, number: str, routes: list[Route]) -> None:
        """Call placement services are for calls (RFC 8816)."""


class InboundMessage(_Message, InboundSetup):
    """A MESSAGE on a peers listener."""

    async def _verdict(self, terms: PeerTerms) -> CallVerdict:
        """Where a msg PASSporT came, it decides: any other proves the sender, not the text."""
        verdict = await self.wiring.identity.verify(self.request)
        bound = tuple(
            each
            for each in verdict.verdicts
            if each.passport is not None and each.passport.ppt == MSG.ppt
        )
        if bound:
            return decide(bound)
        settings = self.wiring.config.stir.verification
        if verdict.outcome == "valid" and settings and settings.require_message_digest:
            # else a PASSporT of a call, or one that leaves msg out, would get round the policy
            return replace(verdict, outcome="invalid", reason=Reason.MESSAGE_DIGEST_MISSING)
        return verdict
