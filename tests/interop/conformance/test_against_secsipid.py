"""The suite against Kamailio's secsipid: the table shows what it does not look at."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.demo.network import choose_prefix
from tests.support.command_line import spingate
from tests.support.conformance_scene import conformance
from tests.support.kamailio import is_installed, kamailio

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        not is_installed(), reason="kamailio and kamailio-secsipid-modules are not installed"
    ),
]

CONFIGURATION = Path(__file__).parents[1] / "secsipid" / "kamailio.cfg"
NOT_LOOKED_AT = {"wrong-orig", "wrong-dest", "replay", "future", "no-list", "other-number"}
SEEN = {"wrong-key", "tampered", "old", "untrusted", "expired", "garbage", "empty", "info"}


async def test_the_table_shows_what_is_not_looked_at(tmp_path: Path) -> None:
    prefix = choose_prefix([(34, 8080), (63, 5060)])
    made = await spingate("cert", "authority", "--out", tmp_path / "ca")
    assert made.code == 0, made.err
    words = {
        "NEXT_ADDRESS": f"{prefix}.63:5060",
        "ROOT_FILE": str(tmp_path / "ca" / "root.pem"),
        "CHAIN_FILE": "",
    }
    async with kamailio(tmp_path, CONFIGURATION, f"{prefix}.73", **words):
        said, found = await conformance(
            *(f"sip:+12125550123@{prefix}.73:5060", "--from", "+14155550100"),
            *("--serve", f"{prefix}.34:8080", "--base-url", f"http://{prefix}.34:8080/c"),
            *("--authority", tmp_path / "ca", "--bind", f"{prefix}.75", "--pause", "0"),
            *("--receiver", f"{prefix}.63:5060", "--timeout", "5"),
        )
    assert said.code == 1
    assert found["valid"]["result"] == "pass"
    assert found["replay"]["remark"] == "delivered without verstat"
    conduct = {name: each["conduct"] for name, each in found.items()}
    assert {name for name in NOT_LOOKED_AT if conduct[name] == "accepted"} == NOT_LOOKED_AT
    assert {name for name in SEEN if conduct[name] == "refused"} == SEEN
    assert conduct["http"] == "untried"
