"""CPU a packet of the media relay: SDES-SRTP <-> RTP, side by side with a calibration loop.

    python -m bench.media_relay --calls 100 --seconds 10

One process is the gateway, on core 0, with real sessions set up from SDP; another, on core 1,
sends and receives 50 packets a second, call and direction. Figures of different runs compare only
by their ratio to the calibration loop, as one machine varies by a third from minute to minute.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import resource
import select
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import uvloop

from media.sdes import key_params, new_key
from media.sdp import parse_sdp
from media.session import LegProfile, MediaEngine, MediaEvent, MediaSession, MediaSettings
from media.srtp import AES_CM_128_HMAC_SHA1_80, SrtpKey, SrtpOutbound

HOST = "127.0.0.1"
PACKETS_A_SECOND = 50
KEY = new_key(AES_CM_128_HMAC_SHA1_80)


@dataclass(frozen=True, slots=True)
class Direction:
    """Which of a call's two phones talk in one measurement."""

    name: str
    plain_talks: bool
    secure_talks: bool


DIRECTIONS = (
    Direction("RTP -> SRTP", True, False),
    Direction("SRTP -> RTP", False, True),
    Direction("both", True, True),
)


def sdp(port: int, key: SrtpKey | None) -> bytes:
    """A phone's offer or answer; all secure phones have one key, so packets are made once."""
    profile = "RTP/SAVP" if key else "RTP/AVP"
    crypto = f"a=crypto:1 {key.profile.name} {key_params(key)}\r\n" if key else ""
    return (
        f"v=0\r\no=- 1 1 IN IP4 {HOST}\r\ns=-\r\nc=IN IP4 {HOST}\r\nt=0 0\r\n"
        f"m=audio {port} {profile} 0\r\na=rtpmap:0 PCMU/8000\r\na=rtcp-mux\r\n{crypto}"
    ).encode()


def packets(count: int, first: int) -> tuple[list[bytes], list[bytes]]:
    """RTP packets of 160 bytes of audio, and the same as SRTP."""
    outbound = SrtpOutbound(KEY)
    plain = [
        struct.pack("!BBHII", 0x80, 0, number & 0xFFFF, number * 160 & 0xFFFFFFFF, 0x1111)
        + bytes(160)
        for number in range(first, first + count)
    ]
    return plain, [outbound.protect(packet) for packet in plain]


def phones(calls: int) -> list[tuple[socket.socket, socket.socket]]:
    """A plain and a secure phone's socket for each call."""

    def bound() -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((HOST, 0))
        made.setblocking(False)
        return made

    return [(bound(), bound()) for _ in range(calls)]


class Load:
    """The phones, in a process of their own."""

    def __init__(self, sockets: Sequence[tuple[socket.socket, socket.socket]]) -> None:
        self._sockets = sockets
        self._orders, self._results = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
            try:
                self._serve()
            finally:
                os._exit(0)

    def order(self, what: object) -> None:
        """Tells the phones what to do; None ends them."""
        os.write(self._orders[1], json.dumps(what).encode() + b"\n")

    @property
    def results(self) -> int:
        """The descriptor on which each result comes as a line."""
        return self._results[0]

    def _serve(self) -> None:
        with os.fdopen(self._orders[0]) as orders:
            ports = json.loads(orders.readline())
            for (plain, secure), (to_plain, to_secure) in zip(self._sockets, ports, strict=True):
                plain.connect((HOST, to_plain))
                secure.connect((HOST, to_secure))
            poller = select.epoll()
            for pair in self._sockets:
                for one in pair:
                    poller.register(one.fileno(), select.EPOLLIN)
            readers = {one.fileno(): one for pair in self._sockets for one in pair}
            at = 0
            for line in orders:
                order = json.loads(line)
                if order is None:
                    return
                sent, heard = self._talk(poller, readers, at, *order)
                at += order[2] * PACKETS_A_SECOND
                os.write(self._results[1], json.dumps([sent, heard]).encode() + b"\n")

    def _talk(
        self,
        poller: select.epoll,
        readers: dict[int, socket.socket],
        first: int,
        plain_talks: bool,
        secure_talks: bool,
        seconds: int,
    ) -> tuple[int, int]:
        ticks = seconds * PACKETS_A_SECOND
        plain, protected = packets(ticks, first)
        sent = heard = 0
        due = time.monotonic()
        for number in range(ticks + PACKETS_A_SECOND // 2):
            if number < ticks:
                for one, other in self._sockets:
                    if plain_talks:
                        one.send(plain[number])
                        sent += 1
                    if secure_talks:
                        other.send(protected[number])
                        sent += 1
            due += 1 / PACKETS_A_SECOND
            while (left := due - time.monotonic()) > 0:
                for fd, _ in poller.poll(left, 512):
                    readers[fd].recv(2048)
                    heard += 1
        return sent, heard


async def set_up(
    media: MediaEngine, sockets: Sequence[tuple[socket.socket, socket.socket]]
) -> tuple[list[MediaSession], list[tuple[int, int]]]:
    """Opens one session a call; returns them and the ports towards the plain and secure phone."""
    sessions: list[MediaSession] = []
    ports: list[tuple[int, int]] = []
    events: list[MediaEvent] = []
    for number, (plain, secure) in enumerate(sockets):
        session = media.open(
            f"bench-{number}",
            caller=LegProfile("sdes", "net"),
            callee=LegProfile("rtp", "net"),
            on_event=events.append,
        )
        offer = await session.offer(sdp(secure.getsockname()[1], KEY), "caller")
        answer = await session.answer(sdp(plain.getsockname()[1], None), "callee")
        sessions.append(session)
        ports.append((parse_sdp(offer).media[0].port, parse_sdp(answer).media[0].port))
    return sessions, ports


def calibration() -> float:
    """Microseconds of CPU that one SHA-256 of 64 bytes in a Python loop costs now."""
    data, begin = bytes(64), time.process_time()
    for _ in range(100_000):
        data = hashlib.sha256(data).digest() * 2
    return 10 * (time.process_time() - begin)


async def measure(load: Load, direction: Direction, seconds: int) -> dict[str, Any]:
    """One run: the gateway's CPU time divided by the packets that came out of it."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[bytes] = loop.create_future()
    loop.add_reader(load.results, lambda: done.set_result(os.read(load.results, 4096)))
    unit = calibration()
    before = resource.getrusage(resource.RUSAGE_SELF)
    begin = time.monotonic()
    load.order([direction.plain_talks, direction.secure_talks, seconds])
    sent, heard = json.loads(await done)
    wall = time.monotonic() - begin
    loop.remove_reader(load.results)
    after = resource.getrusage(resource.RUSAGE_SELF)
    user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    micros = 1e6 * (user + system) / max(1, heard)
    return {
        "direction": direction.name,
        "sent": sent,
        "relayed": heard,
        "loss": round(1 - heard / sent, 5),
        "cpu_us_a_packet": round(micros, 2),
        "of_it_kernel": round(1e6 * system / max(1, heard), 2),
        "calibration_us": round(unit, 3),
        "ratio_to_calibration": round(micros / unit, 2),
        "busy": round((user + system) / wall, 3),
    }


async def run(
    arguments: argparse.Namespace, sockets: list[tuple[socket.socket, socket.socket]], load: Load
) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    media = MediaEngine(
        MediaSettings(
            {"net": HOST},
            port_min=20_000,
            port_max=20_000 + 8 * arguments.calls + 64,
            max_sessions=arguments.calls,
            allow_networks=("127.0.0.0/8",),
        )
    )
    begin = time.process_time()
    sessions, ports = await set_up(media, sockets)
    each = 1e6 * (time.process_time() - begin) / len(sessions)
    load.order(ports)
    if not arguments.json:
        print(f"{arguments.calls} calls, set up in {each:.0f} us CPU each; SDES-SRTP <-> RTP, PCMU")
    for direction in DIRECTIONS:
        result = await measure(load, direction, arguments.seconds)
        if arguments.json:
            print(json.dumps({"calls": arguments.calls, **result}), flush=True)
        else:
            print(
                "{direction:12} {relayed} of {sent} relayed (loss {loss:.3%}), "
                "{cpu_us_a_packet} us CPU a packet ({of_it_kernel} in the kernel), "
                "{ratio_to_calibration} x a SHA-256 round of {calibration_us} us, "
                "{busy:.0%} of a core".format(**result),
                flush=True,
            )
    load.order(None)
    await media.close()


def main() -> None:
    """Parses the command line and runs the three measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    arguments = parser.parse_args()
    sockets = phones(arguments.calls)
    load = Load(sockets)
    try:
        uvloop.run(run(arguments, sockets, load))
    finally:
        os.waitpid(load.pid, 0)


if __name__ == "__main__":
    main()
