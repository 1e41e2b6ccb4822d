"""`spingate run`, `check`, `discover` and `call`, run as people run them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.demo.network import choose_prefix
from gateway.demo.provider import Provider
from gateway.demo.scene import ALICE, BOB
from tests.support.command_line import spingate
from tests.support.raw_dialog import rtp_sdp
from tests.support.two_providers import TwoProviders, eventually, talking

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="session")]


def variant(world: TwoProviders, name: str, *changes: tuple[str, str]) -> Path:
    """A copy of alpha's configuration on addresses of its own, with some text changed."""
    original = world.alpha.config_file
    text = original.read_text(encoding="utf-8")
    text = text.replace('state_directory = "state"', f'state_directory = "state-{name}"')
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    prefix = choose_prefix([(10, 8086)])
    path = original.with_name(f"{name}.toml")
    path.write_text(text.replace(world.scene.prefix, prefix), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("[sip]\n", "[sip]\nt1_second = 0.5\n", "sip.t1_second"),
        ("[sip]\n", '[sip]\nt1_seconds = "soon"\n', "sip.t1_seconds"),
        ("port = 5061\n", "port = 70000\n", "listen[0].port"),
        ('key = "keys/sip.key"', 'key = "keys/absent.key"', "listen[0].key"),
        ('key = "keys/sip.key"', 'key = "keys/sip.pem"', "listen[0].key"),
        ('key = "keys/sip.key"', 'key = "keys/sti.key"', "listen[0].key"),
        ('key = "keys/sti.key"', 'key = "keys/sip.key"', "stir.authentication.key"),
        ('"keys/sti-root.pem"', '"keys/sip.key"', "stir.verification.trust_anchors[0]"),
        ("keys/alice.password", "keys/alices.password", "user[0].password_file"),
        ('transport = "udp"', 'transport = "sctp"', "listen[3].transport"),
        ("[sip]\n", "[sip\n", "wrong.toml"),
    ],
)
async def test_a_wrong_configuration_is_one_line_that_names_the_key_and_nothing_listens(
    world: TwoProviders, old: str, new: str, key: str
) -> None:
    path = variant(world, "wrong", (old, new))
    said = await spingate("run", "-c", path)
    assert said.code == 2
    (line,) = said.err.splitlines()
    assert line.startswith("spingate: ")
    assert key in line
    assert said.out == ""
    assert not path.with_name("state-wrong").exists()


async def test_a_busy_port_is_named_before_anything_listens(world: TwoProviders) -> None:
    path = variant(world, "busy")
    config = Provider("busy", path).config
    assert config.admin is not None
    with socket.create_server((config.admin.address, config.admin.port)):
        said = await spingate("run", "-c", path)
    assert said.code == 2
    (line,) = said.err.splitlines()
    assert "admin.port" in line
    assert f"{config.admin.address}:{config.admin.port}" in line


async def test_a_configuration_that_is_not_there_is_one_line_too(tmp_path: Path) -> None:
    said = await spingate("run", "-c", tmp_path / "absent.toml")
    assert said.code == 2
    assert "absent.toml" in said.err


# --- stopping -------------------------------------------------------------------------------


async def ended(provider: Provider) -> int:
    """Wait for a gateway's process to end."""

    async def over() -> bool:
        return provider.exit_code is not None

    await eventually(over, f"{provider.domain} ended")
    assert provider.exit_code is not None
    return provider.exit_code


@pytest_asyncio.fixture(loop_scope="session")
async def mortal(world: TwoProviders) -> AsyncIterator[TwoProviders]:
    """The world; alpha is started again afterwards where a test stopped it."""
    yield world
    await world.close_phones()
    if world.alpha.exit_code is not None:
        await world.alpha.start()


async def test_sigterm_takes_no_new_calls_and_lets_the_others_end(mortal: TwoProviders) -> None:
    world = mortal
    trunk, bob = await world.trunk(61, "+14155550120"), await world.bob()
    await bob.register()
    at_trunk, at_bob = await talking(trunk, bob, BOB)
    assert world.alpha.process_id is not None
    os.kill(world.alpha.process_id, signal.SIGTERM)

    async def refuses() -> bool:
        call = await trunk.call("+14155550190", rtp_sdp(trunk.wire.local.host))
        return (await call.refused()).status_code == 503

    assert await eventually(refuses, "new calls are refused")
    asking = asyncio.create_task(at_bob.ask("INFO"))
    (await at_trunk.asked("INFO")).respond(200)
    assert (await asking).status_code == 200
    assert world.alpha.exit_code is None
    bye = asyncio.create_task(at_bob.hung_up())
    await at_trunk.hang_up()
    await bye
    assert await ended(world.alpha) == 0
    assert "Traceback" not in world.log(world.alpha)


async def test_sigint_ends_the_calls_with_bye_and_stops(mortal: TwoProviders) -> None:
    world = mortal
    trunk, bob = await world.trunk(61, "+14155550120"), await world.bob()
    await bob.register()
    at_trunk, at_bob = await talking(trunk, bob, BOB)
    assert world.alpha.process_id is not None
    os.kill(world.alpha.process_id, signal.SIGINT)
    byes = await asyncio.gather(at_trunk.hung_up(), at_bob.hung_up())
    assert all("gateway stops" in (bye.headers.get("Reason") or "") for bye in byes)
    assert await ended(world.alpha) == 0
    await world.idle(world.beta)
    record = await world.record(world.alpha, at_trunk.call_id)
    assert record["media"]
    assert "Traceback" not in world.log(world.alpha)


# --- check ----------------------------------------------------------------------------------


async def test_check_passes_with_the_gateway_stopped_and_with_it_running(
    mortal: TwoProviders,
) -> None:
    world = mortal
    running = await spingate("check", "-c", world.alpha.config_file, "--json")
    assert [each for each in running.objects if each["outcome"] == "failed"] == []
    await world.alpha.stop()
    stopped = await spingate("check", "-c", world.alpha.config_file, "--json")
    assert [each for each in stopped.objects if each["outcome"] == "failed"] == []
    names = [each["name"] for each in stopped.objects]
    assert (running.code, stopped.code) == (0, 0)
    assert {"keys", "STI certificate", "TNAuthList", "ports", "DNS", "x5u", "clock"} <= set(names)


@pytest.mark.parametrize(
    ("old", "new", "failing"),
    [
        ("certs/alpha.pem", "certs/absent.pem", "x5u"),
        ("certs/alpha.pem", "certs/beta.pem", "x5u"),
        ("certs.sti-ca.example", "nowhere.sti-ca.example", "x5u"),
        ("+14155550100-+14155550199", "+14155550100-+14155550299", "TNAuthList"),
        ('domain = "alpha.example"', 'domain = "gamma.example"', "DNS"),
        ('key = "keys/sip.key"', 'key = "keys/sti.key"', "keys"),
    ],
)
async def test_check_names_what_fails(
    world: TwoProviders, old: str, new: str, failing: str
) -> None:
    path = world.alpha.config_file.with_name("checked.toml")
    text = world.alpha.config_file.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    said = await spingate("check", "-c", path, "--json")
    assert said.code == 1
    failed = [each for each in said.objects if each["outcome"] == "failed"]
    assert [each["name"] for each in failed] == [failing]
    assert failed[0]["detail"]
    assert failed[0]["hint"]


# --- discover and call ----------------------------------------------------------------------


async def test_discover_finds_a_number_and_says_by_whom(world: TwoProviders) -> None:
    said = await spingate("discover", BOB, "-c", world.alpha.config_file, "--json")
    assert said.code == 0
    assert said.only["uris"][0]["uri"] == f"sip:{BOB}@beta.example;user=phone"
    assert said.only["asked"]
    told = await spingate("discover", BOB, "-c", world.alpha.config_file)
    assert told.code == 0
    assert "beta.example" in told.out


async def test_discover_exits_1_for_a_number_nobody_serves(world: TwoProviders) -> None:
    config = world.alpha.config_file
    said = await spingate("discover", "+13035550179", "-c", config, "--json")
    assert said.code == 1
    assert said.only["uris"] == []
    assert [each["source"] for each in said.only["asked"]] == ["cache", "spin"]


async def test_discover_exits_2_for_what_is_no_number(world: TwoProviders) -> None:
    said = await spingate("discover", "nonsense", "-c", world.alpha.config_file, "--json")
    assert said.code == 2
    assert "nonsense" in said.err
    assert said.out == ""


async def test_discover_says_where_no_gateway_answers(world: TwoProviders) -> None:
    said = await spingate("discover", BOB, "-c", variant(world, "silent"), "--json")
    assert said.code == 1
    assert "spingate run" in said.err
    assert said.out == ""


async def test_call_reaches_the_other_side_and_tells_how_it_went(world: TwoProviders) -> None:
    pytest.importorskip("pjsua2", reason="the softphone extra is not installed")
    bob = await world.bob()
    await bob.register()
    config = world.alpha.config_file
    placing = asyncio.create_task(
        spingate("call", BOB, "--from", ALICE, "-c", config, "--seconds", 0.5, "--json")
    )
    incoming = await bob.incoming(timeout=30.0)
    # One codec only: PJSIP would send UPDATE to settle on one of two.
    answer = rtp_sdp(bob.wire.local.host).replace(b" 0 8\r\n", b" 0\r\n")
    at_bob = incoming.answer(answer.replace(b"a=rtpmap:8 PCMA/8000\r\n", b""))
    await at_bob.acknowledged()
    await at_bob.hung_up()
    said = await placing
    assert (said.code, said.only["answered"], said.only["status"]) == (0, True, 200)
    assert said.only["streams"][0]["srtp"]
    await world.idle()


async def test_call_exits_1_with_the_status_where_it_is_refused(world: TwoProviders) -> None:
    pytest.importorskip("pjsua2", reason="the softphone extra is not installed")
    bob = await world.bob()
    await bob.register()
    config = world.alpha.config_file
    placing = asyncio.create_task(spingate("call", BOB, "--from", ALICE, "-c", config, "--json"))
    incoming = await bob.incoming(timeout=30.0)
    await incoming.decline(486)
    said = await placing
    assert (said.code, said.only["answered"], said.only["status"]) == (1, False, 486)
    await world.idle()


async def test_call_exits_2_from_a_number_that_no_user_has(world: TwoProviders) -> None:
    said = await spingate("call", BOB, "--from", "+14155550199", "-c", world.alpha.config_file)
    assert said.code == 2
    assert ALICE in said.err
