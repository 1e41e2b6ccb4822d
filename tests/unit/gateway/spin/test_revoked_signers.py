"""Invitations and answers of a signer whose certificate was revoked count no more."""

from __future__ import annotations

from typing import cast

import pytest

from discovery.spin.passports import Rejected, VerifiedPassport
from discovery.spin.reason import Refusal
from gateway.http.credentials import CertificateSource
from gateway.http.fetch import GuardedClient
from gateway.revocation import RevocationService
from gateway.spin.passports import StirVerifier
from stir.certificates.certificate import Credential
from stir.certificates.chain import PathBuilder
from stir.certificates.revocation import RevocationPolicy, RevocationRecords
from tests.security.gateway.test_revocation_fetching import FakeClient
from tests.support.revocation import LIST_URL, list_of, points
from tests.support.stir_authority import NOW, ORIG, StirWorld, shaken_claims


class Served:
    """One certificate at every URL."""

    def __init__(self, credential: Credential) -> None:
        self.credential = credential

    async def get(self, url: str) -> Credential:
        return self.credential


@pytest.mark.parametrize("revoked", [False, True])
async def test_a_revoked_signer_is_not_believed(revoked: bool) -> None:
    world = StirWorld()
    credential = world.leaf(extensions=[points(LIST_URL)])
    web = FakeClient()
    web.answers[LIST_URL] = list_of(world.issuer).der(*([credential.leaf] if revoked else []))
    builder = PathBuilder(world.root.certificates)
    client = cast(GuardedClient, web)
    service = RevocationService(
        RevocationRecords(RevocationPolicy(), rand=lambda: 1.0),
        builder.find,
        client,
        client,
        lambda: NOW,
    )
    verifier = StirVerifier(
        cast(CertificateSource, Served(credential)),
        world.root.certificates,
        accept_ranges=True,
        revocation=service,
    )
    token = world.signer.sign_passport({"ppt": "spin"}, shaken_claims(attest=None, origid=None))
    found = await verifier.verify(token, ppt="spin", orig=ORIG, now=NOW)
    await service.stop()
    if revoked:
        assert isinstance(found, Rejected)
        assert found.reason is Refusal.UNTRUSTED_SIGNER
    else:
        assert isinstance(found, VerifiedPassport)
        assert found.until == credential.not_after
