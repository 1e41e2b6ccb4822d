"""A test STI authority with good certificates, bad ones on demand, and tokens of any shape."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

from stir.authentication import AuthenticationService, SigningRequest
from stir.certificates.certificate import ES256, TN_AUTH_LIST_OID, Credential, load_credential
from stir.certificates.issuing import (
    Authority,
    Issued,
    issue_sti_certificate,
    make_intermediate,
    make_root,
)
from stir.certificates.issuing import to_pem as to_pem
from stir.certificates.tn_auth_list import Entry, Range, Spc, TnAuthList, build_tn_auth_list
from stir.passport import encode_part
from stir.replay import ReplayCache
from stir.verdict import CallVerdict
from stir.verification import AnyCredential, CallFacts, VerificationPolicy, VerificationService

NOW = 1_795_000_000.0
URL = "https://certs.alpha.example/sti.pem"
ORIG, DEST = "14155550100", "12125550123"
ORIGID = "9f1b2c3d-4e5f-4a6b-8c7d-0e1f2a3b4c5d"
FINGERPRINT = ("sha-256", ":".join(["AB"] * 32))
OTHER_FINGERPRINT = ("sha-256", ":".join(["CD"] * 32))
FACTS = CallFacts(
    orig_candidates=(f"sip:+{ORIG}@alpha.example;user=phone",),
    dest_candidates=(f"sip:+{DEST}@beta.example;user=phone",),
    fingerprints=(),
    call_id="first@alpha.example",
)
HEADER: dict[str, Any] = {"alg": "ES256", "ppt": "shaken", "typ": "passport", "x5u": URL}
AnyPublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


def shaken_claims(**changes: Any) -> dict[str, Any]:
    """A good SHAKEN payload, with claims changed, or left out by giving None."""
    claims: dict[str, Any] = {
        "attest": "A",
        "dest": {"tn": [DEST]},
        "iat": int(NOW),
        "orig": {"tn": ORIG},
        "origid": ORIGID,
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


def raw_token(key: ec.EllipticCurvePrivateKey, header: bytes, payload: bytes) -> str:
    """Sign any octets whatever, as a hostile signer with a good key could."""
    octets = f"{encode_part(header)}.{encode_part(payload)}".encode()
    r, s = decode_dss_signature(key.sign(octets, ES256))
    return f"{octets.decode()}.{encode_part(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def identity_value(token: str, url: str = URL) -> str:
    return f"{token};info=<{url}>;alg=ES256;ppt=shaken"


@dataclass
class StirWorld:
    """A root, an issuing authority, and a signer for +1 415 555 0100 to 0199."""

    root: Authority = field(default_factory=lambda: make_root("Test STI Root", NOW))
    issuer: Authority = field(init=False)
    issued: Issued = field(init=False)
    key: ec.EllipticCurvePrivateKey = field(init=False)
    signer: AuthenticationService = field(init=False)
    credential: Credential = field(init=False)

    def __post_init__(self) -> None:
        self.issuer = make_intermediate(self.root, "Test STI Issuing CA", NOW)
        self.issued = issue_sti_certificate(self.issuer, TnAuthList((Range(ORIG, 100),)), NOW)
        assert self.issued.key_pem is not None
        self.signer = AuthenticationService(self.issued.key_pem, self.issued.chain_pem, URL)
        self.key = self.signer._key
        self.credential = load_credential(self.issued.chain_pem)

    def identity(self, **changes: Any) -> str:
        """A good Identity value, or one with a SigningRequest field changed."""
        values: dict[str, Any] = {
            "orig_tn": ORIG,
            "dest_tns": (DEST,),
            "iat": int(NOW),
            "attest": "A",
            "origid": ORIGID,
            **changes,
        }
        return self.signer.sign(SigningRequest(**values))

    def token(self, header: Mapping[str, object], payload: Mapping[str, object]) -> str:
        """A token with just this header and payload, signed by the good key."""
        import json

        return raw_token(self.key, json.dumps(header).encode(), json.dumps(payload).encode())

    def service(
        self, policy: VerificationPolicy | None = None, replay: ReplayCache | None = None
    ) -> VerificationService:
        memory = ReplayCache() if replay is None else replay
        return VerificationService(policy or VerificationPolicy(), self.root.certificates, memory)

    def verify(
        self,
        *values: str,
        facts: CallFacts = FACTS,
        policy: VerificationPolicy | None = None,
        credential: AnyCredential | None = None,
        now: float = NOW,
    ) -> CallVerdict:
        """Verify Identity values with a fresh service that has the credential at every URL."""
        service = self.service(policy)
        begun = service.begin(values, facts, now)
        found = credential or self.credential
        return service.conclude(begun, dict.fromkeys(begun.needed, found), now)

    def leaf(self, **options: Any) -> Credential:
        """A leaf made wrong on purpose, its key being the signer's unless another is given."""
        issuer = options.pop("issuer", self.issuer)
        options.setdefault("key", self.key.public_key())
        certificate = make_certificate(issuer, **options)
        return load_credential(to_pem([certificate]) + issuer.chain_pem)


def make_certificate(
    issuer: Authority,
    *,
    key: AnyPublicKey,
    entries: Sequence[Entry] | None = (Range(ORIG, 100), Spc("TEST")),
    raw_list: bytes | None = None,
    not_before: float = NOW - 3600,
    not_after: float = NOW + 3600,
    usage: bool | None = True,
    ca: bool = False,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    name: str = "Odd leaf",
    signed_by: ec.EllipticCurvePrivateKey | None = None,
) -> x509.Certificate:
    """Build a certificate field by field; `usage` False leaves digitalSignature unset."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer.certificate.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_moment(not_before))
        .not_valid_after(_moment(not_after))
    )
    der = raw_list if raw_list is not None or entries is None else build_tn_auth_list(entries)
    if der is not None:
        builder = builder.add_extension(x509.UnrecognizedExtension(TN_AUTH_LIST_OID, der), False)
    if usage is not None:
        flags = dict.fromkeys(_USAGES, False)
        flags.update(digital_signature=usage, key_cert_sign=not usage)
        builder = builder.add_extension(x509.KeyUsage(**flags), critical=True)
    if ca:
        builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(signed_by or issuer.key, hashes.SHA256())


_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def _moment(epoch: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(int(epoch), datetime.UTC)
