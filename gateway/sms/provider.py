"""Short messages through a provider's HTTP interface, beside SMPP."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from discovery.spin import gsm7
from discovery.spin.segments import BinaryPart, TextPart
from gateway.sms.message import OutgoingMessage
from gateway.sms.template import RequestTemplate
from gateway.sms.transceiver import SmsCounters, SmsFailed, SmsFailure

_MAX_ANSWER: Final = 65_536
_THROTTLED: Final = frozenset({429, 503})


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """One provider: the template of its requests, our secret, seconds for a message."""

    template: RequestTemplate
    secret: str = field(default="", repr=False)
    timeout: float = 5.0
    max_under_way: int = 100


class HttpSmsSender:
    """Sends messages; whatever the provider answers beyond its status is not looked at.

    context: for TLS, None only for a provider on loopback.
    """

    def __init__(self, settings: ProviderSettings, context: ssl.SSLContext | None) -> None:
        self._settings = settings
        self._context = context
        self._under_way = 0
        self._name = f"SMS provider {settings.template.url.split('/')[2].rpartition('@')[2]}"
        self.counters = SmsCounters()

    async def send(self, message: OutgoingMessage) -> None:
        """Send a message, text whole and data part by part; raises SmsFailed within the time."""
        settings = self._settings
        if self._under_way >= settings.max_under_way:
            raise self._failed(SmsFailure.BUSY, "too many messages under way")
        self._under_way += 1
        try:
            async with asyncio.timeout(settings.timeout):
                for values in self._requests(message):
                    await self._request({**values, "secret": settings.secret})
                    self.counters.sent += 1
        except TimeoutError:
            raise self._failed(
                SmsFailure.TIMEOUT, f"nothing within {settings.timeout:g} s"
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            raise self._failed(SmsFailure.LINK_LOST, type(error).__name__) from None
        except ValueError as error:
            raise self._failed(SmsFailure.REJECTED, str(error)) from None
        finally:
            self._under_way -= 1

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

    async def _request(self, values: dict[str, str]) -> None:
        filled = self._settings.template.fill(values)
        connector = aiohttp.TCPConnector(ssl=self._context or True, force_close=True)
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
            await response.content.read(_MAX_ANSWER)
            if response.status in _THROTTLED:
                self.counters.throttled += 1
                raise self._failed(SmsFailure.THROTTLED, f"HTTP status {response.status}")
            if not 200 <= response.status < 300:
                raise self._failed(SmsFailure.REJECTED, f"HTTP status {response.status}")

    def _failed(self, failure: SmsFailure, detail: str) -> SmsFailed:
        self.counters.failed += 1
        return SmsFailed(self._name, failure, detail)
