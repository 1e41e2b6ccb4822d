"""The SMSC as this gateway uses it: an SMPP 3.4 transceiver that stays bound.

    stopped -> start() -> binding -> bound -> (link lost) -> binding ...   pauses double
                                                             stop() -> stopped

smpp34 frames, matches responses and asks enquire_link every 30 s (its own fixed interval; a link
that does not answer is dropped after 30 s more). Bound or not, a message is sent within
`submit_timeout` or fails with the culprit named: nothing queues behind an SMSC that is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import smpp34
import structlog

from discovery.spin.segments import Part
from gateway.ending import end_task
from gateway.sms.failure import SmsCounters, SmsFailed, SmsFailure
from gateway.sms.message import (
    IncomingSms,
    OutgoingMessage,
    address_type,
    data_coding,
    esm_class,
    incoming_sms,
)
from gateway.sms.receipt import read_receipt
from gateway.sms.tls_tunnel import TlsTunnel, TunnelFailed

__all__ = ["SmppSettings", "SmsCounters", "SmsFailed", "SmsFailure", "SmsTransceiver"]
_log = structlog.get_logger("sms")
# SMPP 3.4 5.1.3: the SMSC's queue is full, or we send faster than we may.
_TRY_LATER: Final = frozenset({0x14, 0x58})
_STOP_TIME: Final = 1.0
# Parts whose receipts are waited for; a receipt that comes later is only counted.
_MAX_LABELS: Final = 10_000


@dataclass(frozen=True, slots=True)
class SmppSettings:
    """One SMSC; times in seconds.

    window: messages submitted and not answered yet, over all senders; max_waiting: messages that
    wait for the window; submit_timeout: for a whole message, waiting for a bind and for the
    window and every part and repetition included; throttle_pause: before a part that was
    throttled is submitted again, doubling; reconnect_*: pauses between binds; tls: with this, TLS
    from the first octet, the SMSC's certificate checked against its anchors and `host`.
    """

    host: str
    port: int
    system_id: str
    password: str = field(repr=False)
    system_type: str = ""
    window: int = 10
    max_waiting: int = 500
    submit_timeout: float = 5.0
    connect_timeout: float = 5.0
    throttle_pause: float = 0.5
    reconnect_pause: float = 2.0
    reconnect_pause_max: float = 60.0
    request_receipts: bool = False
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        return f"SMSC {self.host}:{self.port}"


class SmsTransceiver:
    """Sends messages and hands over those received.

    on_message is called on the event loop with each ordinary message, on_receipt with each
    delivery receipt, on_delivery with the label of a message and whether it was delivered, once
    that is known; none may block. What they raise is logged and costs that message only.
    """

    def __init__(
        self,
        settings: SmppSettings,
        on_message: Callable[[IncomingSms], None],
        *,
        on_receipt: Callable[[IncomingSms], None] | None = None,
        on_delivery: Callable[[str, bool], None] | None = None,
        rand: random.Random | None = None,
    ) -> None:
        self._settings = settings
        self._on_message = on_message
        self._on_receipt = on_receipt
        self._on_delivery = on_delivery
        self._labels: OrderedDict[str, str] = OrderedDict()
        self._rand = rand or random.Random()  # noqa: S311 - spreads reconnects, keeps no secret
        self._window = asyncio.Semaphore(settings.window)
        self._waiting = 0
        self._smsc: smpp34.Smsc | None = None
        self._bound = asyncio.Event()
        self._lost = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._passing: set[asyncio.Task[None]] = set()
        self._last_fault = "not started"
        self._tunnel: TlsTunnel | None = None
        self.counters = SmsCounters()

    @property
    def bound(self) -> bool:
        return self._smsc is not None

    def start(self) -> None:
        """Begin to bind, and to bind again whenever the link is lost; returns at once."""
        if self._task is None:
            self._task = asyncio.create_task(self._stay_bound(), name="smpp")

    async def stop(self) -> None:
        """Unbind and end; messages under way fail when their time is over, if not before."""
        task, self._task = self._task, None
        if task is None:
            return
        await end_task(task)
        self._last_fault = "stopped"

    async def wait_bound(self) -> None:
        """Wait until the SMSC has accepted a bind."""
        await self._bound.wait()

    @property
    def ready(self) -> bool:
        """Whether a message could be submitted now."""
        return self.bound and self._waiting < self._settings.max_waiting

    async def send(self, message: OutgoingMessage, *, elsewhere: bool = False) -> None:
        """Submit every part in order; returns when the SMSC has taken the last.

        elsewhere: whether there is another way, so that waiting for better times is no help.
        Raises SmsFailed within `submit_timeout`.
        """
        settings = self._settings
        if elsewhere and not self.bound:
            raise self._failed(SmsFailure.NOT_BOUND, self._last_fault)
        if self._waiting >= settings.max_waiting:
            raise self._failed(SmsFailure.BUSY, f"{self._waiting} messages wait", "our own window")
        self._waiting += 1
        progress = _Progress(elsewhere)
        try:
            async with asyncio.timeout(settings.submit_timeout):
                await self._bound.wait()
                progress.failure = SmsFailure.BUSY
                for part in message.parts:
                    async with self._window:
                        progress.failure = SmsFailure.TIMEOUT
                        await self._submit_until_taken(message, part, progress)
                        progress.parts += 1
        except SmsFailed as failed:
            failed.definite = progress.definite
            raise
        except TimeoutError:
            detail = f"not within {settings.submit_timeout:g} s"
            if progress.failure is SmsFailure.NOT_BOUND:
                detail = f"{detail} ({self._last_fault})"
            late = self._failed(progress.failure, detail)
            late.definite = progress.definite
            raise late from None
        finally:
            self._waiting -= 1

    def pass_on(self, sms: IncomingSms) -> None:
        """Submit a received message once more, untouched, for the person it was sent to.

        Returns at once. A message the SMSC does not take within `submit_timeout`, or beyond
        `max_waiting`, is lost and counted: it was ours to hand on, and the log says so.
        """
        if len(self._passing) >= self._settings.max_waiting:
            self._not_passed_on(sms, "too many messages wait")
            return
        task = asyncio.create_task(self._pass_on(sms), name="smpp pass on")
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)

    async def _pass_on(self, sms: IncomingSms) -> None:
        try:
            async with asyncio.timeout(self._settings.submit_timeout), self._window:
                await self._bound.wait()
                status = await self._submit(
                    sms.source,
                    sms.destination,
                    sms.octets,
                    esm_class=sms.esm_class,
                    data_coding=sms.data_coding,
                )
        except TimeoutError:
            self._not_passed_on(sms, "the SMSC did not take it in time")
        except SmsFailed as failed:
            self._not_passed_on(sms, failed.detail)
        else:
            if status:
                self._not_passed_on(sms, f"the SMSC refused it: command_status 0x{status:08x}")

    def _not_passed_on(self, sms: IncomingSms, detail: str) -> None:
        self.counters.failed += 1
        _log.warning("message lost", culprit=self._settings.name, message=str(sms), detail=detail)

    async def _submit_until_taken(
        self, message: OutgoingMessage, part: Part, progress: _Progress
    ) -> None:
        pause = self._settings.throttle_pause
        while True:
            progress.under_way = self._smsc is not None
            status = await self._submit(
                message.source,
                message.destination,
                part.octets,
                esm_class=esm_class(part),
                data_coding=data_coding(part),
                registered_delivery=1 if self._settings.request_receipts or message.label else 0,
                label=message.label,
            )
            progress.under_way = False
            if status == 0:
                self.counters.sent += 1
                return
            if status not in _TRY_LATER:
                raise self._failed(SmsFailure.REJECTED, f"command_status 0x{status:08x}")
            self.counters.throttled += 1
            progress.failure = SmsFailure.THROTTLED
            if progress.elsewhere and not progress.parts:
                raise self._failed(SmsFailure.THROTTLED, f"command_status 0x{status:08x}")
            await asyncio.sleep(pause)
            pause *= 2

    async def _submit(
        self,
        source: str,
        destination: str,
        octets: bytes,
        *,
        esm_class: int,
        data_coding: int,
        registered_delivery: int = 0,
        label: str = "",
    ) -> int:
        """Submit one message and return the SMSC's command_status; raises SmsFailed."""
        smsc = self._smsc
        if smsc is None:
            raise self._failed(SmsFailure.LINK_LOST, self._last_fault)
        source_ton, source_npi = address_type(source)
        dest_ton, dest_npi = address_type(destination)
        try:
            answer = await smsc.submit_sm(
                destination,
                octets,
                source_addr=source,
                source_addr_ton=source_ton,
                source_addr_npi=source_npi,
                dest_addr_ton=dest_ton,
                dest_addr_npi=dest_npi,
                esm_class=esm_class,
                data_coding=data_coding,
                registered_delivery=registered_delivery,
            )
        except smpp34.SmppError as error:
            raise self._failed(SmsFailure.LINK_LOST, str(error)) from None
        if label and answer.command_status == 0 and answer.message_id:
            self._labels[answer.message_id] = label
            while len(self._labels) > _MAX_LABELS:
                self._labels.popitem(last=False)
        return answer.command_status

    def _failed(self, failure: SmsFailure, detail: str, culprit: str | None = None) -> SmsFailed:
        self.counters.failed += 1
        return SmsFailed(culprit or self._settings.name, failure, detail)

    async def _stay_bound(self) -> None:
        settings = self._settings
        pause = settings.reconnect_pause
        while True:
            try:
                smsc = await self._bind()
            except (smpp34.SmppError, TunnelFailed) as error:
                self._last_fault = str(error)
                _log.warning("smsc unreachable", culprit=settings.name, detail=str(error))
            else:
                pause = settings.reconnect_pause
                await self._receive(smsc)
                self._last_fault = "link lost"
                _log.warning("smsc link lost", culprit=settings.name)
            finally:
                await self._close_tunnel()
            # Spread, so that a restarted SMSC is not met by all its clients in one instant.
            await asyncio.sleep(pause * self._rand.uniform(0.75, 1.25))
            pause = min(2 * pause, settings.reconnect_pause_max)

    async def _close_tunnel(self) -> None:
        tunnel, self._tunnel = self._tunnel, None
        if tunnel is not None:
            await tunnel.close()

    async def _bind(self) -> smpp34.Smsc:
        settings = self._settings
        host, port = settings.host, settings.port
        if settings.tls is not None:
            # smpp34's own TLS knows neither trust anchors nor client certificates.
            timeout = settings.connect_timeout
            self._tunnel = TlsTunnel(host, port, settings.tls, timeout=timeout)
            host, port = await self._tunnel.open()
        client = smpp34.Client(
            host,
            port,
            settings.system_id,
            settings.password,
            bind_type="TRX",
            system_type=settings.system_type,
            # Our own window is the one that counts; the library's is only made wide enough.
            window_size=settings.window + 1,
            connect_timeout_ms=int(settings.connect_timeout * 1000),
        )
        return await client.connect()

    async def _receive(self, smsc: smpp34.Smsc) -> None:
        """Take messages until the link ends."""
        self._smsc = smsc
        self._bound.set()
        self.counters.binds += 1
        _log.info("smsc bound", smsc=self._settings.name)
        try:
            while isinstance(event := await smsc.next(), smpp34.DeliverSmEvent):
                self._take(event)
        finally:
            self._bound.clear()
            self._smsc = None
            with contextlib.suppress(smpp34.SmppError, TimeoutError):
                async with asyncio.timeout(_STOP_TIME):
                    await smsc.unbind()

    def _take(self, event: smpp34.DeliverSmEvent) -> None:
        sms = incoming_sms(
            source=event.source_addr,
            destination=event.destination_addr,
            short_message=bytes(event.short_message),
            esm_class=event.esm_class,
            data_coding=event.data_coding,
            parameters=[(tlv.tag, bytes(tlv.value)) for tlv in event.tlvs],
        )
        if sms.is_receipt:
            self.counters.receipts += 1
            self._tell_delivery(sms)
            taker = self._on_receipt
        else:
            self.counters.received += 1
            taker = self._on_message
        if taker is None:
            return
        try:
            taker(sms)
        except Exception:  # noqa: BLE001 - outermost loop: one message must not end the link
            _log.exception("message not taken", message=str(sms))

    def _tell_delivery(self, sms: IncomingSms) -> None:
        receipt = read_receipt(sms)
        if receipt is None or self._on_delivery is None or receipt.delivered is None:
            return
        label = self._labels.pop(receipt.message_id, None)
        if label is not None:
            self._on_delivery(label, receipt.delivered)


@dataclass(slots=True)
class _Progress:
    """How far a send has come; `failure` is what failed when its time is over now."""

    elsewhere: bool
    failure: SmsFailure = SmsFailure.NOT_BOUND
    parts: int = 0
    under_way: bool = False

    @property
    def definite(self) -> bool:
        """Whether nothing of the message can have been taken."""
        return not self.parts and not self.under_way
