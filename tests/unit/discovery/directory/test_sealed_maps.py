"""Sealed maps: for one sender or a group, alike in number and size, bound to their record."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pyhpke import AEADId, CipherSuite, KDFId, KEMId, KEMKey

from discovery.directory.identifier import parse_identifier
from discovery.directory.jws import decode, encode
from discovery.directory.reason import Refused
from discovery.directory.record import (
    MAX_RECORD,
    SEALED_OCTETS,
    Map,
    Record,
    Selection,
    parse_record,
    sign_record,
)
from discovery.directory.sealed_maps import (
    MAX_KEYS,
    SEALED_MAPS,
    SealedMap,
    group_key,
    open_maps,
    public_key,
    public_text,
    seal_maps,
)
from discovery.directory.selection import select
from discovery.model import Service
from gateway.directory.keys import EcSigner
from stir.certificates.issuing import new_key

NOW = 1_795_000_000
BOB = parse_identifier("tel:+14155550123")
SIGNER = EcSigner(new_key())
ALICE, CAROL = X25519PrivateKey.generate(), X25519PrivateKey.generate()
TEAM = group_key("soccer " * 6)
OPEN = Map("b.example", (Service.VOICE,), "sip:bob@b.example", 10)
FOR_ALICE = Map("w.example", (Service.VOICE, Service.IM), "sip:bob@w.example", 7)
FOR_TEAM = Map("t.example", (Service.VOICE,), "sip:bob@t.example", 3)


def record(*maps: SealedMap, seq: int = 1, **changes: object) -> Record:
    sealed = seal_maps(BOB, seq, maps)
    made = Record(BOB, seq, NOW, NOW + 100, (OPEN,), "https://ca.example/1", sealed=sealed)
    return replace(made, **changes) if changes else made  # type: ignore[arg-type]


def to(key: X25519PrivateKey, each: Map) -> SealedMap:
    return SealedMap(key.public_key(), each)


def test_each_sender_opens_its_own_and_nobody_the_others() -> None:
    made = record(to(ALICE, FOR_ALICE), to(TEAM, FOR_TEAM))
    assert open_maps(made, [ALICE]) == (FOR_ALICE,)
    assert open_maps(made, [TEAM]) == (FOR_TEAM,)
    assert set(open_maps(made, [ALICE, TEAM])) == {FOR_ALICE, FOR_TEAM}
    assert open_maps(made, [CAROL]) == ()
    assert open_maps(made, []) == ()


def test_whoever_knows_the_secret_of_a_group_is_in_it() -> None:
    member = group_key("soccer " * 6)
    assert open_maps(record(to(TEAM, FOR_TEAM)), [member]) == (FOR_TEAM,)
    assert open_maps(record(to(TEAM, FOR_TEAM)), [group_key("Soccer " * 6)]) == ()
    with pytest.raises(ValueError, match="32 characters"):
        group_key("too short")


@pytest.mark.parametrize("count", range(SEALED_MAPS + 1))
def test_number_and_size_do_not_tell_how_many_are_meant(count: int) -> None:
    made = record(*[to(ALICE, FOR_ALICE)] * count)
    assert [len(decode(text)) for text in made.sealed] == [SEALED_OCTETS] * SEALED_MAPS
    assert len(set(made.sealed)) == SEALED_MAPS
    assert open_maps(made, [ALICE]) == (FOR_ALICE,) * count


def test_more_than_fit_are_refused_and_so_is_a_long_uri() -> None:
    with pytest.raises(Refused, match="too_many_maps"):
        record(*[to(ALICE, FOR_ALICE)] * (SEALED_MAPS + 1))
    longest = Map("b.example", (Service.IM,), "mimi://b.example/u/" + "x" * 89)
    assert open_maps(record(to(ALICE, longest)), [ALICE]) == (longest,)
    with pytest.raises(Refused, match="oversized"):
        record(to(ALICE, replace(longest, uri=longest.uri + "x")))


def test_a_record_with_sealed_maps_is_taken_and_leaves_room_for_open_ones() -> None:
    open_ones = tuple(replace(OPEN, uri=f"sip:+1415555012{i}@b.example") for i in range(6))
    made = record(to(ALICE, FOR_ALICE), maps=open_ones)
    token = sign_record(made, SIGNER)
    assert len(token) <= MAX_RECORD
    assert open_maps(parse_record(token)[1], [ALICE]) == (FOR_ALICE,)


def test_a_record_of_dummies_alone_is_no_opting_out() -> None:
    assert not record(maps=()).opted_out


def test_a_map_opens_in_its_own_record_only() -> None:
    made = record(to(ALICE, FOR_ALICE))
    for other in (
        replace(made, seq=2),
        replace(made, csi=parse_identifier("tel:+14155550124")),
        replace(made, csi=parse_identifier("mailto:bob@mail.example")),
    ):
        assert open_maps(other, [ALICE]) == ()


@pytest.mark.parametrize("place", [0, 31, 32, 100, 159])
def test_an_altered_map_does_not_open(place: int) -> None:
    made = record(*[to(ALICE, FOR_ALICE)] * SEALED_MAPS)
    altered = []
    for text in made.sealed:
        octets = bytearray(decode(text))
        octets[place] ^= 1
        altered.append(encode(bytes(octets)))
    assert open_maps(replace(made, sealed=tuple(altered)), [ALICE]) == ()


def test_octets_that_are_no_point_or_no_map_are_passed_over() -> None:
    suite = CipherSuite.new(KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.AES128_GCM)
    info = b"spingate sealed map v1\x00tel:+14155550123\x001"

    def hostile(content: bytes) -> str:
        recipient = KEMKey.from_pyca_cryptography_key(ALICE.public_key())
        enc, context = suite.create_sender_context(recipient, info)
        return encode(enc + context.seal(content.ljust(112, b"\0")))

    uri = b"sip:bob@x.example"
    good = hostile(b"\x01\x00\x0a" + bytes((len(uri),)) + uri)
    for content in (
        b"",
        b"\x00\x00\x0a" + bytes((len(uri),)) + uri,  # no service
        b"\xff\x00\x0a" + bytes((len(uri),)) + uri,  # a service nobody knows
        b"\x01\x00\x0a\xff" + uri,  # a length past the end
        b"\x01\x00\x0a\x03" + uri,  # something behind the end
        b"\x01\x00\x0a\x04\xff\xff\xff\xff",
        b"\x01\x00\x0a\x0ahttp://127/",
    ):
        made = replace(record(), sealed=(hostile(content), encode(bytes(160)), good, "AAAA"))
        assert [each.uri for each in open_maps(made, [ALICE])] == [uri.decode()]


def test_so_many_keys_are_tried_and_no_more() -> None:
    others = [X25519PrivateKey.generate() for _ in range(MAX_KEYS)]
    made = record(to(ALICE, FOR_ALICE))
    assert open_maps(made, [*others[1:], ALICE]) == (FOR_ALICE,)
    assert open_maps(made, [*others, ALICE]) == ()


def test_an_opened_map_comes_before_those_for_everybody() -> None:
    made = record(to(ALICE, FOR_ALICE), to(TEAM, FOR_TEAM))
    opened = open_maps(made, [ALICE, TEAM])
    assert select(made, Service.VOICE, opened=opened) == (FOR_TEAM,)
    every = replace(made, selection=Selection.ALL)
    assert select(every, Service.VOICE, opened=opened) == (FOR_TEAM, FOR_ALICE, OPEN)
    assert select(every, Service.VOICE, opened=opened, wanted_tags=("x",))[0] == FOR_TEAM
    assert select(made, Service.IM, opened=opened) == (FOR_ALICE,)
    assert select(made, Service.VIDEO, opened=opened) == ()
    assert select(made, Service.VOICE) == (OPEN,)


def test_a_public_key_is_handed_on_as_text() -> None:
    assert public_key(public_text(ALICE)) == ALICE.public_key()
    for bad in ("", "A", "A" * 42, "A" * 44, "*" * 43):
        with pytest.raises(Refused, match="malformed"):
            public_key(bad)
