"""Holds, selection, merging, statuses, limits and the prefix map: pure decisions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from discovery.directory.answer import (
    ANSWER_OCTETS,
    MAX_CHAIN,
    Answer,
    LoggedRecord,
    Status,
    build_answer,
    status_of,
)
from discovery.directory.challenge import (
    key_authorization,
    make_challenge,
    message_text,
    read_code,
)
from discovery.directory.challenge_limits import (
    ChallengeCounts,
    ChallengeLimits,
    check_counts,
    check_reach,
    prefix_of,
)
from discovery.directory.holding import HOLD, Claim, Granted, Held, judge_claim
from discovery.directory.identifier import Identifier, Scheme, parse_identifier
from discovery.directory.merging import ProvenRecord, merge
from discovery.directory.prefix_map import (
    DirectoryName,
    PrefixMap,
    read_prefix_map,
    sign_prefix_map,
)
from discovery.directory.reason import Refusal, Refused
from discovery.directory.record import MAX_RECORD, Map, Record, Selection
from discovery.directory.selection import select
from discovery.model import Service
from discovery.spin.segments import split_text
from gateway.directory.keys import EcSigner
from stir.certificates.issuing import new_key

NOW = 1_795_000_000
CSI = parse_identifier("tel:+14155550123")
MAIL = parse_identifier("mailto:bob@mail.example")
SIGNER = EcSigner(new_key())
VOICE = Map("b.example", (Service.VOICE,), "sip:bob@b.example", 10, ("personal",))
WORK = Map("w.example", (Service.VOICE,), "sip:bob@w.example", 20, ("business",))
CHAT = Map("chat.example", (Service.IM,), "mimi://chat.example/u/bob", 30)
RECORD = Record(CSI, 1, NOW, NOW + 100, (VOICE, WORK, CHAT), "https://ca.example/1")


# --- holds -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("holders", "released", "claim", "expected"),
    [
        ((), False, None, Granted()),
        (("me",), False, None, Granted()),
        (("me", "other"), False, None, Granted()),
        (("other",), True, None, Granted()),
        (("other",), False, None, Held(Claim("me", NOW, NOW + HOLD), fresh=True)),
        (
            ("other",),
            False,
            Claim("me", NOW - HOLD + 1, NOW + 1),
            Held(Claim("me", NOW - HOLD + 1, NOW + 1), fresh=False),
        ),
        (("other",), False, Claim("me", NOW - HOLD, NOW), Granted()),
    ],
)
def test_an_identifier_another_key_holds_is_waited_for(
    holders: tuple[str, ...], released: bool, claim: Claim | None, expected: Granted | Held
) -> None:
    verdict = judge_claim("me", holders=holders, released=released, claim=claim, now=NOW)
    assert verdict == expected


# --- selection -------------------------------------------------------------------------------


def test_the_owners_order_counts_and_first_means_one() -> None:
    assert select(RECORD, Service.VOICE) == (VOICE,)
    every = replace(RECORD, selection=Selection.ALL)
    assert select(every, Service.VOICE) == (VOICE, WORK)
    assert select(every, Service.VIDEO) == ()
    assert select(every, Service.IM) == (CHAT,)


def test_wanted_tags_choose_and_lose_nothing_where_none_fits() -> None:
    assert select(RECORD, Service.VOICE, wanted_tags=("business",)) == (WORK,)
    assert select(RECORD, Service.VOICE, wanted_tags=("fax",)) == (VOICE,)


def test_a_map_for_its_own_providers_users_is_used_by_them_only() -> None:
    own = replace(VOICE, tags=("same-msp-only",))
    record = replace(RECORD, maps=(own,))
    assert select(record, Service.VOICE) == ()
    assert select(record, Service.VOICE, own_domains=("b.example",)) == (own,)


def test_equal_order_favours_nobody_and_is_the_same_everywhere() -> None:
    maps = tuple(
        Map(f"p{n}.example", (Service.VOICE,), f"sip:bob@p{n}.example", 10) for n in range(8)
    )
    record = replace(RECORD, maps=maps, selection=Selection.ALL)
    chosen = select(record, Service.VOICE, own_domains=("p0.example",))
    backwards = replace(record, maps=tuple(reversed(maps)))
    assert chosen == select(backwards, Service.VOICE)
    firsts = {
        select(replace(record, csi=Identifier(Scheme.TEL, str(14155550100 + n))), Service.VOICE)[0]
        for n in range(100)
    }
    assert len(firsts) == 8


# --- merging ---------------------------------------------------------------------------------


def proven(record: Record, key: str, *, logged: bool = False, at: str = "dp1") -> ProvenRecord:
    digest = f"{key}{record.seq}"
    return ProvenRecord(record, key, digest, logged, NOW + 100, at, LoggedRecord("t", ("c",)))


def test_of_one_key_the_latest_record_counts_and_the_logged_copy_is_kept() -> None:
    newer = replace(RECORD, seq=2)
    merged = merge([proven(newer, "a"), proven(RECORD, "a", logged=True, at="dp2")])
    assert (merged.status, [each.record.seq for each in merged.records]) == (Status.MAPS, [2])
    merged = merge([proven(RECORD, "a"), proven(RECORD, "a", logged=True, at="dp2")])
    assert [each.logged for each in merged.records] == [True]


def test_two_keys_are_a_conflict_in_one_order_whoever_answered_first() -> None:
    two = [proven(RECORD, "a"), proven(RECORD, "b", at="dp2")]
    merged = merge(two)
    assert merged.status is Status.CONFLICT
    assert merged == merge(list(reversed(two)))
    assert merge([]).status is Status.NONE


def test_a_key_that_no_log_knows_makes_no_conflict_where_logged_ones_are_demanded() -> None:
    hidden = proven(replace(RECORD, maps=()), "b", at="dp2")
    merged = merge([proven(RECORD, "a", logged=True), hidden], logged_first=True)
    assert [each.thumbprint for each in merged.records] == ["a"]
    assert merge([hidden], logged_first=True).status is Status.OPTOUT
    # A newer record of one key is not undone by a log that has only the older one.
    newer = proven(replace(RECORD, seq=2), "a")
    merged = merge([proven(RECORD, "a", logged=True), newer], logged_first=True)
    assert [each.record.seq for each in merged.records] == [2]


@pytest.mark.parametrize(
    ("records", "status"),
    [
        ((), Status.NONE),
        ((RECORD,), Status.MAPS),
        ((replace(RECORD, maps=()),), Status.OPTOUT),
        ((RECORD, RECORD), Status.CONFLICT),
        ((RECORD, replace(RECORD, maps=())), Status.CONFLICT),
    ],
)
def test_zero_one_many_opted_out_and_conflict_are_told_apart(
    records: tuple[Record, ...], status: Status
) -> None:
    assert status_of(records) is status


def test_the_largest_answer_fits_the_one_size() -> None:
    longest = parse_identifier("mailto:" + "b" * 64 + "@" + ("m" * 63 + ".") * 2 + "example")
    record = LoggedRecord(
        "t" * MAX_RECORD, ("c" * (MAX_CHAIN - 8), "d" * 8), {"proof": "p" * 2_290}
    )
    alone = replace(record, proof={"proof": "p" * 9_000})
    answer = Answer(
        "https://dp.example" + "x" * 40, longest, NOW, Status.CONFLICT, ("d" * 43,) * 2, "n" * 400
    )
    assert len(build_answer(answer, (record, record), SIGNER)) == ANSWER_OCTETS
    assert len(build_answer(answer, (alone,), SIGNER)) == ANSWER_OCTETS
    assert len(build_answer(replace(answer, digests=()), (), SIGNER)) == ANSWER_OCTETS
    with pytest.raises(Refused) as caught:
        build_answer(answer, (record,) * 3, SIGNER)
    assert caught.value.reason is Refusal.OVERSIZED


# --- challenges ------------------------------------------------------------------------------


def test_part_1_goes_two_ways_and_the_answer_binds_both_and_the_key() -> None:
    octets = iter(range(1, 255))
    challenge = make_challenge(CSI, "t" * 43, lambda n: bytes([next(octets)]) * n, routes=2)
    assert [len(part) for part in challenge.sent] == [8, 8]
    part1 = "".join(challenge.sent)
    assert challenge.answer == key_authorization(part1, challenge.part2, "t" * 43)
    assert challenge.answer != key_authorization(part1, challenge.part2, "u" * 43)
    assert challenge.answer != key_authorization(part1[:8], challenge.part2, "t" * 43)
    assert part1[:8] not in repr(challenge)


def test_a_mail_challenge_has_128_bits() -> None:
    challenge = make_challenge(MAIL, "t" * 43, lambda n: b"\xff" * n)
    assert len(challenge.sent[0]) == 22
    assert read_code(f" {challenge.sent[0]}\n", MAIL) == challenge.sent[0]


def test_codes_are_typed_with_or_without_separators_and_fit_one_message() -> None:
    assert read_code("1234-5678 8765 4321", CSI) == "1234567887654321"
    assert len(split_text(message_text("12345678", 2, 2), 0)) == 1


def test_what_is_counted_limits_what_is_sent() -> None:
    limits = ChallengeLimits()
    check_counts(ChallengeCounts(2, 19, 99, 19_999, 19, 0), limits)
    check_counts(ChallengeCounts(settled=100, completed=20), limits)
    for counts in (
        ChallengeCounts(identifier=3),
        ChallengeCounts(source=20),
        ChallengeCounts(prefix=100),
        ChallengeCounts(total=20_000),
        ChallengeCounts(settled=20, completed=3),
    ):
        with pytest.raises(Refused) as caught:
            check_counts(counts, limits)
        assert caught.value.reason is Refusal.RATE_LIMITED


def test_only_listed_countries_and_domains_are_reached() -> None:
    limits = ChallengeLimits(prefixes=("1415", "44"), mail_domains=("mail.example",))
    check_reach(CSI, limits)
    check_reach(MAIL, limits)
    for text in ("tel:+12125550100", "mailto:bob@other.example"):
        with pytest.raises(Refused) as caught:
            check_reach(parse_identifier(text), limits)
        assert caught.value.reason is Refusal.NOT_ALLOWED
    assert (prefix_of(CSI), prefix_of(MAIL)) == ("14155", "mail.example")


# --- the prefix map --------------------------------------------------------------------------

ONE, TWO = (
    DirectoryName("https://dp1.example", "a" * 43),
    DirectoryName("https://dp2.example", "b" * 43),
)
PREFIXES = PrefixMap(
    NOW,
    NOW + 100,
    {"+": (ONE,), "+1415": (TWO, ONE), "mailto": (TWO,), "mailto:mail.example": (ONE,)},
)


def test_the_longest_prefix_names_the_directories() -> None:
    read = read_prefix_map(sign_prefix_map(PREFIXES, SIGNER), SIGNER.public, NOW)
    assert read == PREFIXES
    assert read.directories(CSI) == (TWO, ONE)
    assert read.directories(parse_identifier("tel:+44205550100")) == (ONE,)
    assert read.directories(MAIL) == (ONE,)
    assert read.directories(parse_identifier("mailto:bob@other.example")) == (TWO,)
    assert replace(PREFIXES, prefixes={}).directories(CSI) == ()


@pytest.mark.parametrize(
    ("changed", "now", "reason"),
    [
        (PREFIXES, NOW + 100, Refusal.EXPIRED),
        (PREFIXES, NOW - 61, Refusal.NOT_FRESH),
        (replace(PREFIXES, prefixes={"1": (ONE,)}), NOW, Refusal.MALFORMED),
        (replace(PREFIXES, prefixes={"+1": ()}), NOW, Refusal.MALFORMED),
        (
            replace(PREFIXES, prefixes={"+1": (DirectoryName("http://dp.example", "a" * 43),)}),
            NOW,
            Refusal.MALFORMED,
        ),
        (
            replace(PREFIXES, prefixes={"+1": (DirectoryName("https://dp.example", "a"),)}),
            NOW,
            Refusal.MALFORMED,
        ),
    ],
)
def test_a_bad_prefix_map_has_one_reason(changed: PrefixMap, now: float, reason: Refusal) -> None:
    with pytest.raises(Refused) as caught:
        read_prefix_map(sign_prefix_map(changed, SIGNER), SIGNER.public, now)
    assert caught.value.reason is reason


def test_a_prefix_map_signed_by_another_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        read_prefix_map(sign_prefix_map(PREFIXES, SIGNER), EcSigner(new_key()).public, NOW)
    assert caught.value.reason is Refusal.BAD_SIGNATURE
