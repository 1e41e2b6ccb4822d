"""Chains of diversions of any shape, signed by one credential for all numbers, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from stir.authentication import AuthenticationService
from stir.certificates.certificate import Credential, load_credential
from stir.certificates.issuing import issue_sti_certificate
from stir.certificates.tn_auth_list import Range, TnAuthList
from stir.replay import ReplayCache
from stir.verdict import CallVerdict
from stir.verification import CallFacts, VerificationPolicy, VerificationService
from tests.support.stir_authority import FACTS, HEADER, NOW, ORIG, URL, StirWorld, shaken_claims

# 12125550100 and on: the call is made to the first, and diverted from one to the next.
NUMBERS = tuple(f"121255501{place:02d}" for place in range(100))


def called(number: str, **changes: Any) -> CallFacts:
    """The facts of the request as it arrives: To is what the caller dialled."""
    to, target = f"sip:+{NUMBERS[0]}@beta.example", f"sip:+{number}@gamma.example;user=phone"
    return replace(FACTS, **{"dest_candidates": (to, target), **changes})


@dataclass
class Forwarders:
    """A world in which everybody has authority over every number of the tests."""

    world: StirWorld = field(default_factory=StirWorld)
    credential: Credential = field(init=False)
    service: AuthenticationService = field(init=False)

    def __post_init__(self) -> None:
        granted = TnAuthList((Range(ORIG, 100), Range(NUMBERS[0], 100)))
        issued = issue_sti_certificate(self.world.issuer, granted, NOW)
        assert issued.key_pem is not None
        self.service = AuthenticationService(issued.key_pem, issued.chain_pem, URL)
        self.world.key = self.service._key
        self.world.signer = self.service
        self.credential = self.world.credential = load_credential(issued.chain_pem)

    def original(self, to: str = NUMBERS[0], *, url: str = URL, **changes: Any) -> str:
        """The shaken Identity value of the call as it was made."""
        claims = shaken_claims(**{"dest": {"tn": [to]}, **changes})
        return self._value({**HEADER, "x5u": url}, claims, url)

    def div(self, left: str, to: str, *, url: str = URL, **changes: Any) -> str:
        """The Identity value of one diversion."""
        return self._value(
            {**HEADER, "ppt": "div", "x5u": url}, self.div_claims(left, to, **changes), url
        )

    def div_o(self, left: str, to: str, held: str, *, url: str = URL, **changes: Any) -> str:
        """A div-o on top of an Identity value."""
        claims = self.div_claims(left, to, **{"opt": held.partition(";")[0], **changes})
        return self._value({**HEADER, "ppt": "div-o", "x5u": url}, claims, url)

    def div_claims(self, left: str, to: str, **changes: Any) -> dict[str, Any]:
        """The claims of one diversion, or some changed; None leaves one out."""
        claims: dict[str, Any] = {
            "dest": {"tn": [to]},
            "div": {"tn": left},
            "iat": int(NOW),
            "orig": {"tn": ORIG},
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def chain(self, length: int) -> list[str]:
        """An original and so many diversions, each to the next number."""
        divs = [self.div(NUMBERS[at], NUMBERS[at + 1]) for at in range(length)]
        return [self.original(), *divs]

    def nested(self, length: int) -> str:
        """The same as one div-o."""
        value = self.original()
        for at in range(length):
            value = self.div_o(NUMBERS[at], NUMBERS[at + 1], value)
        return value

    def verifier(
        self, policy: VerificationPolicy | None = None, replay: ReplayCache | None = None
    ) -> VerificationService:
        return self.world.service(policy, replay)

    def verify(
        self,
        values: Sequence[str],
        number: str,
        *,
        policy: VerificationPolicy | None = None,
        service: VerificationService | None = None,
        **facts: Any,
    ) -> CallVerdict:
        """Verify a request to a number, with the credential at hand for every URL."""
        service = service or self.verifier(policy)
        begun = service.begin(values, called(number, **facts), NOW, lambda _url: True)
        return service.conclude(begun, dict.fromkeys(begun.needed, self.credential), NOW)

    def _value(self, header: dict[str, Any], claims: dict[str, Any], url: str) -> str:
        return f"{self.world.token(header, claims)};info=<{url}>;alg=ES256;ppt={header['ppt']}"


def codes(verdict: CallVerdict) -> list[str | None]:
    """The Reason of every Identity header field, None where it is valid."""
    return [each.reason.code if each.reason else None for each in verdict.verdicts]
