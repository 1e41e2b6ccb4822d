"""`spingate cert obtain`, `renew`, `account` and `revoke`, run as a person runs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.acme_resources import Temper
from tests.support.acme_world import acme_world
from tests.support.command_line import spingate

pytestmark = pytest.mark.real


async def test_the_life_of_a_certificate_on_the_command_line(tmp_path: Path) -> None:
    async with acme_world(tmp_path, Temper(retry_after=0, bad_nonce=0.3)) as world:
        config = world.write_config()
        none = await spingate("cert", "account", "-c", config, "--json")
        assert none.code == 0
        assert none.only["outcome"] == "none"
        assert none.only["fingerprint"].startswith("SHA256 ")
        opened = await spingate("cert", "account", "-c", config, "--open", "--json")
        assert opened.only["outcome"] == "valid"
        assert opened.only["fingerprint"] == none.only["fingerprint"]

        obtained = await spingate("cert", "obtain", "-c", config, "--json")
        assert obtained.code == 0, obtained.out + obtained.err
        *progress, first = obtained.objects
        assert {each["event"] for each in progress} == {"progress"}
        assert first["outcome"] == "obtained"
        name = Path(first["certificate"]).name
        assert (world.state / name).read_bytes() == (world.certs / name).read_bytes()
        held = await spingate("cert", "obtain", "-c", config, "--json")
        assert (held.code, held.only["outcome"], held.only["x5u"]) == (0, "held", first["x5u"])
        early = await spingate("cert", "renew", "-c", config, "--json")
        assert early.only["outcome"] == "held"
        forced = await spingate("cert", "renew", "-c", config, "--force", "--json")
        assert forced.objects[-1]["outcome"] == "obtained"
        assert forced.objects[-1]["x5u"] != first["x5u"]

        changed = await spingate("cert", "account", "-c", config, "--new-key", "--json")
        assert changed.only["fingerprint"] != none.only["fingerprint"]
        revoked = await spingate(
            "cert", "revoke", "-c", config, first["certificate"], "--reason", "4", "--json"
        )
        assert (revoked.code, revoked.only["outcome"]) == (0, "revoked")
        assert [reason for _, reason in world.authority.revoked] == [4]
        again = await spingate("cert", "revoke", "-c", config, first["certificate"])
        assert again.code == 1
        assert "alreadyRevoked" in again.out
        assert "what to do" in again.out


async def test_failures_say_whose_fault_it_is_and_end_with_1_wrong_usage_with_2(
    tmp_path: Path,
) -> None:
    async with acme_world(tmp_path, Temper(retry_after=0, finalize_error="badCSR")) as world:
        config = world.write_config()
        failed = await spingate("cert", "obtain", "-c", config, "--json")
        assert failed.code == 1
        assert failed.objects[-1]["outcome"] == "failed"
        assert failed.objects[-1]["fault"] == "configuration"
        assert "badCSR" in failed.objects[-1]["detail"]
        assert failed.objects[-1]["advice"]
        (tmp_path / "sti-pa.password").write_text("wrong secret\n")
        world.authority.orders.clear()
        people = await spingate("cert", "obtain", "-c", config)
        assert people.code == 1
        assert "what to do" in people.out
        assert "wrong secret" not in people.out + people.err
        both = await spingate("cert", "account", "-c", config, "--open", "--new-key")
        assert both.code == 2
        bare = tmp_path / "bare.toml"
        text = config.read_text(encoding="utf-8")
        bare.write_text(text[: text.index("[stir.authentication]")], encoding="utf-8")
        assert (await spingate("cert", "obtain", "-c", bare)).code == 2
        assert (await spingate("cert", "obtain", "-c", tmp_path / "none.toml")).code == 2
