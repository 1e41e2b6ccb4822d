"""MM7 between a value added service provider and an MMSC: SOAP with attachments (3GPP TS 23.140).

Documents only; nothing is sent here. XML from the other side has neither document type nor entity.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from typing import Final
from xml.etree import ElementTree
from xml.sax.saxutils import escape

MAX_BODY: Final = 400_000
SOAP: Final = "http://schemas.xmlsoap.org/soap/envelope/"
MM7: Final = "http://www.3gpp.org/ftp/Specs/archive/23_series/23.140/schema/REL-6-MM7-1-4"
VERSION: Final = "6.8.0"
_MAX_XML: Final = 65_536
_NUMBER: Final = re.compile(r"\+?([0-9]{3,15})(?:/TYPE=PLMN)?")


class MalformedMm7(ValueError):
    """A document is no MM7 message; the message says why, without quoting it."""


@dataclass(frozen=True, slots=True)
class SubmitRequest:
    """A multimedia message to submit; numbers are digits, `content` a MIME entity."""

    transaction: str
    vasp_id: str
    vas_id: str
    sender: str
    recipient: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SubmitAnswer:
    """What an MMSC says: its status code (1000 is success) and the message's id, if any."""

    code: int
    message_id: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """A multimedia message an MMSC delivers to us; `entity` is its MIME content."""

    transaction: str
    sender: str
    recipient: str
    entity: bytes = field(repr=False)


def build_submit(request: SubmitRequest, boundary: str) -> tuple[str, bytes]:
    """Return the Content-Type and body of a SubmitReq (TS 23.140 7.1, 8.7.1.1)."""
    envelope = _envelope(
        request.transaction,
        f"<SubmitReq xmlns={_quoted(MM7)}><MM7Version>{VERSION}</MM7Version>"
        f"<SenderIdentification><VASPID>{escape(request.vasp_id)}</VASPID>"
        f"<VASID>{escape(request.vas_id)}</VASID>"
        f"<SenderAddress><Number>+{request.sender}</Number></SenderAddress>"
        "</SenderIdentification>"
        f"<Recipients><To><Number>+{request.recipient}</Number></To></Recipients>"
        "<MessageClass>Informational</MessageClass><DeliveryReport>false</DeliveryReport>"
        '<Content href="cid:content" allowAdaptations="false"/></SubmitReq>',
    )
    start = b"--" + boundary.encode()
    body = b"\r\n".join(
        (
            start,
            b'Content-Type: text/xml; charset="utf-8"',
            b"Content-ID: <envelope>",
            b"",
            envelope,
            start,
            b"Content-ID: <content>",
            request.content,
            start + b"--",
            b"",
        )
    )
    kind = f'multipart/related; boundary="{boundary}"; type="text/xml"; start="<envelope>"'
    return kind, body


def read_submit_answer(content_type: str, body: bytes) -> SubmitAnswer:
    """Read a SubmitRsp or a SOAP fault; raises MalformedMm7."""
    root = _parse(_envelope_of(content_type, body)[0])
    code = next((each.text for each in root.iter() if _name(each) == "StatusCode"), None)
    if code is None or not re.fullmatch(r"[0-9]{4}", code.strip()):
        raise MalformedMm7("no StatusCode")
    found = next((each.text for each in root.iter() if _name(each) == "MessageID"), None)
    return SubmitAnswer(int(code), (found or "").strip()[:128])


def read_delivery(content_type: str, body: bytes) -> Delivery:
    """Read a DeliverReq (TS 23.140 8.7.2.1); raises MalformedMm7."""
    envelope, content = _envelope_of(content_type, body)
    root = _parse(envelope)
    request = next((each for each in root.iter() if _name(each) == "DeliverReq"), None)
    if request is None or content is None:
        raise MalformedMm7("no DeliverReq with content")
    transaction = next((each.text for each in root.iter() if _name(each) == "TransactionID"), "")
    return Delivery(
        (transaction or "").strip()[:128],
        _number(request, "Sender"),
        _number(request, "Recipients"),
        content,
    )


def build_delivery_answer(transaction: str, code: int, text: str) -> bytes:
    """Return a DeliverRsp (TS 23.140 8.7.2.2)."""
    return _envelope(
        transaction,
        f"<DeliverRsp xmlns={_quoted(MM7)}><MM7Version>{VERSION}</MM7Version><Status>"
        f"<StatusCode>{code}</StatusCode><StatusText>{escape(text)}</StatusText></Status>"
        "</DeliverRsp>",
    )


def _quoted(text: str) -> str:
    return f'"{text}"'


def _envelope(transaction: str, payload: str) -> bytes:
    return (
        f'<?xml version="1.0" encoding="utf-8"?><env:Envelope xmlns:env="{SOAP}"><env:Header>'
        f'<TransactionID xmlns="{MM7}" env:mustUnderstand="1">{escape(transaction)}'
        f"</TransactionID></env:Header><env:Body>{payload}</env:Body></env:Envelope>"
    ).encode()


def _envelope_of(content_type: str, body: bytes) -> tuple[bytes, bytes | None]:
    """Return the SOAP envelope and, where there is one, the content beside it."""
    if len(body) > MAX_BODY:
        raise MalformedMm7(f"larger than {MAX_BODY} octets")
    if not content_type.isascii() or not content_type.isprintable():
        raise MalformedMm7("Content-Type is not printable")
    if content_type.lower().startswith(("text/xml", "application/soap+xml")):
        return body, None
    head = f"Content-Type: {content_type}\r\n\r\n".encode("ascii")
    try:
        message = BytesParser(policy=HTTP).parsebytes(head + body)
        parts = message.get_payload()
        if not isinstance(parts, list) or len(parts) != 2:
            raise MalformedMm7("not an envelope and one content")
        envelope, content = parts
        if not isinstance(envelope, Message) or not isinstance(content, Message):
            raise MalformedMm7("its parts are no entities")
        octets = envelope.get_payload(decode=True)
        if not isinstance(octets, bytes):
            raise MalformedMm7("the envelope is no text")
        return octets, content.as_bytes()
    except (ValueError, LookupError, RecursionError) as error:
        raise MalformedMm7(f"not multipart: {type(error).__name__}") from None


def _parse(envelope: bytes) -> ElementTree.Element:
    try:
        text = envelope.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedMm7("the envelope is not UTF-8") from None
    if len(text) > _MAX_XML or "<!" in text:
        # No document type, hence no entities: nothing expands and nothing is fetched.
        raise MalformedMm7("the envelope is too large or has a document type")
    try:
        return ElementTree.fromstring(text.encode())  # noqa: S314 - see above
    except (ElementTree.ParseError, ValueError, RecursionError):
        raise MalformedMm7("the envelope is not XML") from None


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _number(request: ElementTree.Element, place: str) -> str:
    outer = next((each for each in request.iter() if _name(each) == place), None)
    for each in outer.iter() if outer is not None else ():
        found = _NUMBER.fullmatch((each.text or "").strip()) if _name(each) == "Number" else None
        if found is not None:
            return found[1]
    raise MalformedMm7(f"{place} names no telephone number")
