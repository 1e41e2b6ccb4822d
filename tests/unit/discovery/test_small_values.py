"""Numbers, service URIs, templates, the cache, limits and the replay memory."""

from __future__ import annotations

import pytest

from discovery.cache import CacheKey, MappingCache
from discovery.model import Assurance, FoundUri, Outcome, Resolution, Service, SourceOutcome
from discovery.number import NumberRanges, canonical_number, is_number, masked
from discovery.service_uri import (
    MalformedServiceUri,
    check_template,
    expand_template,
    parse_service_uri,
)
from discovery.spin.limits import RateLimit, ReplayMemory, SlidingWindow


@pytest.mark.parametrize("text", ["", "12", "1" * 16, "+", "++123", "1 23", "١٢٣", "123\n", "12a"])
def test_what_is_not_a_number_is_refused(text: str) -> None:
    assert canonical_number(text) is None


def test_a_number_is_digits_with_or_without_a_plus() -> None:
    assert canonical_number("+12125550123") == canonical_number("12125550123") == "12125550123"
    assert not is_number(12125550123)


def test_ranges_hold_numbers_of_their_own_length_only() -> None:
    ranges = NumberRanges(["+12125550100-+12125550199", "33612345678"])
    assert "12125550123" in ranges
    assert "33612345678" in ranges
    assert "12125550200" not in ranges
    assert "121255501" not in ranges
    assert 12125550123 not in ranges
    assert "1212555015\u0660" not in ranges
    assert "12125550123" not in NumberRanges()


def test_a_prefix_overlaps_ranges_it_could_begin() -> None:
    ranges = NumberRanges(["+12125550100-+12125550199"])
    for prefix in ("1", "1212555", "12125550123"):
        assert ranges.overlaps(prefix)
    for prefix in ("2", "12125550200", "121255501234"):
        assert not ranges.overlaps(prefix)


@pytest.mark.parametrize("text", ["", "+1", "1212-", "200-100", "100-1000", "1-2-3", "a-b"])
def test_a_range_out_of_shape_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"number|range"):
        NumberRanges([text])


def test_a_masked_number_cannot_be_called() -> None:
    assert masked("12125550123") == masked("+12125550123") == "+1212*****23"
    assert masked("12345") == "+*****"
    assert masked("ALERT'; DROP") == "(not a number)"


@pytest.mark.parametrize(
    "text",
    [
        "sip:+12125550123@beta.example;user=phone",
        "sips:bob@beta.example:5061;transport=tcp",
        "mimi://chat.example/u/bob",
        "https://meet.example/room/1",
    ],
)
def test_a_plain_service_uri_is_read(text: str) -> None:
    assert parse_service_uri(text).text == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tel:+12125550123",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "http://meet.example/",
        "sip:bob@127.0.0.1",
        "sip:bob@[::1]",
        "sip:bob@localhost",
        "sip:bob@Beta.example",
        "sip:bob@beta.example.",
        "sip:bob@beta.example?Replaces=x",
        "sip:bob@beta.example;maddr=intranet.example",
        "sip:bob@beta.example;MADDR=intranet.example",
        "sip:bob@beta.example;maddr",
        "sip:bob@beta.example;ttl=9",
        "sip:bob@beta.example;method=BYE",
        "sip:bob@beta.example;transport",
        "sip:bob@beta.example;user",
        "sip:bob@beta.example;user=phone;User=phone",
        "sip:bob@beta.example;x=<y>",
        "sip:bob@beta.example\r\nVia: x",
        "sip:bob@beta.example ",
        "sip:b%40b@beta.example",
        "sip:beta.example",
        "sip:a:b@beta.example",
        "sip:bob@beta.example:0",
        "sip:bob@beta.example:99999",
        "https://user@meet.example/",
        "https://meet.example/?q=1",
        "sip:bób@beta.example",
        "sip:" + "b" * 300 + "@beta.example",
    ],
)
def test_anything_else_is_not_a_service_uri(text: str) -> None:
    with pytest.raises(MalformedServiceUri):
        parse_service_uri(text)


@pytest.mark.parametrize(
    ("template", "uri"),
    [
        ("sip:{number}@beta.example", "sip:+12125550123@beta.example;user=phone"),
        ("sip:{tn}@beta.example", "sip:+12125550123@beta.example;user=phone"),
        ("sips:{tn}@beta.example;user=phone", "sips:+12125550123@beta.example;user=phone"),
        ("sip:desk.{tn}@beta.example", "sip:desk.+12125550123@beta.example"),
        ("mimi://beta.example/u/{number}", "mimi://beta.example/u/+12125550123"),
        ("sip:switchboard@beta.example", "sip:switchboard@beta.example"),
    ],
)
def test_a_template_becomes_the_uri_of_a_number(template: str, uri: str) -> None:
    assert expand_template(template, "12125550123").text == uri


@pytest.mark.parametrize(
    "template", ["sip:{number}@gamma.example", "sip:{0}@beta.example", "{number}", "sip:{tn}"]
)
def test_a_template_outside_the_own_domain_or_out_of_shape_is_refused(template: str) -> None:
    with pytest.raises(MalformedServiceUri):
        check_template(template, "beta.example")


def found(prio: int = 10, *, expires_at: float = 100.0, assurance: str = "signed") -> FoundUri:
    return FoundUri(
        Service.VOICE,
        f"sip:{prio}@beta.example",
        "beta.example",
        prio,
        Assurance(assurance),
        expires_at,
    )


KEY = CacheKey("12125550123", Service.VOICE)


def test_the_cache_gives_the_best_first_until_they_expire() -> None:
    cache = MappingCache()
    cache.put(KEY, (found(20, expires_at=50), found(10)), 0)
    assert [uri.prio for uri in cache.get(KEY, 49)] == [10, 20]
    assert [uri.prio for uri in cache.get(KEY, 50)] == [10]
    assert cache.get(KEY, 100) == ()
    assert len(cache) == 0


def test_the_cache_never_holds_longer_than_its_own_limit() -> None:
    cache = MappingCache(max_lifetime=10)
    cache.put(KEY, (found(expires_at=1e12),), 0)
    assert cache.get(KEY, 9.9)
    assert cache.get(KEY, 10) == ()


def test_a_clock_that_was_set_back_gives_no_mapping_a_longer_life() -> None:
    cache = MappingCache()
    cache.put(KEY, (found(expires_at=10_000),), 9_000)
    assert cache.entries(5_000) == []
    assert cache.get(KEY, 5_000) == ()
    assert len(cache) == 0


def test_what_only_a_text_message_said_is_not_cached() -> None:
    cache = MappingCache()
    cache.put(KEY, (found(assurance="sms"),), 0)
    assert len(cache) == 0


def test_a_full_cache_loses_what_was_used_longest_ago() -> None:
    cache = MappingCache(max_entries=2)
    keys = [CacheKey(str(number), Service.VOICE) for number in (111, 222, 333)]
    cache.put(keys[0], (found(),), 0)
    cache.put(keys[1], (found(),), 0)
    assert cache.get(keys[0], 1)
    cache.put(keys[2], (found(),), 2)
    assert [bool(cache.get(key, 3)) for key in keys] == [True, False, True]
    cache.forget(keys[0])
    assert [key for key, _ in cache.entries(3)] == [keys[2]]


def test_a_resolution_says_which_sources_were_asked() -> None:
    asked = (
        SourceOutcome("cache", Outcome.NOT_FOUND, "", 0.0),
        SourceOutcome("spin", Outcome.NO_ANSWER, "8 s", 8.0),
    )
    resolution = Resolution("12125550123", Service.VOICE, (), asked)
    assert resolution.asked_text() == "cache: not found; spin: no answer (8 s)"
    assert not resolution.found
    assert Resolution("1", Service.VOICE, (), ()).asked_text() == "no source configured"


def test_a_window_lets_the_counted_number_through_and_then_waits() -> None:
    window = SlidingWindow(RateLimit(3, 3600))
    assert [window.take("a", now) for now in (0, 1, 2, 3)] == [True, True, True, False]
    assert window.take("b", 3)
    assert not window.take("a", 3599)
    assert window.take("a", 3600)
    assert not window.take("a", 3600.5)


def test_a_clock_that_was_set_back_does_not_stop_a_window_for_good() -> None:
    window = SlidingWindow(RateLimit(3, 60))
    assert window.take("key", 100_000.0)
    for now in range(0, 6_000, 30):
        assert window.take("key", float(now))


def test_a_window_of_none_lets_nothing_through() -> None:
    assert not SlidingWindow(RateLimit(0, 60)).take("a", 0)


def test_a_window_keeps_a_bounded_number_of_keys() -> None:
    window = SlidingWindow(RateLimit(1, 60), max_keys=10)
    for number in range(1000):
        window.take(str(number), 0)
    assert len(window) == 10


def test_the_replay_memory_forgets_what_expired_and_refuses_when_full() -> None:
    memory = ReplayMemory(max_entries=2)
    assert memory.remember("a", 10, 0)
    assert memory.remember("b", 20, 0)
    assert memory.seen("a", 9)
    assert not memory.remember("c", 30, 9)
    assert not memory.seen("a", 10)
    assert memory.remember("c", 30, 10)
    assert len(memory) == 2
