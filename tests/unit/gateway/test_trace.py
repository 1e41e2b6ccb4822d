"""The trace shows messages and no secret."""

from __future__ import annotations

import json
from pathlib import Path

from gateway.trace import MessageTrace, redacted
from sip.flow import Address, Flow
from sip.headers import Headers
from sip.message import Request

FLOW = Flow("udp", Address("192.0.2.1", 5060), Address("192.0.2.2", 5060), "access")
SECRET = "canary"


def invite(headers: tuple[tuple[str, str], ...] = (), body: bytes = b"") -> Request:
    return Request(
        "INVITE",
        "sip:+12125550123@beta.example",
        Headers.of(("Call-ID", "1@a"), ("CSeq", "1 INVITE"), *headers),
        body,
    )


def test_credentials_keys_and_tokens_never_reach_the_trace(tmp_path: Path) -> None:
    body = (
        b"v=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:canary|2^31\r\n"
        b"a=ice-pwd:canary\r\nm=audio 4000 RTP/SAVP 0\r\n"
    )
    headers = (
        ("Authorization", 'Digest username="u", response="canary"'),
        ("Proxy-Authorization", 'Digest response="canary"'),
        ("Record-Route", "<sip:192.0.2.1;lr;rt=canary>"),
    )
    path = tmp_path / "trace.jsonl"
    trace = MessageTrace("alpha.example", path)
    trace.message("in", FLOW, invite(headers, body))
    trace.close()
    text = path.read_text()
    assert SECRET not in text
    record = json.loads(text)
    assert record["first_line"] == "INVITE sip:+12125550123@beta.example SIP/2.0"
    assert "m=audio 4000 RTP/SAVP 0" in record["message"]


def test_a_trace_without_a_file_writes_nothing() -> None:
    trace = MessageTrace("alpha.example", None)
    trace.message("in", FLOW, invite())
    assert not trace.active


def test_a_full_disk_loses_lines_and_raises_nothing(tmp_path: Path) -> None:
    trace = MessageTrace("alpha.example", Path("/dev/full"))
    trace.message("in", FLOW, invite())
    assert trace.lost == 1


def test_compact_and_folded_spellings_are_redacted_too() -> None:
    assert SECRET not in redacted("authorization : Digest canary\r\n")
