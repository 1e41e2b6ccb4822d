"""Carriages beside text: by reference, binary, multimedia; and which one is taken."""

from __future__ import annotations

import itertools

import pytest

from discovery.model import Service
from discovery.spin import gsm7
from discovery.spin.binary import PORT, to_binary_parts
from discovery.spin.carriage import LOCALES, looks_torn
from discovery.spin.mms import build_content, read_content
from discovery.spin.networks import Carriage, Network, Networks
from discovery.spin.reason import Refusal, Refused
from discovery.spin.reference import (
    MAX_FETCHES,
    References,
    check_document,
    read_reference,
    to_reference_text,
    token_hash,
)
from discovery.spin.segments import application_port, split_header
from tests.support.spin_passports import ALICE, KeySigner, invitation_claims

TOKEN = KeySigner(ALICE).sign("spin", invitation_claims())
PLACE, REFERENCE_ID = "spin.alpha.example:8443", "abcdefghijklmnop"


@pytest.mark.parametrize("locale", sorted(LOCALES))
@pytest.mark.parametrize("service", list(Service))
def test_a_reference_fits_one_short_message_in_every_language(
    locale: str, service: Service
) -> None:
    text = to_reference_text(PLACE, REFERENCE_ID, TOKEN, ALICE, service, locale)
    assert len(gsm7.encode(text)) <= 160, text


def test_a_reference_comes_back_as_it_went_in() -> None:
    text = to_reference_text(PLACE, REFERENCE_ID, TOKEN, ALICE, Service.VOICE)
    reference = read_reference(text)
    assert reference is not None
    assert reference.host == "spin.alpha.example"
    assert reference.url == f"https://{PLACE}/r/{REFERENCE_ID}"
    assert check_document(reference, TOKEN.encode() + b"\n") == TOKEN


@pytest.mark.parametrize(
    "text",
    [
        "Dinner at eight?",
        "xspin:1r:spin.alpha.example/abcdefgh#" + "a" * 22,
        "spin:1r:127.0.0.1/abcdefgh#" + "a" * 22,
        "spin:1r:localhost/abcdefgh#" + "a" * 22,
        "spin:1r:user@spin.alpha.example/abcdefgh#" + "a" * 22,
        "spin:1r:spin.alpha.example/../abcdefgh#" + "a" * 22,
        "spin:1r:spin.alpha.example/abcdefgh?x#" + "a" * 22,
        "spin:1r:spin.alpha.example/abcdefgh#" + "a" * 21,
        "spin:1r:spin.alpha.example/abcdefgh#" + "a" * 22 + " and more",
        "spin:1r:SPIN.alpha.example/abcdefgh#" + "a" * 22,
    ],
)
def test_what_is_no_reference_belongs_to_the_person(text: str) -> None:
    assert read_reference(text) is None


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"x" * 4097, Refusal.OVERSIZED),
        ("é".encode(), Refusal.MALFORMED),
        (TOKEN.replace("a", "b", 1).encode(), Refusal.FORGED),
        (b"", Refusal.FORGED),
    ],
)
def test_what_is_not_what_the_message_refers_to_is_refused(body: bytes, reason: Refusal) -> None:
    reference = read_reference(f"spin:1r:a.example/abcdefgh#{token_hash(TOKEN)}")
    assert reference is not None
    with pytest.raises(Refused) as caught:
        check_document(reference, body)
    assert caught.value.reason is reason


def references(max_references: int = 3) -> References:
    counter = itertools.count(1)
    return References(
        lambda count: next(counter).to_bytes(count, "big"), max_references=max_references
    )


def test_a_reference_is_given_a_few_times_until_it_expires() -> None:
    held = references()
    one = held.add(TOKEN, 100.0, 0.0)
    assert len(one) == 16
    assert [held.fetch(one, 1.0) for _ in range(MAX_FETCHES + 1)] == [TOKEN] * MAX_FETCHES + [None]
    other = held.add(TOKEN, 100.0, 0.0)
    assert held.fetch(other, 100.0) is None
    assert held.fetch("unknown", 0.0) is None


def test_references_are_bounded_and_make_room_as_they_expire() -> None:
    held = references()
    for end in (10.0, 5.0, 20.0):
        held.add(TOKEN, end, 0.0)
    with pytest.raises(Refused) as caught:
        held.add(TOKEN, 30.0, 1.0)
    assert caught.value.reason is Refusal.OVERLOADED
    held.add(TOKEN, 30.0, 10.0)
    assert len(held) == 2


def test_torn_references_are_no_message_for_people() -> None:
    assert looks_torn("+1 wants to call you spin:1r:spin.alp")


def test_a_binary_invitation_has_128_octets_a_part_for_the_port() -> None:
    parts = to_binary_parts(TOKEN, 7)
    assert [len(part.data) for part in parts[:-1]] == [128] * (len(parts) - 1)
    assert all(len(part.octets) <= 140 for part in parts)
    assert {application_port(part.octets) for part in parts} == {PORT}
    places = [split_header(part.octets) for part in parts]
    assert b"".join(rest for _, rest in places).decode() == TOKEN
    assert [place.number for place, _ in places if place] == list(range(1, len(parts) + 1))


def test_a_binary_invitation_that_needs_too_many_parts_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 10"):
        to_binary_parts("x" * 1281, 7)
    (single,) = to_binary_parts("x" * 128, 7)
    assert single.concatenation is None
    assert application_port(single.octets) == PORT


def test_a_multimedia_message_carries_text_for_people_and_the_invitation() -> None:
    entity = build_content("Grüße: call back.", TOKEN, "abc")
    assert "Grüße: call back.".encode() in entity
    assert read_content(entity).token == TOKEN


@pytest.mark.parametrize(
    "entity",
    [
        b"",
        b"\xff" * 100,
        b"Content-Type: text/plain\r\n\r\nhello",
        b"Content-Type: multipart/mixed\r\n\r\nno boundary",
        b'Content-Type: multipart/mixed; boundary="x"\r\n\r\n--x',
        b"Content-Type: application/spin-invitation+jwt; charset=\xff\xfe\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n!!!",
        b"x" * 300_001,
        b'Content-Type: multipart/mixed; boundary="a"\r\n\r\n' + b"--a\r\n\r\n\r\n" * 100,
    ],
)
def test_a_hostile_multimedia_message_holds_nothing_and_raises_nothing(entity: bytes) -> None:
    assert read_content(entity).token in (None, "", "!!!")


NETWORKS = (
    Network("1", (Carriage.REFERENCE,)),
    Network("1212555", (Carriage.MMS, Carriage.BINARY)),
)


def test_the_longest_prefix_names_the_carriages_and_text_is_always_there() -> None:
    networks = Networks(NETWORKS)
    assert networks.carriages("12125550123", 0) == (
        Carriage.MMS,
        Carriage.BINARY,
        Carriage.TEXT,
    )
    assert networks.carriages("13105550123", 0) == (Carriage.REFERENCE, Carriage.TEXT)
    assert networks.carriages("442079460123", 0) == (Carriage.TEXT,)


def test_receipts_teach_which_carriage_does_not_arrive() -> None:
    networks = Networks(NETWORKS, failures=2, pause=100.0)
    number = "13105550123"
    networks.learn(number, Carriage.REFERENCE, delivered=False, now=0.0)
    assert networks.carriages(number, 1.0)[0] is Carriage.REFERENCE
    networks.learn("13105550199", Carriage.REFERENCE, delivered=False, now=0.0)
    assert networks.carriages(number, 1.0) == (Carriage.TEXT,)
    assert networks.carriages("14155550123", 1.0)[0] is Carriage.REFERENCE
    assert networks.carriages(number, 100.0)[0] is Carriage.REFERENCE
    networks.learn(number, Carriage.REFERENCE, delivered=True, now=1.0)
    assert networks.carriages(number, 1.0)[0] is Carriage.REFERENCE


def test_one_phone_that_is_off_teaches_nothing_of_its_network() -> None:
    networks = Networks(NETWORKS, failures=2, pause=100.0)
    number = "13105550123"
    for _part in range(4):
        networks.learn(number, Carriage.REFERENCE, delivered=False, now=0.0)
    assert networks.carriages(number, 1.0)[0] is Carriage.REFERENCE
    networks.learn("13105550199", Carriage.REFERENCE, delivered=False, now=0.0)
    assert networks.carriages(number, 1.0) == (Carriage.TEXT,)
    assert networks.carriages(number, -1_000.0)[0] is Carriage.REFERENCE  # the clock was set back


def test_text_is_tried_even_where_it_never_arrived() -> None:
    networks = Networks(failures=1)
    networks.learn("13105550123", Carriage.TEXT, delivered=False, now=0.0)
    assert networks.carriages("13105550123", 1.0) == (Carriage.TEXT,)


def test_what_is_learnt_is_bounded() -> None:
    networks = Networks(max_records=10)
    for number in range(1000):
        networks.learn(f"{number:06}0000", Carriage.MMS, delivered=False, now=0.0)
    assert len(networks) == 10
