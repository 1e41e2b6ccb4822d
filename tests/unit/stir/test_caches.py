"""The credential cache and the replay memory: bounded, and honest about time."""

import pytest

from stir.certificates.cache_control import stale_lifetime
from stir.certificates.certificate import CredentialUnavailable
from stir.certificates.credential_cache import CredentialCache, lifetime
from stir.replay import ReplayCache
from tests.support.stir_authority import NOW, StirWorld

FAR = NOW + 10**9


@pytest.mark.parametrize(
    ("cache_control", "seconds"),
    [
        (None, 300),
        ("max-age=1000000000000", 86_400),
        ("max-age=0", 300),
        ("max-age=-5", 300),
        ("public, max-age=3600", 3600),
        ("s-maxage=7200", 300),
        ('MAX-AGE = "1200"', 1200),
        ("no-store", 300),
        ("max-age=٣٦٠٠", 300),
        ("max-age=" + "9" * 5000, 300),
    ],
)
def test_lifetimes_are_clamped(cache_control: str | None, seconds: float) -> None:
    assert lifetime(cache_control, FAR, NOW) == seconds


def test_nothing_is_kept_past_its_not_after() -> None:
    assert lifetime("max-age=86400", NOW + 100, NOW) == 100
    assert lifetime("max-age=86400", NOW - 100, NOW) == 30


def test_credentials_are_kept_and_expire(world: StirWorld) -> None:
    cache = CredentialCache()
    cache.store("u", world.credential, "max-age=600", NOW)
    assert cache.get("u", NOW + 599) is world.credential
    assert cache.get("u", NOW + 600) is None
    assert len(cache) == 0


def test_failures_are_remembered_for_half_a_minute() -> None:
    cache, why = CredentialCache(), CredentialUnavailable("timed out", "host")
    cache.store_failure("u", why, NOW)
    assert cache.get("u", NOW + 29) is why
    assert cache.get("u", NOW + 30) is None


@pytest.mark.parametrize(
    ("cache_control", "seconds"),
    [
        (None, 3_600),
        ("max-age=600", 3_600),
        ("max-age=600, stale-if-error=1200", 1_200),
        ("stale-if-error=1000000", 3_600),
        ("stale-if-error=0", 0),
        ("stale-if-error=-5", 0),
        ("must-revalidate, max-age=60", 0),
        ("max-age=60,stale-if-error=60,no-cache", 0),
    ],
)
def test_stale_use_is_what_policy_and_server_both_allow(
    cache_control: str | None, seconds: float
) -> None:
    assert stale_lifetime(cache_control, 3_600) == seconds
    assert stale_lifetime(cache_control, 0) == 0


def test_an_expired_copy_serves_on_only_after_its_server_failed(world: StirWorld) -> None:
    cache = CredentialCache(stale_if_error=600)
    cache.store("u", world.credential, None, NOW)
    assert cache.get("u", NOW + 300) is None, "its server has to be asked first"
    assert cache.serve_on("u", NOW + 301) is world.credential
    assert cache.get("u", NOW + 302) is world.credential
    assert cache.get("u", NOW + 899) is world.credential
    assert cache.serve_on("u", NOW + 900) is None
    assert cache.get("u", NOW + 900) is None
    assert len(cache) == 0


def test_nothing_serves_on_past_its_not_after(world: StirWorld) -> None:
    cache = CredentialCache(stale_if_error=86_400)
    dying = world.leaf(not_after=NOW + 400)
    cache.store("u", dying, None, NOW)
    assert cache.serve_on("u", NOW + 350) is dying
    assert cache.get("u", NOW + 399) is dying
    assert cache.get("u", NOW + 400) is None


def test_what_calls_use_is_due_before_it_expires_and_the_rest_is_not(world: StirWorld) -> None:
    cache = CredentialCache()
    for url in ("used", "unused"):
        cache.store(url, world.credential, None, NOW)
    cache.store_failure("failed", CredentialUnavailable("x", "y"), NOW)
    cache.get("used", NOW + 10)
    cache.get("failed", NOW + 10)
    assert cache.due(NOW + 239, 9) == []
    assert cache.due(NOW + 240, 9) == ["used"]
    cache.serve_on("used", NOW + 240)
    assert cache.due(NOW + 269, 9) == [], "it has just failed"
    assert cache.due(NOW + 270, 9) == ["used"]


def test_what_is_unchanged_keeps_its_tag_and_gets_another_lifetime(world: StirWorld) -> None:
    cache = CredentialCache()
    cache.store("u", world.credential, "max-age=600", NOW, etag='"1"')
    entry = cache.renew("u", None, NOW + 500)
    assert entry is not None
    assert (entry.found, entry.etag, entry.expires) == (world.credential, '"1"', NOW + 1100)
    assert cache.renew("unknown", None, NOW) is None


def test_a_doubted_entry_is_asked_for_once_in_five_minutes(world: StirWorld) -> None:
    cache = CredentialCache()
    entry = cache.store("u", world.credential, "max-age=6000", NOW)
    assert not entry.may_revalidate(NOW + 29), "it was fetched just now"
    assert entry.may_revalidate(NOW + 31)
    again = cache.store("u", world.credential, "max-age=6000", NOW + 32)
    assert not again.may_revalidate(NOW + 330)
    assert again.may_revalidate(NOW + 332)


def test_what_was_kept_has_what_is_left_of_its_lifetime(world: StirWorld) -> None:
    cache = CredentialCache(stale_if_error=600)
    cache.restore("fresh", world.credential, NOW + 100, NOW)
    cache.restore("far", world.credential, NOW + 10**9, NOW)
    cache.restore("expired", world.credential, NOW - 100, NOW)
    assert cache.get("fresh", NOW + 99) is world.credential
    assert cache.get("far", NOW + 3599) is world.credential
    assert cache.get("far", NOW + 86_401) is None
    assert cache.get("expired", NOW) is None, "a call waits for its server first"
    assert "expired" in cache.due(NOW, 9), "but it is fetched before one comes"


def test_the_least_recently_used_goes_first(world: StirWorld) -> None:
    cache = CredentialCache(max_entries=2)
    for url in ("a", "b"):
        cache.store(url, world.credential, None, NOW)
    assert cache.get("a", NOW) is not None
    cache.store("c", world.credential, None, NOW)
    assert [url for url, _ in cache.entries(NOW)] == ["a", "c"]
    cache.forget("a")
    cache.clear()
    assert len(cache) == 0


def test_the_replay_memory_is_bounded_and_forgets() -> None:
    memory = ReplayCache(max_entries=2)
    assert memory.admit(b"1", "x", NOW, 60)
    assert not memory.admit(b"1", "y", NOW + 59, 60)
    assert not memory.admit(b"1", None, NOW, 60), "without a Call-ID nothing is the same call"
    assert memory.admit(b"1", "y", NOW + 60, 60)
    for digest in (b"2", b"3", b"4"):
        assert memory.admit(digest, "z", NOW + 60, 60)
    assert len(memory) == 2
    assert memory.evicted == 2


def test_the_replay_memory_holds_what_is_fresh_and_no_more() -> None:
    memory = ReplayCache(max_entries=1_000)
    for number in range(10_000):
        assert memory.admit(b"%d" % number, "c", NOW + number / 100, 5)
        assert len(memory) <= 501, "five seconds at a hundred a second"
    assert memory.evicted == 0


def test_chains_are_bounded_by_their_length_too(world: StirWorld) -> None:
    """Strangers choose how long theirs are: the most that is fetched, 5,000 times."""
    size = len(world.credential.pem)
    cache = CredentialCache(max_octets=3 * size)
    for number in range(9):
        cache.store(f"u{number}", world.credential, None, NOW)
    assert [url for url, _ in cache.entries(NOW)] == ["u6", "u7", "u8"]
    cache.store("u8", world.credential, None, NOW)
    assert cache.forget("u6")
    assert len(cache) == 2
    cache.store("u9", world.credential, None, NOW)
    assert len(cache) == 3
    cache.clear()
    for number in range(3):
        cache.store(f"v{number}", world.credential, None, NOW)
    assert len(cache) == 3
