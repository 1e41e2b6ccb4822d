"""What the operator sees of a running gateway: lists for `spingate show` and one question."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from discovery.cache import MappingCache
from discovery.model import Service
from discovery.number import NumberRanges
from gateway.calls.control import CallControl
from gateway.calls.record import resolution_record
from gateway.calls.state import CallTable
from gateway.config.root import Config
from gateway.http.admin import StateReader
from gateway.numbers import dialled_number
from gateway.resolution import Resolver
from media.session import MediaEngine
from sip.endpoint import Endpoint
from stir.certificates.certificate import Credential
from stir.certificates.credential_cache import CredentialCache

_LONGEST_LIST: Final = 1_000
_SERVICES: Final = {"voice": Service.VOICE, "video": Service.VIDEO, "message": Service.IM}


@dataclass(frozen=True, slots=True)
class OperatorView:
    """Reads the parts of a gateway; each list has at most 1,000 entries. `clock`: epoch seconds."""

    config: Config
    calls: CallTable
    control: CallControl
    endpoint: Endpoint
    media: MediaEngine
    resolver: Resolver
    mappings: MappingCache | None
    credentials: CredentialCache
    clock: Callable[[], float]

    def readers(self) -> dict[str, StateReader]:
        """Return the lists by the name they are asked for."""
        return {
            "calls": self._calls,
            "peers": self._peers,
            "config": self._config,
            "cache": self._cache,
            "media": self._media,
            "transactions": self._transactions,
        }

    def _calls(self) -> list[dict[str, Any]]:
        return [call.record.as_json() for call in islice(self.calls.calls(), _LONGEST_LIST)]

    def _peers(self) -> list[dict[str, Any]]:
        """The configured peers, then whoever else has calls up, with their calls at once."""
        active = self.calls.by_account()
        verification = self.config.stir.verification
        default = verification.policy if verification is not None else "require"
        listed = [
            {
                "peer": peer.domain or ",".join(peer.sources),
                "identity": peer.identity or default,
                "max_calls": peer.max_calls,
                "calls": active.pop(peer.domain or ",".join(peer.sources), 0),
            }
            for peer in self.config.peer
        ]
        others = ({"peer": name, "calls": count} for name, count in active.items())
        return [*listed, *islice(others, _LONGEST_LIST)]

    def _config(self) -> list[dict[str, Any]]:
        """The effective configuration; pydantic hides what is secret."""
        return [self.config.model_dump(mode="json")]

    def _cache(self) -> list[dict[str, Any]]:
        now = self.clock()
        mappings = self.mappings.entries(now) if self.mappings is not None else []
        found = [
            {
                "number": f"+{key.number}",
                "service": str(key.service),
                "uris": [uri.uri for uri in uris],
                "seconds_left": round(min(uri.expires_at for uri in uris) - now),
            }
            for key, uris in islice(mappings, _LONGEST_LIST)
        ]
        certificates = [
            {
                "x5u": url,
                "certificate": entry.found.leaf.subject.rfc4514_string()
                if isinstance(entry.found, Credential)
                else f"unavailable: {entry.found}",
                "seconds_left": round(entry.expires - now),
            }
            for url, entry in islice(self.credentials.entries(now), _LONGEST_LIST)
        ]
        return [*found, *certificates]

    def _media(self) -> list[dict[str, Any]]:
        return [{"sessions": self.media.active, "ports_in_use": self.media.ports_in_use}]

    def _transactions(self) -> list[dict[str, Any]]:
        return [{"unfinished": self.endpoint.unfinished, "pending": len(self.control)}]

    async def discover(self, number: str, service: str, sender: str) -> dict[str, Any]:
        """Look a number up for the operator; raises ValueError for a wrong question."""
        wanted = dialled_number(number, self.config.provider.region)
        if wanted is None:
            raise ValueError(f"{number!r} is no telephone number")
        if sender.removeprefix("+") not in NumberRanges(self.config.provider.numbers):
            raise ValueError(f"{sender!r} is not one of this provider's numbers")
        if service not in _SERVICES:
            raise ValueError(f"{service!r} is neither voice, video nor message")
        return resolution_record(
            await self.resolver.resolve(wanted, _SERVICES[service], caller=sender)
        )
