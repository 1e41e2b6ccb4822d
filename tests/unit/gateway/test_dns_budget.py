"""G3 of the security bar: one time limit for all DNS questions of a call's next hop."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from gateway.dns_budget import DnsBudget
from sip.dns import DnsUnavailable, Naptr, Srv
from sip.locate import NotLocated, locate
from sip.uri import SipUri, parse_uri

BUDGET = 0.2


class SlowDns:
    """Answers each kind of question after so many seconds."""

    def __init__(self, *, naptr: float, srv: float, addresses: float) -> None:
        self._delays = {"naptr": naptr, "srv": srv, "addresses": addresses}
        self.asked: list[str] = []

    async def naptr(self, name: str) -> tuple[Naptr, ...]:
        await self._wait("naptr")
        return ()

    async def srv(self, name: str) -> tuple[Srv, ...]:
        await self._wait("srv")
        return (Srv(1, 1, 5061, "gw.peer.example"),) if name.startswith("_sips.") else ()

    async def addresses(self, name: str) -> tuple[str, ...]:
        await self._wait("addresses")
        return ("192.0.2.9",)

    async def _wait(self, kind: str) -> None:
        self.asked.append(kind)
        await asyncio.sleep(self._delays[kind])


async def find(dns: SlowDns) -> list[str]:
    uri = parse_uri("sip:+12125550123@peer.example")
    assert isinstance(uri, SipUri)
    hops = await locate(
        uri,
        DnsBudget(dns, BUDGET),
        transports=frozenset({"tls", "tcp", "udp"}),
        rand=random.Random(0),
    )
    return [hop.address.host for hop in hops]


async def test_a_silent_dns_costs_the_budget_once_and_is_unavailable_not_absent() -> None:
    began = time.monotonic()
    with pytest.raises(NotLocated, match=r"dns: .*whole search") as caught:
        await find(SlowDns(naptr=30, srv=30, addresses=30))
    assert caught.value.cause == "unavailable"
    assert time.monotonic() - began < BUDGET + 0.5


async def test_a_swallowed_naptr_leaves_half_of_the_time_for_srv() -> None:
    assert await find(SlowDns(naptr=30, srv=0, addresses=0)) == ["192.0.2.9"]


async def test_questions_that_are_slow_one_by_one_are_given_up_together() -> None:
    dns = SlowDns(naptr=BUDGET / 3, srv=BUDGET / 2, addresses=BUDGET / 2)
    with pytest.raises(NotLocated, match="dns"):
        await find(dns)
    assert dns.asked == ["naptr", "srv", "addresses"] + ["srv"] * 2


async def test_a_quick_dns_is_answered_through_the_budget() -> None:
    budget = DnsBudget(SlowDns(naptr=0, srv=0, addresses=0), BUDGET)
    assert await budget.addresses("a") == ("192.0.2.9",)


async def test_a_question_after_the_end_of_the_time_is_not_waited_for() -> None:
    budget = DnsBudget(SlowDns(naptr=0, srv=30, addresses=0), 0.0)
    with pytest.raises(DnsUnavailable):
        await budget.srv("a")
