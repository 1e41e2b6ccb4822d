"""Which peer a request comes from, and what its calls must prove."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Literal

from gateway.config.sip import Peer
from sip.flow import Flow

IdentityPolicy = Literal["require", "mark", "observe"]


@dataclass(frozen=True, slots=True)
class PeerTerms:
    """The terms of one peer: its name for logs and limits, and the policy for its verdicts.

    `out_of_band` where the Identity header field is known to get lost on the way.
    `refuse_anonymous`: callers who are not shown are refused. `trust_verstat`: what the peer
    states of a call without Identity is believed.
    """

    name: str
    identity: IdentityPolicy
    max_calls: int
    out_of_band: bool = False
    refuse_anonymous: bool = False
    trust_verstat: bool = False


class PeerPolicy:
    """Matches the flow of a request to the first configured peer, or to the default terms.

    `max_calls` is the limit of calls at once for each address that is no configured peer.
    """

    def __init__(
        self,
        peers: Sequence[Peer],
        default: IdentityPolicy,
        max_calls: int,
        *,
        refuse_anonymous: bool = False,
    ) -> None:
        self._default = default
        self._refuse_anonymous = refuse_anonymous
        self._max_calls = max_calls
        self._peers: list[tuple[str | None, list[IPv4Network | IPv6Network], PeerTerms]] = []
        for peer in peers:
            networks = [ip_network(network) for network in peer.sources]
            own = peer.anonymous_callers
            terms = PeerTerms(
                peer.domain or ",".join(peer.sources),
                peer.identity or default,
                peer.max_calls,
                out_of_band=peer.out_of_band,
                refuse_anonymous=refuse_anonymous if own is None else own == "refuse",
                trust_verstat=peer.trust_verstat,
            )
            self._peers.append((peer.domain, networks, terms))

    def terms(self, flow: Flow) -> PeerTerms:
        """Return the terms for a flow; a stranger is named by its address."""
        address = ip_address(flow.remote.host)
        for domain, networks, terms in self._peers:
            if domain is not None and domain not in flow.peer_names:
                continue
            if networks and not any(address in network for network in networks):
                continue
            return terms
        return PeerTerms(
            flow.remote.host,
            self._default,
            self._max_calls,
            refuse_anonymous=self._refuse_anonymous,
        )

    def loses_identity(self, host: str) -> bool:
        """Whether a next hop is one of a peer's domain to which the Identity header gets lost."""
        name = host.lower()
        return any(
            terms.out_of_band and domain is not None and f".{name}".endswith(f".{domain}")
            for domain, _, terms in self._peers
        )
