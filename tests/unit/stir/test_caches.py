"""The credential cache and the replay memory: bounded, and honest about time."""

import pytest

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
