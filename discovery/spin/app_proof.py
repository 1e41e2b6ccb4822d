"""The proof that an application speaks for the domain of the URI it wants to register.

A compact JWS, `"typ":"spin-app"`, over exactly app_id, aud, nonce, number, svc and uri, by a key
published at `https://{msp}/.well-known/spin-app/{app_id}` (a JWK or a JWK Set, RFC 7517). The
nonce comes from the agent and counts once; the number and the URI are signed, so that a proof
that was made for one user cannot bind another's number, nor the domain's users to a stranger's URI.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

from discovery.spin.compact import UnverifiedJws, read_jws
from discovery.spin.handlers import Handler
from discovery.spin.reason import Refusal, Refused

TYPE: Final = "spin-app"
MAX_PROOF: Final = 2048
_CLAIMS: Final = frozenset({"app_id", "aud", "nonce", "number", "svc", "uri"})


class AppKeys(Protocol):
    """Whoever fetches an application's keys and checks signatures with them."""

    async def verify(self, token: str, *, msp: str, app_id: str) -> None:
        """Check that a key published by `msp` for `app_id` signed the token (ES256).

        Raises Refused: FORGED, CREDENTIAL_UNAVAILABLE (the detail names the culprit).
        """
        ...


@dataclass(frozen=True, slots=True)
class AppProof:
    """A proof that was read and fits a registration; its signature is not verified yet."""

    token: str = field(repr=False)
    nonce: str = field(repr=False)


def proof_key_url(msp: str, app_id: str) -> str:
    """Return where a domain publishes the keys of an application."""
    return f"https://{msp}/.well-known/spin-app/{app_id}"


def proof_claims(handler: Handler, *, audience: str, nonce: str) -> dict[str, object]:
    """Return what an application signs to register `handler` at the agent `audience`."""
    return {
        "app_id": handler.app_id,
        "aud": audience,
        "nonce": nonce,
        "number": f"+{handler.prefix}",
        "svc": [str(service) for service in handler.services],
        "uri": handler.template,
    }


def read_proof(token: str, handler: Handler, *, audience: str) -> AppProof:
    """Read a proof and hold it against the registration it came with.

    Raises Refused: OVERSIZED, MALFORMED, WRONG_TYPE, and NOT_ALLOWED for a proof of another
    registration or for another agent.
    """
    jws: UnverifiedJws = read_jws(token, max_length=MAX_PROOF)
    if jws.header != {**jws.header, "alg": "ES256", "typ": TYPE}:
        raise Refused(Refusal.WRONG_TYPE, f"proof is not an ES256 token of type {TYPE}")
    if not set(jws.header) <= {"alg", "typ", "kid"}:
        raise Refused(Refusal.WRONG_TYPE, "header members are not alg, typ, kid")
    nonce = jws.claims.get("nonce")
    if set(jws.claims) != _CLAIMS or not isinstance(nonce, str):
        raise Refused(Refusal.MALFORMED, "proof claims are not " + ", ".join(sorted(_CLAIMS)))
    if jws.claims != proof_claims(handler, audience=audience, nonce=nonce):
        raise Refused(Refusal.NOT_ALLOWED, "proof is for another registration")
    return AppProof(token, nonce)
