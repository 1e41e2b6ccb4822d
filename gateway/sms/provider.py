"""Short messages through a provider's HTTP interface, beside SMPP.

What the provider answered is told apart by whether the message may have been taken: 4xx, 429 and a
connection that never was are definite, so that another carrier may send it; a 5xx, a time-out, a
torn connection or a success that makes no sense are not.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from discovery.spin import gsm7
from discovery.spin.segments import BinaryPart, TextPart
from discovery.spin.strict_json import MalformedJson, parse_json_object
from gateway.sms.failure import SmsCounters, SmsFailed, SmsFailure
from gateway.sms.message import OutgoingMessage
from gateway.sms.receipt_form import text_at
from gateway.sms.template import RequestTemplate

_MAX_ANSWER: Final = 65_536
_THROTTLED: Final = frozenset({429, 503})
_DEFAULT_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 300.0
_SECONDS: Final = re.compile(r"[0-9]{1,6}")
# Messages whose receipts are waited for; a receipt that comes later is only counted.
_MAX_LABELS: Final = 10_000
_ID_OCTETS: Final = 12


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """One provider: the template of its requests, our secret, seconds for a message.

    answer_id: where its answer names the message, as a path such as `messages.0.id`; empty where
    receipts are not wanted, or name it by our own {id}.
    """

    template: RequestTemplate
    secret: str = field(default="", repr=False)
    timeout: float = 5.0
    max_under_way: int = 100
    answer_id: str = ""


class HttpSmsSender:
    """Sends messages, and knows them again when receipts come.

    context: for TLS, None only for a provider on loopback. on_delivery: told of the label of a
    message and whether it arrived. clock gives seconds of any epoch.
    """

    def __init__(
        self,
        settings: ProviderSettings,
        context: ssl.SSLContext | None,
        *,
        on_delivery: Callable[[str, bool], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._context = context
        self._on_delivery = on_delivery
        self._clock = clock
        self._under_way = 0
        self._not_before = 0.0
        self._labels: OrderedDict[str, str] = OrderedDict()
        self._name = f"SMS provider {settings.template.url.split('/')[2].rpartition('@')[2]}"
        self.counters = SmsCounters()

    @property
    def ready(self) -> bool:
        """Whether a message could be sent now: the provider has not asked us to wait."""
        return self._under_way < self._settings.max_under_way and self._clock() >= self._not_before

    async def send(self, message: OutgoingMessage, *, elsewhere: bool = False) -> None:
        """Send a message, text whole and data part by part; raises SmsFailed within the time.

        While the provider has asked us to wait (Retry-After) nothing is sent to it.
        """
        settings = self._settings
        if self._under_way >= settings.max_under_way:
            raise self._failed(SmsFailure.BUSY, "too many messages under way")
        if self._clock() < self._not_before:
            raise self._failed(SmsFailure.THROTTLED, "it has asked us to wait")
        self._under_way += 1
        requests = 0
        try:
            async with asyncio.timeout(settings.timeout):
                for values in self._requests(message):
                    await self._request({**values, "secret": settings.secret}, message.label)
                    requests += 1
                    self.counters.sent += 1
        except SmsFailed as failed:
            failed.definite = failed.definite and not requests
            raise
        except TimeoutError:
            raise self._failed(
                SmsFailure.TIMEOUT, f"nothing within {settings.timeout:g} s"
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            never = isinstance(error, aiohttp.ClientConnectorError) and not requests
            raise self._failed(SmsFailure.LINK_LOST, type(error).__name__, definite=never) from None
        except ValueError as error:
            raise self._failed(SmsFailure.REJECTED, str(error), definite=not requests) from None
        finally:
            self._under_way -= 1

    def receipt(self, message_id: str, delivered: bool | None) -> bool:
        """Take what a receipt says of a message; False where it is none we wait to hear of.

        A message's first final word counts; None is not final.
        """
        self.counters.receipts += 1
        if message_id not in self._labels:
            return False
        if delivered is not None:
            label = self._labels.pop(message_id)
            if self._on_delivery is not None:
                self._on_delivery(label, delivered)
        return True

    def _requests(self, message: OutgoingMessage) -> list[dict[str, str]]:
        ends = {"from": message.source, "to": message.destination}
        data = [part for part in message.parts if isinstance(part, BinaryPart)]
        if not data:
            septets = [part.septets for part in message.parts if isinstance(part, TextPart)]
            return [{**ends, "text": "".join(gsm7.decode(each) for each in septets)}]
        if not self._settings.template.carries_binary:
            raise self._failed(SmsFailure.REJECTED, "its template has no place for data")
        return [
            {
                **ends,
                "udh": part.octets[: len(part.octets) - len(part.data)].hex(),
                "data": part.data.hex(),
            }
            for part in data
        ]

    async def _request(self, values: dict[str, str], label: str) -> None:
        template = self._settings.template
        own_id = secrets.token_hex(_ID_OCTETS)
        filled = template.fill({**values, "id": own_id})
        connector = aiohttp.TCPConnector(ssl=self._context or True, force_close=True)
        if template.names_messages:
            # Before it is sent: a receipt may be quicker than the answer.
            self._remember(own_id, label)
        async with (
            aiohttp.ClientSession(
                connector=connector, trust_env=False, auto_decompress=False
            ) as session,
            session.request(
                filled.method,
                filled.url,
                data=filled.body,
                headers={**filled.headers, "Accept-Encoding": "identity"},
                allow_redirects=False,
            ) as response,
        ):
            body = await _read(response)
            self._judge(response)
            if self._settings.answer_id and not template.names_messages:
                self._remember(self._message_id(body), label)

    def _judge(self, response: aiohttp.ClientResponse) -> None:
        """Raise SmsFailed unless the answer is a success."""
        status = response.status
        if 200 <= status < 300:
            return
        detail = f"HTTP status {status}"
        if status in _THROTTLED:
            self.counters.throttled += 1
            self._not_before = self._clock() + _pause(response.headers.get("Retry-After", ""))
            raise self._failed(SmsFailure.THROTTLED, detail)
        # A server that failed may have failed after it took the message.
        raise self._failed(SmsFailure.REJECTED, detail, definite=status < 500)

    def _message_id(self, body: bytes) -> str:
        try:
            return text_at(parse_json_object(body), self._settings.answer_id)
        except (MalformedJson, ValueError):
            # A page for people instead of an answer: somebody stands between, or it has changed.
            detail = f"success without {self._settings.answer_id}"
            raise self._failed(SmsFailure.REJECTED, detail, definite=False) from None

    def _remember(self, message_id: str, label: str) -> None:
        if not label:
            return
        self._labels[message_id] = label
        while len(self._labels) > _MAX_LABELS:
            self._labels.popitem(last=False)

    def _failed(
        self, failure: SmsFailure, detail: str, *, definite: bool | None = None
    ) -> SmsFailed:
        self.counters.failed += 1
        return SmsFailed(self._name, failure, detail, definite=definite)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _MAX_ANSWER:
            break
    return bytes(body[:_MAX_ANSWER])


def _pause(retry_after: str) -> float:
    """Return the seconds of a Retry-After (RFC 9110 10.2.3), bounded; a date gets the default."""
    if not _SECONDS.fullmatch(retry_after.strip()):
        return _DEFAULT_PAUSE
    return min(float(retry_after), _LONGEST_PAUSE)
