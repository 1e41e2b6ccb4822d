"""A short message service centre for development: SMPP 3.4 on loopback.

Messages go to the bound ESME that serves the number, all others to handsets whose inboxes
can be read. An ESME that submits to a number it serves itself has looked at the message and
passes it on: that message goes to the handset. `chaos` lets it behave as badly as real ones.
Passwords cannot be checked (smpp34's server hands none out), hence loopback only.
"""

import argparse
import asyncio
import json
import signal
import time
from collections import deque
from contextlib import suppress
from dataclasses import asdict

import smpp34

from gateway.demo.handset import Handsets, ReadMessage, ShortMessage, digits
from gateway.demo.smsc_settings import Chaos, SmscSettings
from gateway.ending import end_task

MAX_WAITING = 10_000
HISTORY = 2000
RECEIPT = 0x04
# SMPP 3.4 sections 5.1.3 and 5.3.2; smpp34 has these names too, but not for type checkers.
ESME_RMSGQFUL = 0x14
ESME_RTHROTTLED = 0x58
TLV_RECEIPTED_MESSAGE_ID = 0x001E
TLV_MESSAGE_PAYLOAD = 0x0424
TLV_MESSAGE_STATE = 0x0427
MESSAGE_STATE_DELIVERED = 2
# smpp34 lets go of its last Python objects in a thread of its own, a moment after an awaited
# call returned; an interpreter that ends in that moment crashes.
LET_GO = 0.1
UNBIND_TIME = 0.5


class Smsc:
    """The centre; `history` holds what was accepted, `counts` what happened."""

    def __init__(self, settings: SmscSettings, chaos: Chaos | None = None) -> None:
        self.settings = settings
        self.chaos = chaos or Chaos()
        self.history: deque[ShortMessage] = deque(maxlen=HISTORY)
        self.counts: dict[str, int] = {}
        self.handsets = Handsets()
        self._server: smpp34.Server | None = None
        self._events: asyncio.Task[None] | None = None
        self._bound: dict[str, _Session] = {}
        self._held: deque[ShortMessage] = deque(maxlen=MAX_WAITING)
        self._timers: set[asyncio.TimerHandle] = set()
        self._forgetting: asyncio.Task[None] | None = None
        self._message_number = 0

    async def start(self) -> None:
        """Listen; raises OSError where the port is taken."""
        self._server = smpp34.Server(
            self.settings.host, self.settings.port, system_id="spingate-dev"
        )
        try:
            await self._server.start()
        except smpp34.SmppError as error:
            self._server = None
            raise OSError(str(error)) from None
        self._events = asyncio.create_task(self._serve(self._server), name="SMSC events")

    async def stop(self) -> None:
        """Unbind everybody and stop listening; safe to repeat."""
        server, self._server = self._server, None
        if server is None:
            return
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        for session in list(self._bound.values()):
            await session.close()
        self._bound.clear()
        if self._events is not None:
            await end_task(self._events)
        await server.stop()
        await asyncio.sleep(LET_GO)

    def inbox(self, number: str) -> tuple[ReadMessage, ...]:
        """What the person with this number sees, oldest first."""
        return self.handsets.inbox(number, time.time())

    def bound(self) -> tuple[str, ...]:
        """The system_ids bound now."""
        return tuple(session.system_id for session in self._bound.values())

    def submit(self, message: ShortMessage) -> None:
        """Take a message as if it came from a telephone or another network."""
        for delay in self.chaos.plan():
            if delay:
                self._later(delay, message)
            else:
                self._dispatch(message)

    async def disconnect(self, system_id: str) -> None:
        """Unbind an ESME, as a centre does for maintenance."""
        for session in [held for held in self._bound.values() if held.system_id == system_id]:
            await session.unbind()

    async def _serve(self, server: smpp34.Server) -> None:
        # One task, and `next` is never cancelled on the way: an event taken by a cancelled
        # call is lost.
        while True:
            event = await server.next()
            if isinstance(event, smpp34.Esme):
                self._bound[event.session_id] = _Session(event, self)
                self._count("bound")
                self._release_held()
            elif isinstance(event, smpp34.SubmitSmEvent):
                self._submitted(event)
            else:
                await self._forget(event.session_id)

    async def _forget(self, session_id: str) -> None:
        session = self._bound.pop(session_id, None)
        if session is not None:
            await session.close()
            for message in session.undelivered():
                self._dispatch(message)

    def unanswered(self, session_id: str) -> None:
        """An ESME did not answer in time, or its connection failed."""
        self._count("unanswered")
        self._forgetting = asyncio.create_task(self._forget(session_id), name="SMSC forgets")

    def _submitted(self, event: smpp34.SubmitSmEvent) -> None:
        session = self._bound.get(event.session_id)
        if self.chaos.happens(self.chaos.throttle):
            self._count("throttled")
            event.reject(ESME_RTHROTTLED)
            return
        if len(self._timers) + len(self._held) >= MAX_WAITING:
            self._count("queue full")
            event.reject(ESME_RMSGQFUL)
            return
        self._message_number += 1
        message = _message(event, session.system_id if session else "", self._message_number)
        self.history.append(message)
        self._count("accepted")
        if self.chaos.answer_after:
            self._at(self.chaos.answer_after, event.accept, message.message_id)
        else:
            event.accept(message.message_id)
        self.submit(message)
        if session is not None and self.chaos.happens(self.chaos.disconnect):
            self._count("disconnected")
            session.unbind_soon()

    def _dispatch(self, message: ShortMessage) -> None:
        owner = self.settings.esme_for(message.destination)
        if owner is None or owner == message.submitter:
            self.handsets.take(message, time.time())
            self._count("to a handset")
            self.delivered(message)
            return
        session = self._receiver(owner)
        if session is None or not session.offer(message):
            self._count("held back")
            self._held.append(message)

    def delivered(self, message: ShortMessage) -> None:
        """A message reached its end: send the receipt that was asked for."""
        self._count("delivered")
        if not message.wants_receipt:
            return
        session = self._receiver(message.submitter)
        if session is not None:
            self._count("receipts")
            session.offer(_receipt(message))

    def _receiver(self, system_id: str) -> "_Session | None":
        bound = [s for s in self._bound.values() if s.system_id == system_id and s.can_receive]
        return bound[-1] if bound else None

    def _release_held(self) -> None:
        waiting, self._held = self._held, deque(maxlen=MAX_WAITING)
        for message in waiting:
            self._dispatch(message)

    def _later(self, delay: float, message: ShortMessage) -> None:
        self._at(delay, self._dispatch, message)

    def _at(self, delay: float, callback: object, argument: object) -> None:
        loop = asyncio.get_running_loop()

        def due() -> None:
            self._timers.discard(handle)
            callback(argument)  # type: ignore[operator]

        handle = loop.call_later(delay, due)
        self._timers.add(handle)

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1


class _Session:
    """One bound ESME, its messages in the order they were offered."""

    def __init__(self, esme: smpp34.Esme, centre: Smsc) -> None:
        self.system_id = esme.system_id
        self.can_receive = esme.can_receive
        self._esme = esme
        self._session_id = esme.session_id
        self._centre = centre
        self._queue: asyncio.Queue[ShortMessage] = asyncio.Queue(MAX_WAITING)
        self._current: ShortMessage | None = None
        self._task = asyncio.create_task(self._deliver(), name=f"SMSC to {self.system_id}")
        self._unbinding: asyncio.Task[None] | None = None

    def offer(self, message: ShortMessage) -> bool:
        """Queue a message for delivery; False where the queue is full."""
        try:
            self._queue.put_nowait(message)
        except asyncio.QueueFull:
            return False
        return True

    def undelivered(self) -> list[ShortMessage]:
        """What the ESME has not taken, receipts left out."""
        waiting = [self._current] if self._current is not None else []
        while not self._queue.empty():
            waiting.append(self._queue.get_nowait())
        return [message for message in waiting if message.esm_class != RECEIPT]

    async def unbind(self) -> None:
        # smpp34 waits 30 s for an answer that an ESME which is gone will never send.
        with suppress(smpp34.SmppError, TimeoutError):
            async with asyncio.timeout(UNBIND_TIME):
                await self._esme.unbind()

    def unbind_soon(self) -> None:
        self._unbinding = asyncio.create_task(self.unbind(), name="SMSC unbinds")

    async def close(self) -> None:
        await end_task(self._task)
        await self.unbind()

    async def _deliver(self) -> None:
        while True:
            self._current = await self._queue.get()
            message = self._current
            try:
                async with asyncio.timeout(self._centre.settings.delivery_timeout):
                    response = await self._esme.deliver_sm(
                        message.destination,
                        message.user_data,
                        source_addr=message.source,
                        source_addr_ton=1,
                        source_addr_npi=1,
                        esm_class=message.esm_class,
                        data_coding=message.data_coding,
                        tlvs=_receipt_parameters(message),
                    )
            except (smpp34.SmppError, TimeoutError):
                self._centre.unanswered(self._session_id)
                return
            self._current = None
            if response.is_success and message.esm_class != RECEIPT:
                self._centre.delivered(message)


def _message(event: smpp34.SubmitSmEvent, submitter: str, number: int) -> ShortMessage:
    payload = [tlv.value for tlv in event.tlvs if tlv.tag == TLV_MESSAGE_PAYLOAD]
    return ShortMessage(
        source=digits(event.source_addr),
        destination=digits(event.destination_addr),
        user_data=event.short_message or b"".join(payload),
        esm_class=event.esm_class & 0x40,
        data_coding=event.data_coding,
        submitter=submitter,
        message_id=f"{number:08x}",
        wants_receipt=event.registered_delivery & 0x03 == 1,
    )


def _receipt(message: ShortMessage) -> ShortMessage:
    """The text of SMPP 3.4 appendix B; the state also goes as optional parameters."""
    now = time.strftime("%y%m%d%H%M", time.gmtime())
    text = (
        f"id:{message.message_id} sub:001 dlvrd:001 submit date:{now} done date:{now} "
        "stat:DELIVRD err:000 text:"
    )
    return ShortMessage(
        source=message.destination,
        destination=message.source,
        user_data=text.encode("ascii"),
        esm_class=RECEIPT,
        message_id=message.message_id,
    )


def _receipt_parameters(message: ShortMessage) -> list[smpp34.Tlv]:
    if message.esm_class != RECEIPT:
        return []
    return [
        smpp34.Tlv(TLV_RECEIPTED_MESSAGE_ID, message.message_id.encode() + b"\0"),
        smpp34.Tlv(TLV_MESSAGE_STATE, bytes((MESSAGE_STATE_DELIVERED,))),
    ]


def _show(number: str, message: ReadMessage) -> None:
    print(json.dumps({"number": f"+{number}", **asdict(message)}), flush=True)


async def _run(settings: SmscSettings) -> None:
    centre = Smsc(settings)
    centre.handsets.on_message = _show
    await centre.start()
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await stopping.wait()
    await centre.stop()


def main() -> None:
    """Run the centre by itself; what people read on their telephones goes to standard output."""
    parser = argparse.ArgumentParser(prog="python -m gateway.demo.smsc", description=main.__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    parser.add_argument("--port", type=int, default=2775)
    parser.add_argument(
        "--serve",
        action="append",
        default=[],
        metavar="SYSTEM_ID=NUMBER",
        help="an ESME and a number it serves; a number ending in * is a prefix; repeatable",
    )
    given = parser.parse_args()
    routes: dict[str, list[str]] = {}
    for pair in given.serve:
        system_id, equals, number = pair.partition("=")
        if not equals:
            parser.error(f"--serve {pair}: SYSTEM_ID=NUMBER is expected")
        routes.setdefault(system_id, []).append(number)
    try:
        asyncio.run(_run(SmscSettings(given.port, given.host, routes)))
    except (OSError, ValueError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
