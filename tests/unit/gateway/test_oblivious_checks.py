"""`spingate check` looks at relay and issuer, and at whose tokens the directory takes."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from discovery.privacy.issuer_directory import IssuerDirectory
from discovery.privacy.rsa_numbers import RsaPrivateKey
from discovery.privacy.token_key import TokenKey
from gateway.config.oblivious import ObliviousServer
from gateway.http.fetch import FailureReason, Fetched, FetchFailed
from gateway.oblivious_checks import oblivious_way

RELAY, ISSUER = "https://relay.example:8448/relay/dp", "https://192.0.2.30:8449"
KEYS = "AC20ACA75frEfH65VOxRxtUr3hfDN0+xt3w+qBDqIE+RnG4pcgAIAAEAAQABAAM="
KEY = TokenKey(RsaPrivateKey.generate().public)


class Servers:
    """Answers as relay and issuer would, but for what a test changes."""

    def __init__(self, **changed: Fetched | FetchFailed) -> None:
        self._changed = changed

    async def request(self, method: str, url: str, *, timeout: float) -> Fetched:
        relay = url == RELAY
        answer = self._changed.get("relay" if relay else "issuer")
        if isinstance(answer, FetchFailed):
            raise answer
        if answer is not None:
            return answer
        listed = IssuerDirectory("/token-request", ((KEY, 0.0),)).encode()
        return Fetched(200, {}, base64.b64decode(KEYS) if relay else listed)


async def found(
    believed: object, *, name: str | None = "tokens.example", key: TokenKey = KEY, **changed: Any
) -> list[str]:
    pinned = base64.urlsafe_b64encode(key.key_id).decode().rstrip("=")
    settings = ObliviousServer(relay=RELAY, issuer=ISSUER, issuer_name=name, issuer_keys=(pinned,))
    servers = Servers(**changed)
    findings = [each async for each in oblivious_way(settings, servers, believed)]
    assert all(each.hint for each in findings if each.outcome == "failed")
    return [f"{each.outcome} {each.name}: {each.detail}" for each in findings]


async def test_a_way_that_works_passes() -> None:
    said = await found(["tokens.example"])
    assert [each.split(" ")[0] for each in said] == ["passed", "passed"]


@pytest.mark.parametrize("believed", [["tokens.example"], [], None])
async def test_an_issuer_known_by_another_name_is_said(believed: object) -> None:
    *_, said = await found(believed, name=None)
    taken = "tokens.example" if believed else "nobody"
    assert said.endswith(f"the directory takes tokens of {taken}, not of 192.0.2.30")


async def test_another_key_than_the_pinned_one_is_said() -> None:
    other = TokenKey(RsaPrivateKey.generate().public)
    said = await found(["tokens.example"], key=other)
    assert said[1].endswith("it publishes no key that is in issuer_keys")


DOWN = FetchFailed("relay.example", FailureReason.CONNECT, "connection refused")


@pytest.mark.parametrize(
    ("part", "answer", "says"),
    [
        ("relay", DOWN, "relay.example: connect: connection refused"),
        ("relay", Fetched(404, {}, b""), "HTTP status 404"),
        ("relay", Fetched(200, {}, b"<html>"), "no keys come from it"),
        ("issuer", DOWN, "relay.example: connect: connection refused"),
        ("issuer", Fetched(404, {}, b""), "HTTP status 404"),
        ("issuer", Fetched(200, {}, b"<html>"), "malformed"),
    ],
)
async def test_what_does_not_answer_as_it_should_is_said(part: str, answer: Any, says: str) -> None:
    said = await found(["tokens.example"], **{part: answer})
    failed = [each for each in said if each.startswith("failed")]
    assert len(failed) == 1
    assert says in failed[0]
