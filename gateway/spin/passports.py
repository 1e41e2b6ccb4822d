"""STIR's services as SPIN asks for them."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from discovery.spin.compact import read_passport
from discovery.spin.passports import Rejected, SigningImpossible, VerifiedPassport
from discovery.spin.reason import Refusal, Refused
from gateway.http.agent_calls import SigningRefused
from gateway.http.credentials import CertificateSource
from gateway.revocation import RevocationService
from stir.authentication import AuthenticationService, CannotSign, SigningRequest
from stir.certificates.certificate import (
    Credential,
    CredentialUnavailable,
    MalformedCredential,
    load_credential,
)
from stir.certificates.tn_auth_list import One
from stir.media_keys import read_media_keys
from stir.passport import MalformedPassport
from stir.reason import Reason
from stir.verification import Verdict, VerificationPolicy, verify_token

# SPIN judges age itself, by service: for im an invitation may be three days old.
_OLDEST: Final = 72 * 3600 + 60.0
KEY_PPT: Final = "spin-key"
_FORGED: Final = frozenset({Reason.SIGNATURE_INVALID})
_MALFORMED: Final = frozenset(
    {Reason.PASSPORT_MALFORMED, Reason.CLAIM_MISSING, Reason.CLAIM_MALFORMED, Reason.WRONG_TYPE}
)


class StirSigner:
    """A PassportSigner: signs with the provider's STI certificate."""

    def __init__(self, service: AuthenticationService) -> None:
        self._service = service

    def sign(self, ppt: str, payload: Mapping[str, object], *, x5c: bool = False) -> str:
        try:
            return self._service.sign_passport({"ppt": ppt}, payload, x5c=x5c)
        except MalformedPassport:
            # What it says quotes claims, and with them numbers.
            raise SigningImpossible(f"its constraints do not permit a {ppt} PASSporT") from None


class StirCallSigner:
    """A CallSigner: PASSporTs for the applications of the agent's users."""

    def __init__(self, service: AuthenticationService) -> None:
        self._service = service

    def identity(self, orig: str, dest: str, now: float, media_keys: object) -> str:
        fingerprints = frozenset[tuple[str, str]]()
        if media_keys is not None:
            read = read_media_keys(media_keys)
            if read is None:
                raise SigningRefused("mky is not a list of {alg, dig} (RFC 8225 5.2.2)")
            fingerprints = read
        try:
            return self._service.sign(
                SigningRequest(orig, (dest,), int(now), fingerprints=tuple(sorted(fingerprints)))
            )
        except (CannotSign, ValueError) as error:
            raise SigningRefused(str(error)) from None

    def key_attestation(self, orig: str, kind: str, jkt: str, now: float, expires: float) -> str:
        payload = {
            # Base claims of every PASSporT (RFC 8225 5.2); a key is attested to whoever asks, so
            # the number stands on both sides.
            "dest": {"tn": [orig]},
            "exp": int(expires),
            "iat": int(now),
            "jkt": jkt,
            "kind": kind,
            "orig": {"tn": orig},
        }
        try:
            return self._service.sign_passport({"ppt": KEY_PPT}, payload)
        except MalformedPassport as error:
            raise SigningRefused(str(error)) from None


class StirVerifier:
    """A PassportVerifier: fetches the credential and has STIR check the token.

    anchors: trusted roots. accept_ranges: whether a certificate for a range, not just for the one
    number, may speak for it; provider codes never do. extra_ports: besides 443 and 8443 in x5u.
    revocation: what is known of revoked certificates, and has it fetched.
    """

    def __init__(
        self,
        certificates: CertificateSource,
        anchors: Sequence[x509.Certificate],
        *,
        accept_ranges: bool = False,
        extra_ports: frozenset[int] = frozenset(),
        revocation: RevocationService | None = None,
    ) -> None:
        self._certificates = certificates
        self._revocation = revocation
        self._anchors = tuple(anchors)
        self._accept_ranges = accept_ranges
        self._policy = VerificationPolicy(
            freshness=_OLDEST,
            accept_service_provider_codes=frozenset(),
            extra_ports=extra_ports,
        )

    def replace_anchors(self, anchors: Sequence[x509.Certificate]) -> None:
        """Trust these roots from now on and no others."""
        self._anchors = tuple(anchors)

    async def verify(
        self, token: str, *, ppt: str, orig: str, now: float
    ) -> VerifiedPassport | Rejected:
        try:
            passport = read_passport(token, ppt, max_length=len(token), x5c=True)
        except Refused as refused:
            return Rejected(Refusal.MALFORMED, refused.detail)
        if passport.claims.get("orig") != {"tn": orig}:
            return Rejected(Refusal.UNTRUSTED_SIGNER, "signed for another number")
        credential: Credential | CredentialUnavailable
        if passport.x5c:
            try:
                credential = _carried(passport.x5c)
            except (MalformedCredential, ValueError):
                return Rejected(Refusal.MALFORMED, "x5c holds what are no certificates")
        else:
            credential = await self._certificates.get(passport.x5u)
        if self._revocation is not None:
            await self._revocation.prepare((credential,))
        verdict = verify_token(
            token,
            now=now,
            revocation=None if self._revocation is None else self._revocation.records,
            credential=credential,
            anchors=self._anchors,
            ppt=ppt,
            policy=replace(self._policy, accept_x5c=bool(passport.x5c)),
        )
        if verdict.outcome != "valid" or not isinstance(credential, Credential):
            return _rejected(verdict)
        if not self._accept_ranges and not _names_just(credential, orig):
            return Rejected(Refusal.UNTRUSTED_SIGNER, "certificate is not for just this number")
        return VerifiedPassport(_dns_names(credential), credential.not_after)


def _rejected(verdict: Verdict) -> Rejected:
    reason = verdict.reason
    check = next((check for check in verdict.checks if check.reason is reason), None)
    # Numbers stand in what a check got; the step and its code say enough.
    detail = f"{check.step}: {reason.code}" if check and reason else str(verdict.outcome)
    if verdict.outcome == "unavailable" or reason is Reason.CREDENTIAL_UNAVAILABLE:
        culprit = check.got if check and check.got else "no credential"
        return Rejected(Refusal.CREDENTIAL_UNAVAILABLE, culprit)
    if reason in _FORGED:
        return Rejected(Refusal.FORGED, detail)
    if reason in _MALFORMED:
        return Rejected(Refusal.MALFORMED, detail)
    return Rejected(Refusal.UNTRUSTED_SIGNER, detail)


def _carried(x5c: Sequence[str]) -> Credential:
    """Read the certificates a token brought along, leaf first (RFC 7515 4.1.6)."""
    leaf_first = [x509.load_der_x509_certificate(b64decode(text, validate=True)) for text in x5c]
    return load_credential(b"".join(each.public_bytes(Encoding.PEM) for each in leaf_first))


def _names_just(credential: Credential, number: str) -> bool:
    granted = credential.tn_auth_list
    return granted is not None and any(
        isinstance(entry, One) and entry.number == number for entry in granted.entries
    )


def _dns_names(credential: Credential) -> tuple[str, ...]:
    for extension in credential.leaf.extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            names = extension.value.get_values_for_type(x509.DNSName)
            return tuple(name.lower() for name in names)
    return ()
