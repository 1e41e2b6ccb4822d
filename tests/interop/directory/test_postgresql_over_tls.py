"""A directory whose PostgreSQL is reached over TLS: whom it believes, and what it says if not."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stir.certificates.issuing import Authority, issue_tls_certificate, make_root
from tests.support.directory_process import directory_process, refused, write_configuration
from tests.support.directory_world import NUMBER, DirectoryWorld
from tests.support.postgresql import PASSWORD, Cluster

pytestmark = pytest.mark.real
VERIFIED = "?ssl=verify-full"


@pytest.fixture
async def server(postgresql: Cluster) -> AsyncIterator[Cluster]:
    yield postgresql
    await postgresql.speak_no_tls()


@pytest.fixture
def world(tmp_path: Path) -> DirectoryWorld:
    made = DirectoryWorld(tmp_path)
    made.clock.now = time.time()
    return made


async def certified(cluster: Cluster, root: Authority, address: str = "127.0.0.1") -> None:
    """Give the server a certificate for an address."""
    issued = issue_tls_certificate(root, time.time(), dns_names=(), addresses=(address,))
    assert issued.key_pem is not None
    await cluster.speak_tls(issued.chain_pem, issued.key_pem)


def trusted(folder: Path, monkeypatch: pytest.MonkeyPatch, root: Authority) -> None:
    """Let processes trust a root for databases."""
    (folder / "database-root.pem").write_bytes(root.certificate_pem)
    monkeypatch.setenv("PGSSLROOTCERT", str(folder / "database-root.pem"))


async def test_a_server_with_the_right_name_under_the_right_root_is_used_over_tls(
    world: DirectoryWorld, server: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_root("Databases", time.time() - 86_400)
    await certified(server, root)
    trusted(world.folder, monkeypatch, root)
    file = write_configuration(world, "tls", database_url=server.url(more=VERIFIED))
    async with directory_process(world, file) as process:
        assert (await process.lookup(NUMBER)).status == 200
        ours = (
            "FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name LIKE 'sp%'"
        )
        held = await server.rows(f"SELECT ssl, version {ours}")
    assert held
    assert {used for used, _ in held} == {True}
    assert {version for _, version in held} <= {"TLSv1.2", "TLSv1.3"}


@pytest.mark.parametrize(
    ("root", "address", "says"),
    [("another", "127.0.0.1", "TLS"), ("right", "127.0.0.2", "TLS"), ("none", "", "no TLS")],
)
async def test_a_server_that_cannot_be_proven_is_refused_without_the_password(
    world: DirectoryWorld,
    server: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    root: str,
    address: str,
    says: str,
) -> None:
    right = make_root("Databases", time.time() - 86_400)
    trusted(world.folder, monkeypatch, right)
    if root == "none":
        await server.speak_no_tls()
    else:
        other = make_root("Others", time.time() - 86_400)
        await certified(server, right if root == "right" else other, address)
    file = write_configuration(world, "tls", database_url=server.url(more=VERIFIED))
    code, said = await refused(file)
    assert (code, PASSWORD in said) == (2, False)
    assert said.startswith("spingate: directory.database_url: database:")
    assert says in said
