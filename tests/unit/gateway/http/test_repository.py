"""The certificate repository says how long a chain may be kept, and gives nothing else away."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.http.repository import CertificateRepository
from stir.certificates.issuing import DAY, issue_sti_certificate
from stir.certificates.tn_auth_list import Spc, TnAuthList
from tests.support.stir_authority import NOW, StirWorld

WORLD = StirWorld()
LIST = TnAuthList((Spc("TEST"),))


class Served:
    """A repository over plain HTTP; its clock is `now`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = NOW
        self.repository = CertificateRepository(folder, wall_clock=lambda: self.now)

    def publish(self, name: str, *, lifetime: float = 30 * DAY) -> bytes:
        """Write a chain under a name; `DIGEST` stands for the name renewal would give it.

        `OTHER` is a longer name that begins alike, but is not how the digest goes on.
        """
        issued = issue_sti_certificate(WORLD.issuer, LIST, NOW, lifetime=lifetime)
        digest = hashlib.sha256(issued.certificate.public_bytes(Encoding.DER)).hexdigest()
        other = digest[:32] + ("1" if digest[32] == "0" else "0")
        self.name = name.replace("DIGEST", digest[:32]).replace("OTHER", other)
        path = self.folder / self.name
        path.write_bytes(issued.chain_pem)
        os.utime(path, (NOW - 100, NOW - 100))
        return issued.chain_pem


@pytest.fixture
def served(tmp_path: Path) -> Served:
    return Served(tmp_path)


@pytest.fixture
async def client(served: Served) -> AsyncIterator[ClientSession]:
    async with (
        TestServer(served.repository.application()) as server,
        ClientSession(server.make_url("/")) as session,
    ):
        yield session


@pytest.mark.parametrize(
    ("name", "lifetime", "later", "expected"),
    [
        ("sti.pem", 30 * DAY, 0, "public, max-age=3600"),
        ("DIGEST.pem", 30 * DAY, 0, "public, max-age=86400, immutable"),
        ("DIGEST.pem", 30 * DAY, 30 * DAY - 60, "public, max-age=60, immutable"),
        ("DIGEST.pem", 30 * DAY, 31 * DAY, "public, max-age=0, immutable"),
        ("sti.pem", 600, 0, "public, max-age=600"),
        ("OTHER.pem", 30 * DAY, 0, "public, max-age=3600"),
        ("00000000000000000000000000000000.pem", 30 * DAY, 0, "public, max-age=3600"),
    ],
)
async def test_caching_ends_with_the_certificate_and_new_names_are_for_ever(
    served: Served, client: ClientSession, name: str, lifetime: float, later: float, expected: str
) -> None:
    pem = served.publish(name, lifetime=lifetime)
    served.now = NOW + later
    async with client.get(f"/certs/{served.name}") as answer:
        assert await answer.read() == pem
        assert answer.content_type == "application/pem-certificate-chain"
        assert answer.headers["Cache-Control"] == expected
        assert answer.headers["Last-Modified"] == "Wed, 18 Nov 2026 11:05:00 GMT"


async def test_a_chain_that_is_known_is_not_sent_again(
    served: Served, client: ClientSession
) -> None:
    served.publish("DIGEST.pem")
    url = f"/certs/{served.name}"
    async with client.get(url) as answer:
        tag, changed = answer.headers["ETag"], answer.headers["Last-Modified"]
    known: list[tuple[dict[str, str], int]] = [
        ({"If-None-Match": tag}, 304),
        ({"If-None-Match": f'"x", W/{tag}'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"x"', "If-Modified-Since": changed}, 200),
        ({"If-Modified-Since": changed}, 304),
        ({"If-Modified-Since": "Wed, 18 Nov 2026 11:04:59 GMT"}, 200),
        ({"If-Modified-Since": "yesterday"}, 200),
    ]
    for headers, status in known:
        async with client.get(url, headers=headers) as answer:
            assert answer.status == status, headers
            assert answer.headers["ETag"] == tag
            assert "max-age" in answer.headers["Cache-Control"]


async def test_head_says_what_get_would(served: Served, client: ClientSession) -> None:
    pem = served.publish("sti.pem")
    async with client.head("/certs/sti.pem") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Length"] == str(len(pem))
        assert await answer.read() == b""


async def test_a_chain_is_served_from_the_moment_it_is_moved_into_place(
    served: Served, client: ClientSession
) -> None:
    first = served.publish("sti.pem")
    async with client.get("/certs/sti.pem") as answer:
        assert await answer.read() == first
    second = served.publish("new.pem")
    (served.folder / "new.pem").replace(served.folder / "sti.pem")
    async with client.get("/certs/sti.pem") as answer:
        assert await answer.read() == second


@pytest.mark.parametrize("path", ["/certs/", "/certs", "/", "/certs/../sti.key", "/certs/sti.key"])
async def test_there_is_no_listing_and_nothing_beside_it(
    served: Served, client: ClientSession, path: str
) -> None:
    served.publish("sti.pem")
    (served.folder / "sti.key").write_bytes(b"secret")
    async with client.get(path) as answer:
        assert answer.status == 404
        assert b"sti.pem" not in await answer.read()


async def test_other_methods_are_refused(served: Served, client: ClientSession) -> None:
    served.publish("sti.pem")
    for method in ("POST", "PUT", "DELETE"):
        async with client.request(method, "/certs/sti.pem") as answer:
            assert answer.status == 405
            assert answer.headers["Allow"] == "GET,HEAD"


async def test_keys_and_junk_are_withheld_even_between_certificates(
    served: Served, client: ClientSession
) -> None:
    chain = served.publish("good.pem")
    assert WORLD.issued.key_pem is not None
    junk = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    for octets in (WORLD.issued.key_pem, chain + WORLD.issued.key_pem, junk, b"", chain * 40):
        (served.folder / "bad.pem").write_bytes(octets)
        async with client.get("/certs/bad.pem") as answer:
            assert answer.status == 404
    assert served.repository.withheld == 5


async def test_what_it_remembers_is_bounded(served: Served, client: ClientSession) -> None:
    pem = served.publish("sti.pem")
    for index in range(300):
        (served.folder / f"{index}.pem").write_bytes(pem)
        async with client.get(f"/certs/{index}.pem") as answer:
            assert answer.status == 200
    assert len(served.repository._read) <= 256
