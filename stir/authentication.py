"""The authentication service of RFC 8224 section 6.1: it signs outgoing requests."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from stir.certificates.certificate import (
    ES256,
    MalformedCredential,
    Problem,
    load_certificates,
    load_private_key,
    match_key,
)
from stir.certificates.claim_constraints import (
    ClaimConstraints,
    MalformedConstraints,
    constraint_problem,
    constraints_of,
)
from stir.content_digest import HashName, digest_of
from stir.extensions.rcd import has_rich_call_data, rich_call_data_problem
from stir.extensions.rcd_integrity import direct_problem
from stir.extensions.registry import EXTENSIONS
from stir.extensions.rph import CALLBACK
from stir.media_keys import Fingerprint, media_keys_claim
from stir.passport import MalformedPassport, encode_part, signing_input
from stir.strict_json import MalformedJson, canonical
from stir.telephone_number import canonicalise

Attestation = Literal["A", "B", "C"]
_OWN_CLAIMS: Final = frozenset({"attest", "dest", "iat", "mky", "orig", "origid"})


class CannotSign(ValueError):
    """The request cannot be signed as asked; the message says which value is impossible."""


@dataclass(frozen=True, slots=True)
class SigningRequest:
    """The facts to sign: numbers as written, `iat` in epoch seconds, fingerprints of the SDP sent.

    With `attest` and `origid` a SHAKEN PASSporT (RFC 8588), without both a plain one (RFC 8225), or
    one of the type `ppt`. `claims` are those the type adds, and the rich call data that may ride in
    any type (RFC 9795): see `rcd_claims`, `rph_claims` and `msg_claims`.
    """

    orig_tn: str
    dest_tns: tuple[str, ...]
    iat: int
    attest: Attestation | None = None
    origid: str | None = None
    dest_uris: tuple[str, ...] = ()
    fingerprints: tuple[Fingerprint, ...] = ()
    ppt: str | None = None
    claims: Mapping[str, object] | None = None


class AuthenticationService:
    """Signs with one credential; key and certificate are read once and held against each other."""

    def __init__(self, private_key_pem: bytes, certificate_pem: bytes | None, x5u: str) -> None:
        """Load a P-256 key in PEM and its certificate chain, leaf first; `x5u` is its public URL.

        None as certificate leaves out the check that key and certificate belong together. Raises
        MalformedCredential or KeyMismatch, both the configuration's fault.
        """
        self._key = load_private_key(private_key_pem)
        self._constraints: tuple[ClaimConstraints, ...] = ()
        self._x5c: list[str] = []
        if certificate_pem is not None:
            certificates = load_certificates(certificate_pem)
            self._x5c = [
                b64encode(each.public_bytes(Encoding.DER)).decode() for each in certificates
            ]
            match_key(self._key, certificates[0])
            self._constraints = _constraints(certificates)
        self.x5u = x5u
        # Both headers never change: serialising them once saves a tenth of a signature.
        self._plain = encode_part(canonical({"alg": "ES256", "typ": "passport", "x5u": x5u}))
        self._shaken = encode_part(
            canonical({"alg": "ES256", "ppt": "shaken", "typ": "passport", "x5u": x5u})
        )
        self._params = f";info=<{x5u}>;alg=ES256"

    def __repr__(self) -> str:
        return f"AuthenticationService(x5u={self.x5u!r})"

    def adopt(self, other: AuthenticationService) -> None:
        """Sign with another service's credential from now on, for whoever holds this one.

        Everything changes at once, so that no PASSporT has the key of one and the x5u of the other.
        """
        vars(self).update(vars(other))

    def sign(self, request: SigningRequest, *, compact: bool = False) -> str:
        """Return the Identity header field value; raises CannotSign.

        `compact` leaves header and payload out (RFC 8225 section 7): the verifier rebuilds them
        from the request, whose Date has to be `iat`, its To the one destination. For the plain
        type only: no header field carries what others add.
        """
        shaken = request.attest is not None
        if shaken != (request.origid is not None):
            raise CannotSign("attest and origid go together (RFC 8588 section 4)")
        if compact:
            _check_compact(request)
        ppt = "shaken" if shaken else request.ppt
        if request.ppt not in (None, ppt):
            raise CannotSign(f"attest and origid are claims of shaken, not of {request.ppt}")
        header = self._header(ppt)
        claims = claims_of(request)
        if self._constraints:
            problem = constraint_problem(self._constraints, claims)
            if problem is not None:
                raise CannotSign(_not_permitted(problem))
        try:
            payload = encode_part(canonical(claims))
        except MalformedJson as error:
            raise CannotSign(str(error)) from None
        token = self._signed(f"{header}.{payload}".encode("ascii"))
        if compact:
            token = f"..{token.rpartition('.')[2]}"
        return f"{token}{self._params}" if ppt is None else f"{token}{self._params};ppt={ppt}"

    def _header(self, ppt: str | None) -> str:
        if ppt == "shaken":
            return self._shaken
        if ppt is None:
            return self._plain
        if ppt not in EXTENSIONS:
            raise CannotSign(f"{ppt} is no type of PASSporT that is known here")
        return encode_part(
            canonical({"alg": "ES256", "ppt": ppt, "typ": "passport", "x5u": self.x5u})
        )

    def sign_passport(
        self,
        header_extra: Mapping[str, object],
        payload: Mapping[str, object],
        *,
        x5c: bool = False,
    ) -> str:
        """Return a token with a payload of the caller's own, for extensions such as ``spin``.

        `header_extra` (such as ``{"ppt": "spin"}``) is added to `alg`, `typ` and `x5u`, and may not
        replace them. `x5c` puts the certificates in place of their URL, where there is room.
        Raises MalformedPassport for values that JSON cannot carry, and for claims outside the
        certificate's constraints.
        """
        problem = constraint_problem(self._constraints, payload)
        if problem is not None:
            raise MalformedPassport(_not_permitted(problem))
        named: dict[str, object] = {"x5c": self._x5c} if x5c else {"x5u": self.x5u}
        header = {**header_extra, "alg": "ES256", "typ": "passport", **named}
        return self._signed(signing_input(header, payload))

    def sign_jwt(self, claims: Mapping[str, object]) -> str:
        """Return a JSON Web Token that is no PASSporT, such as a permission to publish.

        Its `typ` keeps it from being taken for one (RFC 8725 section 3.11). Raises
        MalformedPassport for values that JSON cannot carry.
        """
        return self._signed(signing_input({"alg": "ES256", "typ": "JWT", "x5u": self.x5u}, claims))

    def _signed(self, octets: bytes) -> str:
        r, s = decode_dss_signature(self._key.sign(octets, ES256))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return f"{octets.decode('ascii')}.{encode_part(signature)}"


def _constraints(certificates: Sequence[x509.Certificate]) -> tuple[ClaimConstraints, ...]:
    try:
        return tuple(found for each in certificates for found in constraints_of(each))
    except MalformedConstraints as error:
        raise MalformedCredential(f"its claim constraints: {error}") from None


def _not_permitted(problem: Problem) -> str:
    return f"the certificate does not permit it: {problem.got}; expected {problem.expected}"


def claims_of(request: SigningRequest) -> dict[str, object]:
    """Build a request's payload (RFC 8225 section 5, RFC 8588 section 4); raises CannotSign."""
    orig = canonicalise(request.orig_tn)
    if orig is None:
        raise CannotSign("the originating number is not a telephone number")
    numbers = [_destination(written) for written in request.dest_tns]
    if not numbers and not request.dest_uris:
        raise CannotSign("there is no destination")
    dest: dict[str, object] = {}
    if numbers:
        dest["tn"] = numbers
    if request.dest_uris:
        dest["uri"] = list(request.dest_uris)
    claims: dict[str, object] = {"dest": dest, "iat": request.iat, "orig": {"tn": orig}}
    if request.attest is not None:
        claims["attest"] = request.attest
        claims["origid"] = request.origid
    if request.fingerprints:
        try:
            claims["mky"] = media_keys_claim(request.fingerprints)
        except ValueError as error:
            raise CannotSign(str(error)) from None
    if request.claims is not None or request.ppt is not None:
        _add_claims(claims, request)
    return claims


def rph_claims(
    values: Iterable[str], *, assertion: str = "auth", psap_callback: bool = False
) -> dict[str, object]:
    """Build the claims of an ``rph`` PASSporT from Resource-Priority values (RFC 8443 section 3).

    `assertion` is ``auth``, or ``ESorig`` or ``EScallback`` of RFC 9027; `psap_callback` adds sph.
    """
    claims: dict[str, object] = {"rph": {assertion: list(values)}}
    if psap_callback:
        claims["sph"] = CALLBACK
    return claims


def msg_claims(body: bytes, algorithm: HashName = "sha256") -> dict[str, object]:
    """Build the claim of a ``msg`` PASSporT: the digest of the body's octets (RFC 9475 3.2)."""
    return {"msgi": digest_of(body, algorithm)}


def _add_claims(claims: dict[str, object], request: SigningRequest) -> None:
    """Add the claims of an extension; raises CannotSign for what a verifier would refuse."""
    for name, value in (request.claims or {}).items():
        if name in claims or name in _OWN_CLAIMS:
            raise CannotSign(f"the {name} claim is made from the request's own fields")
        claims[name] = value
    ppt = request.ppt or ("shaken" if request.attest is not None else None)
    extension = EXTENSIONS.get(ppt or "")
    problem = None if extension is None else extension.claims_problem(claims)
    if problem is None and has_rich_call_data(claims):
        problem = rich_call_data_problem(claims) or direct_problem(claims)
    if problem is not None:
        raise CannotSign(f"{problem.got}; expected {problem.expected}")


def _check_compact(request: SigningRequest) -> None:
    if request.ppt is not None or request.attest is not None or request.claims:
        raise CannotSign("only the plain type has a compact form (RFC 8588 section 7)")
    if len(request.dest_tns) + len(request.dest_uris) != 1:
        raise CannotSign("the compact form has one destination, the one in To")


def _destination(written: str) -> str:
    number = canonicalise(written)
    if number is None:
        raise CannotSign("a destination is not a telephone number")
    return number
