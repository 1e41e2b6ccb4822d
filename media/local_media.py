"""What we say of our own side of a stream, and the SDP lines that say it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from media.crypto_attribute import CryptoAttribute
from media.fingerprint import Fingerprint
from media.ice_values import IceParameters
from media.sdp_lines import Line, attribute

Setup = Literal["actpass", "active", "passive"]


@dataclass(frozen=True, slots=True)
class LocalMedia:
    """Our end of one stream on one leg.

    `address` is numeric, as the peer reaches it. `rtcp_port` is None with `rtcp_mux` only. An
    sdes leg has `crypto`: several lines in an offer, one in an answer; a webrtc leg has
    `fingerprints`, `setup` and `ice`; an rtp leg none of these.
    """

    address: str
    port: int
    rtcp_port: int | None = None
    rtcp_mux: bool = False
    crypto: tuple[CryptoAttribute, ...] = ()
    fingerprints: tuple[Fingerprint, ...] = ()
    setup: Setup | None = None
    ice: IceParameters | None = None

    def lines(self) -> Iterator[Line]:
        """Our transport's attributes, in the order browsers write them."""
        if self.rtcp_port is not None and self.rtcp_port != self.port + 1:
            yield attribute("rtcp", str(self.rtcp_port))
        if self.ice is not None:
            yield attribute("ice-ufrag", self.ice.credentials.ufrag)
            yield attribute("ice-pwd", self.ice.credentials.pwd)
            yield attribute("ice-options", "ice2")
        for fingerprint in self.fingerprints:
            yield attribute("fingerprint", str(fingerprint))
        if self.setup is not None:
            yield attribute("setup", self.setup)
        if self.rtcp_mux:
            yield attribute("rtcp-mux")
        for crypto in self.crypto:
            yield attribute("crypto", str(crypto))
        if self.ice is not None:
            for candidate in self.ice.candidates:
                yield attribute("candidate", str(candidate))
            yield attribute("end-of-candidates")
