"""An authority, a signer and calls for the benches of the STIR services alone."""

from __future__ import annotations

import itertools
import time
import uuid
from dataclasses import dataclass
from typing import Final

from stir.authentication import AuthenticationService, SigningRequest
from stir.certificates.certificate import load_credential
from stir.certificates.issuing import issue_sti_certificate, make_intermediate, make_root
from stir.certificates.tn_auth_list import Range, TnAuthList
from stir.media_keys import Fingerprint
from stir.replay import ReplayCache
from stir.verification import CallFacts, VerificationPolicy, VerificationService

ORIG: Final = "14155550100"
DEST: Final = "12125550123"
_calls = itertools.count()


@dataclass(frozen=True, slots=True)
class CalledFacts:
    """One call as the verification service gets it: the Identity value and the request's facts."""

    identity: str
    facts: CallFacts


class StirBenchWorld:
    """A root, an issuing authority, and a signer for a hundred numbers."""

    url: Final = "https://certificates.example/sti.pem"

    def __init__(self) -> None:
        now = time.time()
        self.root = make_root("bench root", now)
        issuer = make_intermediate(self.root, "bench issuing CA", now)
        self.issued = issue_sti_certificate(issuer, TnAuthList((Range(ORIG, 100),)), now)
        assert self.issued.key_pem is not None
        self.key_pem: bytes = self.issued.key_pem
        self.signer = AuthenticationService(self.key_pem, self.issued.chain_pem, self.url)
        self.credential = load_credential(self.issued.chain_pem)

    def service(self, *, extra_ports: frozenset[int] = frozenset()) -> VerificationService:
        """A verification service that trusts the root and remembers calls."""
        policy = VerificationPolicy(extra_ports=extra_ports)
        return VerificationService(policy, self.root.certificates, ReplayCache())

    def request(self, *, fingerprints: tuple[Fingerprint, ...] = ()) -> SigningRequest:
        """A request to sign like no other."""
        return SigningRequest(
            orig_tn=ORIG,
            dest_tns=(DEST,),
            iat=int(time.time()),
            attest="A",
            origid=str(uuid.uuid4()),
            fingerprints=fingerprints,
        )

    def call(self, url: str) -> CalledFacts:
        """A call signed now, whose certificate is said to be at a URL."""
        signer = self.signer
        if url != self.url:
            signer = AuthenticationService(self.key_pem, self.issued.chain_pem, url)
        facts = CallFacts(
            orig_candidates=(f"sip:+{ORIG}@alpha.example;user=phone",),
            dest_candidates=(f"sip:+{DEST}@beta.example;user=phone",),
            fingerprints=(),
            call_id=f"{next(_calls)}@alpha.example",
        )
        return CalledFacts(signer.sign(self.request()), facts)
