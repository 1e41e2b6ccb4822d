"""Submitting multimedia messages to an MMSC over MM7 (HTTPS)."""

from __future__ import annotations

import asyncio
import secrets
import ssl
from dataclasses import dataclass, field
from typing import Final

import aiohttp
import structlog

from discovery.number import masked
from discovery.spin.mms import build_content
from gateway.mms.mm7 import MalformedMm7, SubmitRequest, build_submit, read_submit_answer
from gateway.sms.transceiver import SmsFailed, SmsFailure

_log = structlog.get_logger("mms")
_MAX_ANSWER: Final = 65_536
_SUCCESS: Final = range(1000, 2000)
_BUSY_STATUS: Final = frozenset({429, 503})


@dataclass(frozen=True, slots=True)
class MmscSettings:
    """One MMSC: its https URL, who we are to it, and seconds for a submission."""

    url: str
    vasp_id: str
    vas_id: str
    user: str = ""
    password: str = field(default="", repr=False)
    timeout: float = 5.0
    max_under_way: int = 100


class MmscClient:
    """Submits invitations; `context` is for TLS, None only for an MMSC on loopback."""

    def __init__(self, settings: MmscSettings, context: ssl.SSLContext | None) -> None:
        self._settings = settings
        self._context = context
        self._under_way = 0

    @property
    def name(self) -> str:
        return f"MMSC {self._settings.vasp_id}"

    async def send(self, source: str, destination: str, text: str, token: str) -> None:
        """Submit an invitation with a text for people; raises SmsFailed within the time."""
        settings = self._settings
        if self._under_way >= settings.max_under_way:
            raise SmsFailed(self.name, SmsFailure.BUSY, "too many submissions under way")
        boundary = secrets.token_hex(12)
        kind, body = build_submit(
            SubmitRequest(
                secrets.token_hex(8),
                settings.vasp_id,
                settings.vas_id,
                source,
                destination,
                build_content(text, token, f"c{boundary}"),
            ),
            f"e{boundary}",
        )
        self._under_way += 1
        try:
            async with asyncio.timeout(settings.timeout):
                await self._submit(kind, body)
        except TimeoutError:
            detail = f"nothing within {settings.timeout:g} s"
            raise SmsFailed(self.name, SmsFailure.TIMEOUT, detail) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            never = isinstance(error, aiohttp.ClientConnectorError)
            raise SmsFailed(
                self.name, SmsFailure.LINK_LOST, type(error).__name__, definite=never
            ) from None
        finally:
            self._under_way -= 1
        _log.info("multimedia message taken", number=masked(destination))

    async def _submit(self, kind: str, body: bytes) -> None:
        settings = self._settings
        headers = {"Content-Type": kind, "SOAPAction": '""', "Accept-Encoding": "identity"}
        if settings.user:
            headers["Authorization"] = aiohttp.encode_basic_auth(settings.user, settings.password)
        connector = aiohttp.TCPConnector(ssl=self._context or True, force_close=True)
        async with (
            aiohttp.ClientSession(
                connector=connector, trust_env=False, auto_decompress=False
            ) as session,
            session.post(
                settings.url,
                data=body,
                headers=headers,
                allow_redirects=False,
            ) as response,
        ):
            answer = bytearray()
            async for chunk in response.content.iter_any():
                answer += chunk
                if len(answer) > _MAX_ANSWER:
                    raise SmsFailed(self.name, SmsFailure.REJECTED, "answer is too large")
            if response.status in _BUSY_STATUS:
                raise SmsFailed(self.name, SmsFailure.THROTTLED, f"HTTP status {response.status}")
            if response.status not in (200, 202, 500):  # a SOAP fault comes with 500
                raise SmsFailed(self.name, SmsFailure.REJECTED, f"HTTP status {response.status}")
            self._judge(response.headers.get("Content-Type", ""), bytes(answer))

    def _judge(self, content_type: str, answer: bytes) -> None:
        try:
            said = read_submit_answer(content_type, answer)
        except MalformedMm7 as error:
            detail = f"answer: {error}"
            raise SmsFailed(self.name, SmsFailure.REJECTED, detail, definite=False) from None
        if said.code not in _SUCCESS:
            raise SmsFailed(self.name, SmsFailure.REJECTED, f"StatusCode {said.code}")
