"""Where a leg's peer is, and from where its packets are let in.

The rule of a static leg (RTP or SDES-SRTP at an address learned from signalling):

- *strict*, the default: packets come from exactly the signalled address and port (RFC 4961
  symmetric RTP), media goes there, nothing is learned from packets.
- *behind NAT* (the operator says so of a peer), unprotected: the first packet from a signalled
  host, whatever its port, fixes host and port until signalling changes them.
- *behind NAT*, protected by SRTP: a packet proves its source by its tag, from any address, also
  later when the NAT rebinds. What does not authenticate moves nothing.

An ICE leg lets in what comes from an address the agent validated, and sends to the selected one.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Protocol

from media.ice_values import Address


class Admission(Enum):
    """What to do with a packet from some source."""

    YES = "yes"
    IF_AUTHENTICATED = "if authenticated"
    NO = "no"


class Connectivity(Protocol):
    """What a leg asks about addresses; `rtcp` says that the packet is RTCP, not RTP."""

    destination: Address | None
    rtcp_destination: Address | None

    def admits(self, source: Address, *, rtcp: bool) -> Admission:
        """Whether a packet from `source` may be looked at."""
        ...

    def learn(self, source: Address, *, rtcp: bool) -> None:
        """A packet from `source` was accepted."""
        ...


class StaticConnectivity:
    """An address learned from signalling; see the rule above.

    `rtcp_destination` equals `destination` where RTCP is multiplexed (RFC 5761).
    """

    __slots__ = (
        "_behind_nat",
        "_fixed",
        "_hosts",
        "_protected",
        "_rtcp_fixed",
        "_signalled",
        "destination",
        "rtcp_destination",
    )

    def __init__(self, *, behind_nat: bool, protected: bool) -> None:
        self.destination: Address | None = None
        self.rtcp_destination: Address | None = None
        self._behind_nat = behind_nat
        self._protected = protected
        self._signalled: tuple[Address | None, Address | None] = (None, None)
        self._hosts: frozenset[str] = frozenset()
        self._fixed = False
        self._rtcp_fixed = False

    @property
    def strict(self) -> bool:
        """Whether only the signalled address counts, so that the socket may be connected to it."""
        return not self._behind_nat

    def signal(
        self, rtp: Address | None, rtcp: Address | None, signalling_hosts: Iterable[str] = ()
    ) -> None:
        """Takes the addresses of an offer or answer; None where the peer wants nothing.

        `signalling_hosts` are those the SIP messages came from: with the host in SDP, the only
        ones an unprotected peer behind NAT may send from. The same addresses again keep what was
        learned; others start anew.
        """
        hosts = frozenset(signalling_hosts) | ({rtp[0]} if rtp else frozenset())
        if (rtp, rtcp) == self._signalled and hosts == self._hosts:
            return
        self._signalled, self._hosts = (rtp, rtcp), hosts
        self.destination, self.rtcp_destination = rtp, rtcp
        self._fixed = self._rtcp_fixed = not self._behind_nat

    def admits(self, source: Address, *, rtcp: bool) -> Admission:
        if self.destination is None:
            return Admission.NO
        if source == self.destination or (rtcp and source == self.rtcp_destination):
            return Admission.YES
        if not self._behind_nat:
            return Admission.NO
        if self._protected:
            return Admission.IF_AUTHENTICATED
        if self._rtcp_fixed if rtcp else self._fixed:
            return Admission.NO
        hosts = {self.destination[0]} if self._fixed else self._hosts
        return Admission.YES if source[0] in hosts else Admission.NO

    def learn(self, source: Address, *, rtcp: bool) -> None:
        if not self._behind_nat:
            return
        shared = self.rtcp_destination == self.destination
        if rtcp and not shared:
            self.rtcp_destination, self._rtcp_fixed = source, True
            return
        self.destination, self._fixed = source, True
        if shared:
            self.rtcp_destination, self._rtcp_fixed = source, True


class Validated(Protocol):
    """The part of an ICE agent that the guard asks."""

    def is_validated(self, address: Address) -> bool:
        """Whether the peer proved by a check with integrity that it is at `address`."""
        ...


class IceConnectivity:
    """Follows an ICE agent; RTCP is always multiplexed (RFC 8834 section 4.5)."""

    __slots__ = ("agent", "destination")

    def __init__(self, agent: Validated | None = None) -> None:
        self.agent = agent
        self.destination: Address | None = None

    @property
    def rtcp_destination(self) -> Address | None:
        """Same as `destination`."""
        return self.destination

    @rtcp_destination.setter
    def rtcp_destination(self, address: Address | None) -> None:
        self.destination = address

    def admits(self, source: Address, *, rtcp: bool) -> Admission:
        del rtcp
        # Without a destination no pair is selected yet, or consent is gone.
        if self.destination is None or self.agent is None or not self.agent.is_validated(source):
            return Admission.NO
        return Admission.YES

    def learn(self, source: Address, *, rtcp: bool) -> None:
        """Learns nothing: only checks move an ICE leg."""
