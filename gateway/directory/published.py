"""What a directory publishes over ENUM: the maps that their owners tagged `enum`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from discovery.directory.identifier import Identifier, Scheme
from discovery.directory.record import parse_record
from discovery.enum.domain import Tree
from discovery.enum.naptr import Rule
from discovery.enum.publishing.rules import rules_for
from discovery.enum.publishing.signing import SigningKey
from discovery.enum.publishing.zone import PublishedZone, ZoneSettings
from discovery.model import Service
from gateway.config.enum_publishing import EnumPublishing
from gateway.config.load import ConfigError
from gateway.directory.database import DirectoryUnavailable
from gateway.directory.record_store import RecordStore, live
from gateway.enum_server.server import EnumServer, NumbersUnavailable, ServerSettings

OPTED_IN: Final = "enum"
"""The tag by which an owner has a map published; signed like the rest of the record."""


class DirectoryNumbers:
    """Reads records as the directory holds them; `wall_clock` gives epoch seconds."""

    def __init__(self, records: RecordStore, wall_clock: Callable[[], float]) -> None:
        self._records = records
        self._wall_clock = wall_clock

    async def rules(self, number: str) -> tuple[Rule, ...]:
        """Return the rules of a number (digits); none where two records contradict each other."""
        csi = str(Identifier(Scheme.TEL, number))
        try:
            found = await self._records.find([csi])
        except DirectoryUnavailable as error:
            raise NumbersUnavailable(f"database: {error}") from None
        counting = live(found.get(csi, ()), self._wall_clock())
        if len(counting) != 1:
            return ()
        _, record = parse_record(counting[0].token)
        maps = sorted(
            (each for each in record.maps if OPTED_IN in each.tags), key=lambda each: each.prio
        )
        return rules_for(
            (service, each.uri) for each in maps for service in Service if service in each.services
        )


def enum_server(
    settings: EnumPublishing,
    keys: tuple[SigningKey, ...],
    records: RecordStore,
    wall_clock: Callable[[], float],
) -> EnumServer:
    """Return the server of the tree; raises ConfigError."""
    zone_settings = ZoneSettings(
        settings.nameservers,
        settings.hostmaster,
        ttl=settings.ttl_seconds,
        negative_ttl=settings.negative_ttl_seconds,
    )
    try:
        tree = Tree(settings.prefix.removeprefix("+"), settings.suffix)
        zone = PublishedZone(tree, keys, zone_settings)
    except ValueError as error:
        raise ConfigError("enum", str(error)) from None
    return EnumServer(
        zone,
        DirectoryNumbers(records, wall_clock),
        ServerSettings(
            settings.address,
            settings.port,
            responses_per_second=settings.responses_per_second,
            responses_burst=settings.responses_burst,
        ),
        wall_clock=wall_clock,
    )
