"""What an own device is shown of a caller beside the number: nothing but what is verified."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import quote

from gateway.asserted_headers import is_anonymous
from gateway.caller_data import call_info_value, with_call_info, without_priorities
from gateway.config.rich_call_data import CallerDisplay as Settings
from gateway.http.fetch import FetchFailed, FetchRefused, GuardedClient
from sip.fields import NameAddr
from sip.headers import Headers
from sip.message import Request
from stir.extensions.rcd_integrity import Link, check_content, digest_input, links, links_in_card
from stir.reason import Reason
from stir.rich_call_data import RichCallData, rich_call_data, verified_priorities
from stir.verdict import CallVerdict, Check

MAX_FETCHES: Final = 6
MAX_KEPT: Final = 256
KEEP_SECONDS: Final = 300.0
FETCH_SECONDS: Final = 3.0
MAX_CARD: Final = 4_096
MAX_NAME: Final = 128
MAX_REASON: Final = 64
_ANONYMOUS: Final = "anonymous"


class CallerDisplay:
    """Shows verified names, icons, cards and reasons; fetches by policy what links point to.

    clock gives epoch seconds. At most 8 fetches a call and 3 s for all of them; what was
    fetched is kept for 5 minutes, 256 at most, so that many calls fetch once.
    """

    def __init__(
        self, settings: Settings, client: GuardedClient | None, clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._client = client if settings.fetch else None
        self._clock = clock
        self._kept: OrderedDict[str, tuple[float, bytes | None]] = OrderedDict()

    async def shown(self, request: Request, verdict: CallVerdict) -> tuple[Headers, list[Check]]:
        """Return the header fields as the device sees them, and the checks of linked content."""
        values, psap_callback = verified_priorities(verdict)
        headers = without_priorities(request.headers, values, psap_callback=psap_callback)
        data = None if is_anonymous(request) else rich_call_data(verdict)
        headers = self._with_name(headers, request.from_, data)
        if self._settings.unverified_call_info == "remove":
            headers = headers.without("Call-Info")
        if data is None:
            return _without_word_of_others(headers), []
        parts, checks = await self._in_time(data)
        reason = None if data.call_reason is None else _line(data.call_reason, MAX_REASON)
        value = call_info_value(parts, reason, verified=True)
        return with_call_info(headers, value), checks

    def within_dialog(self, headers: Headers) -> Headers:
        """Return a peer's header fields within a dialog: nobody verifies what they say."""
        kept = without_priorities(headers, frozenset(), psap_callback=False)
        if self._settings.unverified_call_info == "remove":
            return kept.without("Call-Info")
        return _without_word_of_others(kept)

    def _with_name(self, headers: Headers, shown: NameAddr, data: RichCallData | None) -> Headers:
        name = _line(data.name, MAX_NAME) if data is not None else ""
        written = shown.display_name
        if name:
            return headers.replace("From", str(NameAddr(name, shown.uri, shown.params)))
        if written is None or self._settings.unverified_name == "pass":
            return headers
        if written.strip().lower() == _ANONYMOUS:
            return headers
        return headers.replace("From", str(NameAddr(None, shown.uri, shown.params)))

    async def _in_time(
        self, data: RichCallData
    ) -> tuple[list[tuple[str, str, str | None]], list[Check]]:
        """The parts that are verified in time: icons behind cards must not add up."""
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                return await self._verified_parts(data)
        except TimeoutError:
            reason = Reason.CALLER_DATA_UNAVAILABLE
            got = f"not all of it within {FETCH_SECONDS:g} s"
            return [], [Check("caller_data_content", "unavailable", reason, got)]

    async def _verified_parts(
        self, data: RichCallData
    ) -> tuple[list[tuple[str, str, str | None]], list[Check]]:
        """The URIs for Call-Info whose content, and all it links to, has its digest."""
        parts: list[tuple[str, str, str | None]] = []
        checks: list[Check] = []
        if data.card is not None and data.payload is not None:
            found, content = await self._check(data.card)
            checks.append(found)
            if found.outcome == "passed" and content is not None:
                inside = await self._check_all(links_in_card(data.payload, content))
                checks += inside
                if all(check.outcome == "passed" for check in inside):
                    parts.append((data.card.url, "jcard", data.card.digest))
        elif data.included_card is not None and data.payload is not None:
            named = [link for link in links(data.payload) if link.pointer.startswith("/jcd/")]
            inside = await self._check_all(named)
            checks += inside
            written = quote(digest_input(data.included_card))
            if all(check.outcome == "passed" for check in inside) and len(written) <= MAX_CARD:
                parts.append((f"data:application/json,{written}", "jcard", None))
        if data.icon is not None:
            found, _ = await self._check(data.icon)
            checks.append(found)
            if found.outcome == "passed":
                parts.append((data.icon.url, "icon", data.icon.digest))
        return parts, checks

    async def _check_all(self, found: Sequence[Link]) -> list[Check]:
        if len(found) > MAX_FETCHES:
            return [Check("caller_data_content", "skipped", None, f"{len(found)} links")]
        results = await asyncio.gather(*(self._check(link) for link in found))
        return [check for check, _ in results]

    async def _check(self, link: Link) -> tuple[Check, bytes | None]:
        if self._client is None:
            why = f"{link.pointer} is not fetched by policy"
            return Check("caller_data_content", "skipped", None, why), None
        content = None if link.digest is None else await self._content(self._client, link.url)
        return check_content(link, content), content

    async def _content(self, client: GuardedClient, url: str) -> bytes | None:
        known, now = self._kept.get(url), self._clock()
        if known is not None and known[0] > now:
            return known[1]
        try:
            answer = await client.get(url)
        except (FetchFailed, FetchRefused):
            content = None
        else:
            content = answer.body if answer.status == 200 else None
        while len(self._kept) >= MAX_KEPT:
            self._kept.popitem(last=False)
        self._kept[url] = (now + KEEP_SECONDS, content)
        return content


def _without_word_of_others(headers: Headers) -> Headers:
    """Take out what would look like our own word: verified, and the rich call data beside it."""
    return with_call_info(headers, None) if "Call-Info" in headers else headers


def _line(text: str, limit: int) -> str:
    """A stranger's text as one line of printable characters."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text[: 4 * limit])
    return " ".join(shown.split())[:limit]
