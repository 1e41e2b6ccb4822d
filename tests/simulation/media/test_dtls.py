"""Two DTLS associations on a virtual clock over a link that loses what the test says."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes

from media.dtls import (
    MTU,
    DtlsAssociation,
    DtlsConnected,
    DtlsFailed,
    DtlsIdentity,
    usable_fingerprints,
)
from media.fingerprint import Fingerprint
from media.srtp import AEAD_AES_128_GCM, AES_CM_128_HMAC_SHA1_80

EPOCH = 1_790_000_000.0
PROFILES = (AEAD_AES_128_GCM, AES_CM_128_HMAC_SHA1_80)
OURS = DtlsIdentity.generate(EPOCH, 86400 * 30, PROFILES)
THEIRS = DtlsIdentity.generate(EPOCH, 86400 * 30, PROFILES)

Loses = Callable[[int], bool]


class Link:
    """Carries datagrams between two associations; time jumps to the next deadline."""

    def __init__(self, client: DtlsAssociation, server: DtlsAssociation, loses: Loses) -> None:
        self.client, self.server, self.loses = client, server, loses
        self.now = 0.0
        self.sizes: list[int] = []

    def run(self, until: float = 30.0) -> None:
        self.client.start(self.now)
        self.server.start(self.now)
        while self.now < until and not (self.client.outcome and self.server.outcome):
            if not self._carry():
                self._wait(until)

    def _carry(self) -> bool:
        moved = False
        for sender, receiver in ((self.client, self.server), (self.server, self.client)):
            for datagram in sender.take_datagrams():
                self.sizes.append(len(datagram))
                moved = True
                if not self.loses(len(self.sizes)):
                    receiver.receive(datagram, self.now)
        return moved

    def _wait(self, until: float) -> None:
        deadlines = [self.client.next_deadline(), self.server.next_deadline()]
        self.now = min([until, *(at for at in deadlines if at is not None)])
        self.client.expire(self.now)
        self.server.expire(self.now)


def pair(
    server_fingerprint: Fingerprint = THEIRS.fingerprint,
    client_fingerprint: Fingerprint = OURS.fingerprint,
    loses: Loses = lambda number: False,
) -> Link:
    client = DtlsAssociation(OURS, "client", [server_fingerprint])
    server = DtlsAssociation(THEIRS, "server", [client_fingerprint])
    return Link(client, server, loses)


def connected(association: DtlsAssociation) -> DtlsConnected:
    assert isinstance(association.outcome, DtlsConnected)
    return association.outcome


def test_both_ends_get_the_same_keys_crosswise() -> None:
    link = pair()
    link.run()
    client, server = connected(link.client), connected(link.server)
    assert client.inbound == server.outbound
    assert client.outbound == server.inbound
    assert client.inbound != client.outbound
    assert client.inbound.profile is AEAD_AES_128_GCM
    assert max(link.sizes) <= MTU


@pytest.mark.parametrize("lost", [1, 2, 3, 4, (1, 2, 3), (3, 4, 5), (4, 5, 6, 7)])
def test_each_lost_flight_is_sent_again(lost: int | tuple[int, ...]) -> None:
    numbers = (lost,) if isinstance(lost, int) else lost
    link = pair(loses=lambda number: number in numbers)
    link.run()
    assert connected(link.client).inbound == connected(link.server).outbound
    assert link.now <= 4


def test_a_third_of_all_datagrams_may_be_lost() -> None:
    rand = random.Random(7)
    for _ in range(25):
        link = pair(loses=lambda number: rand.random() < 0.33)
        link.run()
        assert connected(link.client).inbound == connected(link.server).outbound


def test_a_silent_peer_ends_in_a_timeout() -> None:
    link = pair(loses=lambda number: True)
    link.run()
    assert link.client.outcome == link.server.outcome == DtlsFailed("timeout")
    assert link.now == 10
    assert len(link.sizes) < 15


@pytest.mark.parametrize("wrong_side", ["client", "server"])
def test_a_certificate_that_is_not_the_sdps_gives_no_keys(wrong_side: str) -> None:
    other = DtlsIdentity.generate(EPOCH, 86400, PROFILES).fingerprint
    if wrong_side == "client":
        link = pair(client_fingerprint=other)
        betrayed, other_end = link.server, link.client
    else:
        link = pair(server_fingerprint=other)
        betrayed, other_end = link.client, link.server
    link.run(until=12)
    assert betrayed.outcome == DtlsFailed("fingerprint")
    assert isinstance(other_end.outcome, DtlsFailed)
    assert link.now < 2


@pytest.mark.parametrize(
    "fingerprints",
    [
        [],
        [Fingerprint("sha-1", "AA:BB")],
        [Fingerprint("md5", "AA")],
        [Fingerprint("sha-256", "AA")],
    ],
)
def test_without_a_strong_fingerprint_there_is_no_association(
    fingerprints: list[Fingerprint],
) -> None:
    with pytest.raises(ValueError, match="fingerprint"):
        DtlsAssociation(OURS, "client", fingerprints)


def test_only_the_strongest_hash_function_counts() -> None:
    sha256 = THEIRS.fingerprint
    sha512 = [Fingerprint("sha-512", ":".join([digit] * 64)) for digit in ("55", "66")]
    offered = [Fingerprint("sha-1", "11"), sha256, *sha512]
    assert usable_fingerprints(offered) == tuple(sha512)


@pytest.mark.parametrize("algorithm", ["sha-384", "sha-512"])
def test_longer_fingerprints_are_compared_too(algorithm: str) -> None:
    function = hashes.SHA384() if algorithm == "sha-384" else hashes.SHA512()
    value = THEIRS.certificate.fingerprint(function).hex(":").upper()
    link = pair(server_fingerprint=Fingerprint(algorithm, value.lower()))
    link.run()
    connected(link.client)
    wrong = pair(server_fingerprint=Fingerprint(algorithm, "00" + value[2:]))
    wrong.run(until=12)
    assert wrong.client.outcome == DtlsFailed("fingerprint")


NULL_CIPHER_HELLO = bytes.fromhex(
    "16feff000000000000000000360100002a000000000000002afefd" + "11" * 32 + "000000020000" + "0100"
)
JUNK = [
    NULL_CIPHER_HELLO,
    b"\x15\xfe\xfd" + bytes(8) + b"\x00\x02\x02\x28",
    b"\x16",
    b"\x16\xfe\xfd" + b"\xff" * 40,
    bytes(range(20, 64)) * 20,
]


@pytest.mark.parametrize("junk", JUNK, ids=["null", "alert", "short", "record", "noise"])
def test_junk_before_the_client_speaks_does_not_stop_a_server(junk: bytes) -> None:
    link = pair()
    link.server.start(0)
    for _ in range(5):
        link.server.receive(junk, 0)
    link.server.take_datagrams()
    link.run()
    connected(link.client)
    connected(link.server)


@pytest.mark.parametrize("junk", JUNK, ids=["null", "alert", "short", "record", "noise"])
def test_nothing_that_comes_after_the_handshake_breaks_it(junk: bytes) -> None:
    link = pair()
    link.run()
    keys = connected(link.server)
    for number in range(1000):
        link.server.receive(junk, number * 0.001)
        link.client.receive(junk, number * 0.001)
    assert connected(link.server) is keys
    assert len(link.server.take_datagrams()) <= 25
    assert link.client.take_datagrams() == []


def test_no_key_shows_in_the_repr_of_an_outcome() -> None:
    link = pair()
    link.run()
    keys = connected(link.client)
    assert keys.inbound.key.hex() not in repr(keys).lower()
    assert repr(keys.inbound.key) not in repr(keys)
