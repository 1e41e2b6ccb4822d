"""A phone made of one socket: SDP, RTP or SDES-SRTP, for tests of whole media sessions."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import Iterator

from media.crypto_attribute import CryptoAttribute
from media.sdes import key_params, new_key, parse_key
from media.sdp import parse_sdp
from media.session import LegProfile, MediaEngine, MediaEvent, MediaSession, MediaSettings
from media.srtp import AES_CM_128_HMAC_SHA1_80, SrtpInbound, SrtpOutbound

ALLOWED = ("127.0.0.0/8",)


def free_range(size: int = 400) -> tuple[int, int]:
    """A range of ports below the ephemeral ones that other tests are unlikely to use now."""
    start = random.randrange(10_000, 32_000 - size) & ~1
    return start, start + size - 1


def engine(host: str = "127.0.0.1", **changes: object) -> MediaEngine:
    """An engine on loopback with one network, `net`."""
    low, high = free_range()
    values: dict[str, object] = {
        "networks": {"net": host},
        "port_min": low,
        "port_max": high,
        "allow_networks": ALLOWED,
        "port_quarantine": 0.0,
    }
    return MediaEngine(MediaSettings(**(values | changes)))  # type: ignore[arg-type]


def open_session(
    media: MediaEngine, caller: str, callee: str, events: list[MediaEvent] | None = None
) -> MediaSession:
    """A session whose sides are of these kinds, on `net`."""
    return media.open(
        f"call-{random.randrange(1 << 40)}",
        caller=LegProfile(caller, "net"),  # type: ignore[arg-type]
        callee=LegProfile(callee, "net"),  # type: ignore[arg-type]
        on_event=(events if events is not None else []).append,
    )


class Phone:
    """Speaks PCMU on one port. Frames carry `name` and a number, so that tests can tell."""

    def __init__(self, name: bytes, *, secure: bool = False, host: str = "127.0.0.1") -> None:
        self.name, self.host = name, host
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.socket.setblocking(False)
        self.port: int = self.socket.getsockname()[1]
        self.key = new_key(AES_CM_128_HMAC_SHA1_80) if secure else None
        self._protect = SrtpOutbound(self.key) if self.key else None
        self._unprotect: SrtpInbound | None = None
        self.remote: tuple[str, int] | None = None
        self.number = 0
        self.heard: list[bytes] = []
        self.rtcp: list[bytes] = []
        self.failures = 0
        self.version = 0

    def sdp(self, *, direction: str = "sendrecv", formats: str = "0 101", extra: str = "") -> bytes:
        """An offer or answer."""
        self.version += 1
        profile = "RTP/SAVP" if self.key else "RTP/AVP"
        crypto = ""
        if self.key:
            crypto = f"a=crypto:{self.tag} {self.key.profile.name} {key_params(self.key)}\r\n"
        maps = {
            "0": "PCMU/8000",
            "8": "PCMA/8000",
            "9": "G722/8000",
            "101": "telephone-event/8000",
        }
        rtpmaps = "".join(f"a=rtpmap:{text} {maps[text]}\r\n" for text in formats.split())
        return (
            f"v=0\r\no=- 1 {self.version} IN IP4 {self.host}\r\ns=-\r\n"
            f"c=IN IP4 {self.host}\r\nt=0 0\r\n"
            f"m=audio {self.port} {profile} {formats}\r\n{rtpmaps}{crypto}a={direction}\r\n{extra}"
        ).encode()

    tag = 1

    def learn(self, sdp: bytes) -> None:
        """Takes the other side's address and key."""
        description = parse_sdp(sdp)
        media = description.media[0]
        connection = description.connection_of(media)
        assert connection is not None
        self.remote = (connection.host, media.port)
        if self.key:
            chosen = self.choose(media.crypto())
            self.tag = chosen.tag
            inbound = parse_key(chosen.suite, chosen.key_params, chosen.session_params)
            if self._unprotect is None or self._unprotect.key != inbound:
                self._unprotect = SrtpInbound(inbound)

    @staticmethod
    def choose(lines: tuple[CryptoAttribute, ...]) -> CryptoAttribute:
        """The line of the only suite this phone has."""
        return next(line for line in lines if line.suite == AES_CM_128_HMAC_SHA1_80.name)

    def packet(self) -> bytes:
        """The next RTP packet in clear."""
        self.number += 1
        header = struct.pack(
            "!BBHII", 0x80, 0, self.number & 0xFFFF, self.number * 160, hash(self.name) & 0xFFFF
        )
        return header + (self.name + b":%d;" % self.number).ljust(160, b"\0")

    def talk(self, count: int = 1) -> None:
        """Sends packets to the learned address."""
        assert self.remote is not None
        for _ in range(count):
            packet = self.packet()
            self.socket.sendto(
                self._protect.protect(packet) if self._protect else packet, self.remote
            )

    def send_rtcp(self, packet: bytes, *, own_port: bool) -> None:
        """Sends a report, from the phone's only port."""
        assert self.remote is not None
        data = self._protect.protect_rtcp(packet) if self._protect else packet
        host, port = self.remote
        self.socket.sendto(data, (host, port + 1 if own_port else port))

    def listen(self) -> list[bytes]:
        """Reads what has arrived; returns the frames heard in all."""
        with contextlib.suppress(BlockingIOError):
            while True:
                data = self.socket.recv(2048)
                if 192 <= data[1] <= 223:
                    self.rtcp.append(
                        self._unprotect.unprotect_rtcp(data) if self._unprotect else data
                    )
                    continue
                if self._unprotect is not None:
                    try:
                        data = self._unprotect.unprotect(data)
                    except ValueError:
                        self.failures += 1
                        continue
                self.heard.append(data[12:].partition(b";")[0])
        return self.heard

    def close(self) -> None:
        self.socket.close()


@contextlib.contextmanager
def phones(*made: Phone) -> Iterator[tuple[Phone, ...]]:
    """Closes the phones at the end."""
    try:
        yield made
    finally:
        for phone in made:
            phone.close()


async def converse(first: Phone, second: Phone, *, packets: int = 20) -> None:
    """Both talk; raises AssertionError unless each hears all of the other's new packets."""
    begin = {phone.name: phone.number for phone in (first, second)}
    for _ in range(packets):
        first.talk()
        second.talk()
        await asyncio.sleep(0.002)
    for speaker, listener in ((first, second), (second, first)):
        wanted = {
            speaker.name + b":%d" % number
            for number in range(begin[speaker.name] + 1, speaker.number + 1)
        }
        for _ in range(100):
            if wanted <= set(listener.listen()):
                break
            await asyncio.sleep(0.01)
        missing = wanted - set(listener.heard)
        assert not missing, f"{listener.name!r} did not hear {len(missing)} of {len(wanted)}"


async def until(condition: object, *, seconds: float = 5.0) -> None:
    """Waits until the callable returns something true; raises AssertionError otherwise."""
    assert callable(condition)
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("did not happen in time")
