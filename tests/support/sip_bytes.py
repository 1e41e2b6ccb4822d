"""Builders for SIP messages as bytes: a good request, and the same with one thing changed."""

from collections.abc import Sequence

BASE: dict[str, str] = {
    "Via": "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKkdjuw",
    "Max-Forwards": "70",
    "From": "<sip:caller@example.net>;tag=134161461246",
    "To": "<sip:user@example.com>",
    "Call-ID": "torture.0ha0isndaksdj@192.0.2.1",
}


def request_bytes(
    method: str = "OPTIONS",
    uri: str = "sip:user@example.com",
    *extra: tuple[str, str],
    change: dict[str, str | None] | None = None,
    start_line: str | None = None,
    body: bytes = b"",
    line_end: str = "\r\n",
) -> bytes:
    """Return a request: base headers with `change` put over them (None leaves one out), extras."""
    fields = {**BASE, "CSeq": f"8 {method}", **(change or {})}
    fields.setdefault("Content-Length", str(len(body)))
    lines = [start_line or f"{method} {uri} SIP/2.0"]
    lines += [f"{name}: {value}" for name, value in fields.items() if value is not None]
    lines += [f"{name}: {value}" for name, value in extra]
    return _joined(lines, line_end) + body


def response_bytes(
    status: str = "200 OK",
    *extra: tuple[str, str],
    change: dict[str, str | None] | None = None,
    body: bytes = b"",
) -> bytes:
    """Return a response to an OPTIONS, changed the same way."""
    return request_bytes(
        "OPTIONS", "", *extra, change=change, start_line=f"SIP/2.0 {status}", body=body
    )


def _joined(lines: Sequence[str], line_end: str) -> bytes:
    return (line_end.join(lines) + line_end * 2).encode("utf-8", "surrogateescape")
