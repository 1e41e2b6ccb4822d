"""What this room needs of STIR: somebody who signs PASSporTs and somebody who verifies them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from discovery.spin.reason import Refusal


@dataclass(frozen=True, slots=True)
class VerifiedPassport:
    """A token whose signature, chain, validity and right to use `orig` were checked.

    `certificate_names` are the dNSNames of the signer's certificate, in lower case; `until` is
    when the certificate ends, in epoch seconds.
    """

    certificate_names: tuple[str, ...]
    until: float = float("inf")


@dataclass(frozen=True, slots=True)
class Rejected:
    """A token that was not accepted.

    `reason` is FORGED (signature), UNTRUSTED_SIGNER (chain, validity, right to use the number),
    CREDENTIAL_UNAVAILABLE (could not be checked; `detail` names the culprit) or MALFORMED.
    """

    reason: Refusal
    detail: str = ""


class SigningImpossible(Exception):
    """Our own credential does not allow what was to be signed; the message says why."""


class PassportSigner(Protocol):
    """Signs for the numbers that the credential behind it covers."""

    def sign(self, ppt: str, payload: Mapping[str, object], *, x5c: bool = False) -> str:
        """Return the compact token with header alg, ppt, typ, x5u and the canonical payload.

        x5c: bring the certificates along instead of their URL. Raises SigningImpossible.
        """
        ...


class PassportVerifier(Protocol):
    """Verifies tokens; may fetch the credential, within its own time limit."""

    async def verify(
        self, token: str, *, ppt: str, orig: str, now: float
    ) -> VerifiedPassport | Rejected:
        """Check signature, chain and that the credential may speak for `orig` (digits)."""
        ...
