"""The trace of SIP messages, one JSON object each, with every credential and key removed."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any, Final, Literal

from gateway.line_file import LineFile
from sip.flow import Flow
from sip.message import Request, Response

_SECRET_HEADER: Final = re.compile(
    r"^(Authorization|Proxy-Authorization|WWW-Authenticate|Proxy-Authenticate"
    r"|Authentication-Info)([ \t]*:)[^\r\n]*",
    re.IGNORECASE | re.MULTILINE,
)
_CRYPTO_KEY: Final = re.compile(r"(inline:)[^|\s;]+")
_ICE_PASSWORD: Final = re.compile(r"^(a=ice-pwd:)[^\r\n]*", re.MULTILINE)
_ROUTE_TOKEN: Final = re.compile(r"(;rt=)[A-Za-z0-9_-]+")


def redacted(text: str) -> str:
    """Return a message's text without digest credentials, SRTP keys and ICE passwords."""
    text = _SECRET_HEADER.sub(r"\1\2 (removed)", text)
    text = _CRYPTO_KEY.sub(r"\1(removed)", text)
    text = _ICE_PASSWORD.sub(r"\1(removed)", text)
    return _ROUTE_TOKEN.sub(r"\1(sealed)", text)


class MessageTrace:
    """Appends every message that passes a transport to a file; a full disk costs only lines."""

    def __init__(self, gateway: str, path: Path | None) -> None:
        self._gateway = gateway
        self._lines = LineFile(path)

    @property
    def lost(self) -> int:
        """Messages that could not be written down."""
        return self._lines.lost

    @property
    def active(self) -> bool:
        """Whether messages are written at all."""
        return self._lines.active

    def message(
        self, direction: Literal["in", "out"], flow: Flow, message: Request | Response
    ) -> None:
        """Write one message down."""
        if self._lines.active:
            self._lines.write(self._record(direction, flow, message))

    def _record(self, direction: str, flow: Flow, message: Request | Response) -> dict[str, Any]:
        text = redacted(message.to_bytes().decode("utf-8", "backslashreplace"))
        return {
            "time": time.time(),
            "gateway": self._gateway,
            "direction": direction,
            "transport": flow.transport,
            "listener": flow.listener,
            "local": str(flow.local),
            "remote": str(flow.remote),
            "call_id": message.headers.get("Call-ID"),
            "cseq": message.headers.get("CSeq"),
            "first_line": text.partition("\r\n")[0],
            "message": text,
        }

    def close(self) -> None:
        """Close the file."""
        self._lines.close()
