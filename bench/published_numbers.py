"""What answers about published numbers cost: processor time, and octets for each octet asked.

In one process, without sockets: a query as it came from the wire is read, answered, signed where
that is needed, and written.
"""

from __future__ import annotations

import time
from typing import Any, Final

import dns.message
import dns.rdatatype
from cryptography.hazmat.primitives.asymmetric import ec
from rich.table import Table

from bench.process import calibrate, machine
from discovery.enum.domain import Tree
from discovery.enum.naptr import Rule
from discovery.enum.publishing.rules import rules_for
from discovery.enum.publishing.signing import SigningKey
from discovery.enum.publishing.zone import PublishedZone, ZoneSettings
from discovery.model import Service
from gateway.cli.output import console
from gateway.enum_server.server import datagram_of, read_query, truncated

TREE: Final = Tree("1", "e164.test")
BOB: Final = "12125550123"
RULES: Final = rules_for([(Service.VOICE, f"sip:+{BOB}@beta.example;user=phone")])


def measure(rounds: int, queries: int) -> dict[str, Any]:
    """Measure each kind of query, the best of so many rounds of so many queries."""
    key = SigningKey(ec.generate_private_key(ec.SECP256R1()))
    settings = ZoneSettings(("ns1.beta.example",), "hostmaster.beta.example")
    zone = PublishedZone(TREE, (key,), settings)
    rows: list[dict[str, Any]] = []
    for kind, names in _kinds(rounds * queries).items():
        wires = [_query(name, what, signed) for name, what, signed in names]
        times = []
        answer = b""
        for turn in range(rounds):
            begun = time.process_time()
            for place in range(queries):
                wire = wires[(turn * queries + place) % len(wires)]
                answer = _answered(zone, wire)
            times.append((time.process_time() - begun) / queries * 1e6)
        rows.append(
            {
                "query": kind,
                "cpu_us": round(min(times), 1),
                "per_second": round(1e6 / min(times)),
                "octets": len(answer),
                "times_query": round(len(answer) / len(wires[0]), 2),
            }
        )
    return {
        "bench": "published numbers",
        "ok": all(row["times_query"] < 8 for row in rows),
        "machine": machine(),
        "calibration_us": round(calibrate(), 3),
        "signatures_made": zone.signatures_made,
        "queries": rows,
    }


def _kinds(count: int) -> dict[str, list[tuple[str, str, bool]]]:
    absent = [f"1213{number:07d}" for number in range(count)]
    return {
        "published, signed": [(TREE.domain(BOB), "NAPTR", True)],
        "published, not signed": [(TREE.domain(BOB), "NAPTR", False)],
        "absent, each another": [(TREE.domain(each), "NAPTR", True) for each in absent],
        "absent, the same": [(TREE.domain("12145550199"), "NAPTR", True)],
        "absent, not signed": [(TREE.domain("12145550199"), "NAPTR", False)],
        "keys": [(TREE.suffix, "DNSKEY", True)],
        "any": [(TREE.domain(BOB), "ANY", True)],
        "of another zone": [("elsewhere.example", "NAPTR", True)],
        "too many, truncated": [(f"x.{TREE.suffix}", "TXT", True)],
    }


def _query(name: str, kind: str, signed: bool) -> bytes:
    return dns.message.make_query(name, kind, want_dnssec=signed).to_wire()


def _answered(zone: PublishedZone, wire: bytes) -> bytes:
    query = read_query(wire)
    assert query is not None
    if query.question[0].rdtype == dns.rdatatype.TXT:
        return truncated(query)
    rules: tuple[Rule, ...] = RULES if zone.number_asked(query) == BOB else ()
    return datagram_of(zone.answer(query, rules, time.time()), query) or truncated(query)


def show(found: dict[str, Any]) -> None:
    """Print the table."""
    table = Table(title="Answers about published numbers, one core")
    for name in ("query", "CPU us", "a second", "octets", "times the query"):
        table.add_column(name, justify="left" if name == "query" else "right")
    for row in found["queries"]:
        table.add_row(
            row["query"],
            f"{row['cpu_us']:.0f}",
            f"{row['per_second']:,}",
            str(row["octets"]),
            f"{row['times_query']:.1f}",
        )
    console.print(found["machine"])
    console.print(table)
