"""What the softphone and its child process say to each other: one JSON object a line.

The parent sends commands `{"id": 7, "do": "call", ...}`; the child answers each with
`{"reply": 7, ...}` or `{"reply": 7, "error": "..."}` and tells of events on its own account
with `{"event": "...", ...}`. Times are epoch seconds.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Transport = Literal["udp", "tcp", "tls"]
Srtp = Literal["disabled", "optional", "mandatory"]
LONGEST_LINE = 256 * 1024


@dataclass(frozen=True, slots=True)
class SoftphoneSettings:
    """One account on one telephone.

    `address_of_record` is the user's own URI, without transport parameters. `proxy` is the
    URI all requests are sent to (default: the domain of the address of record, over
    `transport`); it is found by SRV and A at `nameserver` (address, port), or by the
    system's resolver where that is None. Over TLS the certificate must prove the host of
    `proxy`, and chain to `trust_anchor_file`.

    `bind_address` is where SIP and RTP are opened; `port` is that of the SIP listener (0: any).
    A telephone that shall accept TLS connections itself needs `certificate_file` and `key_file`.
    `codecs` in order of preference, by PJSIP's names ("PCMU/8000"); empty: PJSIP's own order.
    `answer_after` is how many seconds an incoming call rings before it is answered; None
    leaves it ringing. `play` and `record` are WAV files used for every call: a `{call}` in
    the name of `record` becomes the call's number.
    """

    address_of_record: str
    transport: Transport = "tls"
    bind_address: str = "127.0.0.1"
    port: int = 0
    username: str | None = None
    password: str | None = None
    proxy: str | None = None
    nameserver: tuple[str, int] | None = None
    trust_anchor_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    srtp: Srtp = "optional"
    codecs: tuple[str, ...] = ("PCMU/8000", "PCMA/8000", "G722/16000")
    answer_after: float | None = 0.5
    play: Path | None = None
    record: Path | None = None
    rtp_port_min: int = 0
    log_file: Path | None = None
    user_agent: str = "Spingate softphone"

    def __repr__(self) -> str:
        return f"SoftphoneSettings({self.address_of_record}, {self.transport}, {self.bind_address})"

    @property
    def domain(self) -> str:
        """The host part of the address of record."""
        return self.address_of_record.split("@")[-1].split(":")[-1].split(";")[0]

    @property
    def proxy_uri(self) -> str:
        """The URI of the outbound proxy, a loose route."""
        uri = self.proxy or f"sip:{self.domain};transport={self.transport}"
        return uri if ";lr" in uri else f"{uri};lr"

    def to_json(self) -> dict[str, Any]:
        """The settings as plain values, the password among them: for the child's pipe only."""
        return {
            name: str(value) if isinstance(value, Path) else value
            for name, value in asdict(self).items()
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "SoftphoneSettings":
        """The inverse of `to_json`; raises TypeError for unknown names."""
        given = dict(values)
        for name in ("trust_anchor_file", "certificate_file", "key_file", "play", "record"):
            given[name] = Path(given[name]) if given.get(name) else None
        given["log_file"] = Path(given["log_file"]) if given.get("log_file") else None
        if given.get("nameserver"):
            host, port = given["nameserver"]
            given["nameserver"] = (str(host), int(port))
        given["codecs"] = tuple(given.get("codecs", ()))
        return cls(**given)


@dataclass(frozen=True, slots=True)
class StreamStatistics:
    """One audio stream as PJSIP counted it; jitter in milliseconds, `srtp` True for RTP/SAVP."""

    codec: str
    srtp: bool
    packets_sent: int
    packets_received: int
    packets_lost: int
    packets_reordered: int
    packets_duplicated: int
    packets_discarded: int
    bytes_sent: int
    bytes_received: int
    jitter_ms: float
    remote_address: str
