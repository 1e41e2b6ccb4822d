"""What a directory, and an evaluator beside it, count for their operator.

Labels are closed lists: names of the configuration, outcomes, faults. No identifier that was asked
for, and no address of whoever asked, is in any of them.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.directory.access import LookupAccess
from gateway.directory.api import DirectoryApi
from gateway.directory.authority import NumberAuthority
from gateway.directory.couriers import Couriers
from gateway.directory.database import Database
from gateway.directory.lookups import Lookups
from gateway.directory.oblivious import Tokens
from gateway.directory.registry import Registry
from gateway.directory.spent_tokens import SpentTokens
from gateway.http.ohttp_gateway import OhttpGatewayServer
from gateway.metrics import Exposition


def measure_lookups(exposition: Exposition, lookups: Lookups) -> None:
    """Add answers by what they say, and proofs left out of them."""
    text = "Answers to lookups, by what they say"
    exposition.counts("answers", text, ("status",), lambda: lookups.statuses)
    text = "Logged records returned without their proof, by why"
    exposition.counts("unproven", text, ("reason",), lambda: lookups.unproven)


def measure_access(exposition: Exposition, access: LookupAccess) -> None:
    """Add who was admitted: a peer, `token` for a Privacy Pass token, nobody known."""
    text = "Admissions, by peer and outcome"
    exposition.counts("admissions", text, ("peer", "outcome"), lambda: access.outcomes)


def measure_tokens(exposition: Exposition, tokens: Tokens, spent: SpentTokens) -> None:
    """Add tokens redeemed and refused, and how many are remembered."""
    text = "Privacy Pass tokens redeemed"
    exposition.counts("tokens_redeemed", text, (), lambda: {(): tokens.redeemed})
    text = "Privacy Pass tokens refused, by fault"
    exposition.counts("tokens_refused", text, ("fault",), lambda: tokens.refused)
    exposition.gauge("spent_tokens", "Tokens remembered as spent", lambda: spent.kept)


def measure_oblivious(exposition: Exposition, server: OhttpGatewayServer) -> None:
    """Add encapsulated requests taken and refused."""
    text = "Encapsulated requests answered"
    exposition.counts("oblivious_requests", text, (), lambda: {(): server.taken})
    exposition.counts(
        "oblivious_refused",
        "Encapsulated requests refused, by fault",
        ("fault",),
        lambda: {(str(fault),): count for fault, count in server.refused.items()},
    )


def measure_changes(
    exposition: Exposition,
    registry: Registry,
    api: DirectoryApi,
    records: Callable[[], int],
) -> None:
    """Add registrations, claims, removals, what was refused, and the number of records."""
    text = "Changes of records, by operation and outcome; held: a claim that waits"
    exposition.counts("changes", text, ("operation", "outcome"), lambda: registry.outcomes)
    text = "Requests refused, by operation and reason"
    exposition.counts("refused", text, ("operation", "reason"), lambda: api.refused)
    exposition.gauge("records", "Records kept, as of the last sweep", records)


def measure_challenges(
    exposition: Exposition, authority: NumberAuthority, couriers: Couriers
) -> None:
    """Add challenges and certificates by outcome, and messages by carrier."""
    text = "Challenges and certificates, by outcome"
    exposition.counts("authority", text, ("kind", "outcome"), lambda: authority.outcomes)
    text = "Messages to numbers and mailboxes, by carrier and outcome"
    exposition.counts("messages", text, ("carrier", "outcome"), lambda: couriers.outcomes)


def measure_database(exposition: Exposition, database: Database) -> None:
    """Add errors of the database by cause, and the size of its file."""
    text = "Statements that failed, by cause"
    exposition.counts("database_errors", text, ("cause",), lambda: database.faults)
    if database.is_sqlite:
        exposition.gauge("database_bytes", "Size of the database's file", database.octets)
