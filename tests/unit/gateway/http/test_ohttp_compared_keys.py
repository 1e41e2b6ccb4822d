"""Fetched key configurations count where relay and directory say the same, and never otherwise."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

import pytest

from discovery.privacy.ohttp_keys import MEDIA_TYPE, GatewayKey, GatewayKeys
from gateway.http.fetch import FailureReason, Fetched, FetchFailed
from gateway.http.ohttp_compared_keys import ComparedKeys

NOW = 1_795_000_000.0
RELAY = "https://relay.example/relay/dp"
URL = "https://dp.example"


def keys(number: int = 1) -> bytes:
    return GatewayKeys([GatewayKey(number, bytes([number]) * 32)]).encode(NOW)


def described(data: bytes) -> Fetched:
    document = {"v": 1, "ohttp": {"keys": base64.b64encode(data).decode()}}
    return Fetched(200, {"content-type": "application/json"}, json.dumps(document).encode())


class Says:
    """A Requester that always says the same."""

    def __init__(self, answer: Fetched | FetchFailed) -> None:
        self.answer = answer
        self.asked: list[str] = []

    async def request(
        self,
        method: str,
        url: str,
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Fetched:
        self.asked.append(url)
        if isinstance(self.answer, FetchFailed):
            raise self.answer
        return self.answer


def copy(data: bytes, status: int = 200) -> Says:
    return Says(Fetched(status, {"content-type": MEDIA_TYPE}, data))


async def test_what_both_say_is_used_and_a_lookup_fetches_nothing() -> None:
    relay, directory = copy(keys()), Says(described(keys()))
    compared = ComparedKeys(RELAY, URL, relay, directory)
    with pytest.raises(FetchFailed):
        await compared.current()
    assert relay.asked == directory.asked == []
    assert await compared.fetch()
    await compared.current()
    compared.doubt()
    await compared.current()
    assert relay.asked == [RELAY]
    assert directory.asked == [f"{URL}/.well-known/spin-dp"]


@pytest.mark.parametrize(
    ("relay", "directory"),
    [
        (copy(keys(1)), Says(described(keys(2)))),
        (copy(b""), Says(described(b""))),
        (copy(b"\x00\x01x"), Says(described(b"\x00\x01x"))),
        (copy(keys(), status=503), Says(described(keys()))),
        (copy(keys()), Says(Fetched(500, {}, b""))),
        (copy(keys()), Says(Fetched(200, {}, b"{"))),
        (copy(keys()), Says(Fetched(200, {}, b'{"ohttp":null}'))),
        (copy(keys()), Says(Fetched(200, {}, b'{"ohttp":{"keys":7}}'))),
        (copy(keys()), Says(Fetched(200, {}, b'{"ohttp":{"keys":"%%%"}}'))),
        (copy(keys()), Says(FetchFailed("dp.example", FailureReason.TLS, "no TLS"))),
        (Says(FetchFailed("relay.example", FailureReason.DNS, "gone")), Says(described(keys()))),
    ],
)
async def test_else_none_is_and_those_before_stay(relay: Says, directory: Says) -> None:
    through, direct = copy(keys(3)), Says(described(keys(3)))
    compared = ComparedKeys(RELAY, URL, through, direct)
    assert await compared.fetch()
    before = await compared.current()
    through.answer, direct.answer = relay.answer, directory.answer
    assert not await compared.fetch()
    assert await compared.current() is before
    fresh = ComparedKeys(RELAY, URL, relay, directory)
    assert not await fresh.fetch()
    with pytest.raises(FetchFailed):
        await fresh.current()


async def test_keys_that_change_with_each_copy_are_said_to_mark_who_asks() -> None:
    relay, directory, now = copy(keys()), Says(described(keys())), 0.0
    compared = ComparedKeys(RELAY, URL, relay, directory, monotonic=lambda: now)
    for number, hours, hasty in ((1, 0, 0), (2, 30, 0), (2, 31, 0), (3, 60, 0), (4, 61, 1)):
        now = hours * 3_600.0
        relay.answer = Fetched(200, {"content-type": MEDIA_TYPE}, keys(number))
        directory.answer = described(keys(number))
        assert await compared.fetch()
        assert compared.hasty == hasty
