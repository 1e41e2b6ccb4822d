"""What `spingate check` finds out about the relay and the issuer of an oblivious directory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final, Protocol
from urllib.parse import urlsplit

from discovery.privacy.issuer_directory import parse_issuer_directory
from discovery.privacy.ohttp_keys import parse_key_configurations
from discovery.privacy.reason import PrivacyError
from gateway.config.oblivious import ObliviousServer
from gateway.finding import Finding
from gateway.http.fetch import Fetched, FetchFailed
from gateway.token_source import read_key_id

_TIMEOUT: Final = 5.0
_ISSUER_DIRECTORY: Final = "/.well-known/private-token-issuer-directory"


class Requester(Protocol):
    """Whoever makes the requests."""

    async def request(self, method: str, url: str, *, timeout: float) -> Fetched:
        """Make one; raises FetchFailed."""


async def oblivious_way(
    settings: ObliviousServer, client: Requester, believed: object
) -> AsyncIterator[Finding]:
    """Yield what there is to say of the way to one directory.

    believed: `token_issuers` of its description, as it came.
    """
    yield await _relay(settings.relay, client)
    yield await _issuer(settings, client)
    host = urlsplit(settings.issuer).hostname
    name = settings.issuer_name or host
    taken = believed if isinstance(believed, list) else []
    if name not in taken:
        names = ", ".join(map(str, taken)) or "nobody"
        hint = f"set issuer_name to the issuer's name ([issuer] name), or its operator adds {name}"
        detail = f"the directory takes tokens of {names}, not of {name}"
        yield Finding(_called("tokens", settings.issuer), "failed", detail, hint)


async def _relay(url: str, client: Requester) -> Finding:
    name = _called("relay", url)
    try:
        answer = await client.request("GET", url, timeout=_TIMEOUT)
        if answer.status != 200:
            hint = "ask its operator for the URL it has for this directory"
            return Finding(name, "failed", f"HTTP status {answer.status}", hint)
        parse_key_configurations(answer.body)
    except FetchFailed as failed:
        hint = "check relay and discovery.directory.trust_anchors, and that it runs"
        return Finding(name, "failed", str(failed), hint)
    except PrivacyError as error:
        return Finding(name, "failed", f"no keys come from it: {error}", "is the url a relay's?")
    return Finding(name, "passed", "reached, and it leads to a directory's keys")


async def _issuer(settings: ObliviousServer, client: Requester) -> Finding:
    name = _called("issuer", settings.issuer)
    try:
        url = f"{settings.issuer}{_ISSUER_DIRECTORY}"
        answer = await client.request("GET", url, timeout=_TIMEOUT)
        if answer.status != 200:
            hint = "is the url an issuer's?"
            return Finding(name, "failed", f"HTTP status {answer.status}", hint)
        published = {key.key_id for key, _ in parse_issuer_directory(answer.body).keys}
    except FetchFailed as failed:
        hint = "check issuer and discovery.directory.trust_anchors, and that it runs"
        return Finding(name, "failed", str(failed), hint)
    except PrivacyError as error:
        return Finding(name, "failed", str(error), "is the url an issuer's?")
    return _pinned(name, set(map(read_key_id, settings.issuer_keys)), published)


def _pinned(name: str, pinned: set[bytes], published: set[bytes]) -> Finding:
    if not pinned & published:
        hint = "ask its operator whether the key was changed (spingate directory issuer-key)"
        return Finding(name, "failed", "it publishes no key that is in issuer_keys", hint)
    return Finding(name, "passed", "reached, and its key is among the pinned ones")


def _called(part: str, url: str) -> str:
    return f"{part} {url.partition('://')[2]}"
