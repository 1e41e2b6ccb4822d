"""Our DTLS against the openssl program: the same keying material on both ends."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from media.dtls import DtlsAssociation, DtlsConnected, DtlsFailed, DtlsIdentity, DtlsRole
from media.fingerprint import Fingerprint
from media.srtp import AES_CM_128_HMAC_SHA1_80

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not shutil.which("openssl"), reason="the openssl program is not installed"),
]

EPOCH = 1_790_000_000.0
IDENTITY = DtlsIdentity.generate(EPOCH, 86400, (AES_CM_128_HMAC_SHA1_80,))


@dataclass
class Certificate:
    path: Path
    fingerprint: Fingerprint


@pytest.fixture(scope="module", params=["ec", "rsa"])
def certificate(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Certificate:
    path = tmp_path_factory.mktemp("openssl") / "both.pem"
    kind = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if request.param == "ec" else ["rsa:2048"]
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            *kind,
            "-nodes",
            "-subj",
            "/CN=peer",
            "-keyout",
            str(path),
            "-out",
            str(path) + ".crt",
            "-days",
            "2",
        ],
        check=True,
        capture_output=True,
    )
    pem = Path(str(path) + ".crt").read_bytes()
    path.write_bytes(path.read_bytes() + pem)
    digest = x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256())
    return Certificate(path, Fingerprint("sha-256", digest.hex(":").upper()))


@pytest.fixture
def udp() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        made.setblocking(False)
        yield made


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def handshake(
    association: DtlsAssociation, udp: socket.socket, peer: tuple[str, int] | None
) -> None:
    """Runs the association on the socket until it has an outcome."""
    loop = asyncio.get_running_loop()
    association.start(loop.time())
    while association.outcome is None:
        for datagram in association.take_datagrams():
            if peer is not None:
                udp.sendto(datagram, peer)
        try:
            data, peer = await asyncio.wait_for(loop.sock_recvfrom(udp, 65536), 0.05)
            association.receive(data, loop.time())
        except (TimeoutError, ConnectionRefusedError):
            association.expire(loop.time())
    for datagram in association.take_datagrams():
        if peer is not None:
            udp.sendto(datagram, peer)


def arguments(role: DtlsRole, certificate: Certificate, port: int) -> list[str]:
    """The openssl command that is our peer when we are `role`."""
    common = ["-dtls1_2", "-cert", str(certificate.path), "-key", str(certificate.path)]
    common += ["-use_srtp", "SRTP_AES128_CM_SHA1_80", "-mtu", "1200"]
    common += ["-keymatexport", "EXTRACTOR-dtls_srtp", "-keymatexportlen", "60"]
    if role == "client":
        return ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-Verify", "1", *common]
    return ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *common]


async def keying_material(process: asyncio.subprocess.Process) -> str:
    """Waits until openssl prints what it exported."""
    assert process.stdout is not None
    printed = ""
    while True:
        line = await asyncio.wait_for(process.stdout.readline(), 10)
        assert line, f"openssl ended: {printed}"
        printed += line.decode(errors="replace")
        found = re.search(r"Keying material: ([0-9A-F]+)", printed)
        if found:
            return found[1]


async def run(
    role: DtlsRole, certificate: Certificate, expected: Fingerprint, udp: socket.socket
) -> tuple[DtlsAssociation, str]:
    port = free_port() if role == "client" else udp.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        *arguments(role, certificate, port),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        association = DtlsAssociation(IDENTITY, role, [expected])
        await handshake(association, udp, ("127.0.0.1", port) if role == "client" else None)
        if isinstance(association.outcome, DtlsFailed):
            return association, ""
        return association, await keying_material(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.rfc("5764", "4.2")
@pytest.mark.parametrize("role", ["client", "server"])
async def test_openssl_exports_the_keys_that_we_use(
    role: DtlsRole, certificate: Certificate, udp: socket.socket
) -> None:
    association, material = await run(role, certificate, certificate.fingerprint, udp)
    outcome = association.outcome
    assert isinstance(outcome, DtlsConnected)
    ours, theirs = outcome.outbound, outcome.inbound
    client, server = (ours, theirs) if role == "client" else (theirs, ours)
    expected = client.key + server.key + client.salt + server.salt
    assert expected.hex().upper() == material


@pytest.mark.parametrize("role", ["client", "server"])
async def test_a_peer_with_another_certificate_gets_no_keys(
    role: DtlsRole, certificate: Certificate, udp: socket.socket
) -> None:
    association, _ = await run(role, certificate, IDENTITY.fingerprint, udp)
    assert association.outcome == DtlsFailed("fingerprint")
