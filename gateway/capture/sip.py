"""The SIP requests of a capture, each once, with the Identity header fields they carry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import BinaryIO, Final

from gateway.capture.file import MalformedCapture, read_frames
from gateway.capture.packet import KNOWN_LINK_TYPES, Datagram, PacketReader, Segment
from gateway.capture.streams import TcpStreams, begins_like_sip
from sip.headers import MalformedHeader
from sip.message import Request
from sip.parser import MalformedMessage, parse_datagram

MAX_REQUESTS: Final = 10_000


@dataclass(frozen=True, slots=True)
class CapturedRequest:
    """One request on one hop. `time` is when it was seen first, in epoch seconds.

    `times_seen` counts retransmissions too.
    """

    time: float
    source: str
    destination: str
    transport: str
    request: Request = field(repr=False)
    times_seen: int = 1

    @property
    def call_id(self) -> str:
        """The Call-ID as it stands there, empty where there is none."""
        return self.request.headers.get("Call-ID") or ""


@dataclass(slots=True)
class CaptureContents:
    """What a capture holds: signed requests in their order, and what else is worth telling.

    `unsigned` counts requests that begin a call or carry a message, without Identity header field.
    `malformed` counts messages that look like SIP and cannot be parsed.
    """

    frames: int = 0
    signed: list[CapturedRequest] = field(default_factory=list)
    unsigned: int = 0
    malformed: int = 0
    encrypted: int = 0
    cut: int = 0
    discarded_fragments: int = 0
    foreign_links: set[int] = field(default_factory=set)
    damage: str | None = None
    too_many: bool = False


Found = tuple[Datagram | Segment, Request | MalformedMessage]


def read_capture(file: BinaryIO) -> CaptureContents:
    """Read the signed requests of a pcap or pcapng file, at most 10,000 of them.

    Raises MalformedCapture where it holds no frame at all; damage further on is told in `damage`.
    """
    contents, requests = CaptureContents(), dict[tuple[object, ...], CapturedRequest]()
    reader, streams = PacketReader(), TcpStreams()
    for carrier, found in _messages(file, contents, reader, streams):
        if isinstance(found, MalformedMessage):
            contents.malformed += not found.is_response
        elif not _keep(carrier, found, requests, contents):
            break
    contents.signed = list(requests.values())
    contents.encrypted = streams.encrypted
    contents.discarded_fragments = reader.discarded
    return contents


def _keep(
    carrier: Datagram | Segment,
    request: Request,
    requests: dict[tuple[object, ...], CapturedRequest],
    contents: CaptureContents,
) -> bool:
    """Add a request, or count it once more; False when there is no room for another one."""
    values = request.headers.all("Identity")
    if request.method in ("ACK", "CANCEL"):
        return True
    if not values:
        contents.unsigned += request.method in ("INVITE", "MESSAGE") and not _within_dialog(request)
        return True
    key = (
        carrier.source,
        carrier.destination,
        request.headers.get("Call-ID"),
        request.headers.get("CSeq"),
        (request.headers.get("Via") or "").partition(",")[0],
        values,
    )
    known = requests.get(key)
    if known is not None:
        requests[key] = replace(known, times_seen=known.times_seen + 1)
        return True
    if len(requests) >= MAX_REQUESTS:
        contents.too_many = True
        return False
    transport = "udp" if isinstance(carrier, Datagram) else "tcp"
    requests[key] = CapturedRequest(
        carrier.time, carrier.source, carrier.destination, transport, request
    )
    return True


def _within_dialog(request: Request) -> bool:
    try:
        return request.to.tag is not None
    except MalformedHeader:
        return False


def _messages(
    file: BinaryIO, contents: CaptureContents, reader: PacketReader, streams: TcpStreams
) -> Iterator[Found]:
    try:
        for frame in read_frames(file):
            contents.frames += 1
            if frame.link_type not in KNOWN_LINK_TYPES:
                contents.foreign_links.add(frame.link_type)
            carrier = reader.read(frame)
            if isinstance(carrier, Datagram):
                yield from _of_datagram(carrier, contents)
            elif isinstance(carrier, Segment):
                contents.cut += carrier.missing > 0 and begins_like_sip(carrier.payload)
                yield from _of_stream(streams.add(carrier))
    except MalformedCapture as error:
        if not contents.frames:
            raise
        contents.damage = str(error)
    yield from _of_stream(streams.finish())


def _of_datagram(datagram: Datagram, contents: CaptureContents) -> Iterator[Found]:
    if not begins_like_sip(datagram.payload):
        return
    if datagram.missing:
        contents.cut += 1
        return
    try:
        message = parse_datagram(datagram.payload)
    except MalformedMessage as error:
        yield datagram, error
        return
    if isinstance(message, Request):
        yield datagram, message


def _of_stream(framed: Iterator[tuple[Segment, object]]) -> Iterator[Found]:
    for segment, message in framed:
        if isinstance(message, Request | MalformedMessage):
            yield segment, message
