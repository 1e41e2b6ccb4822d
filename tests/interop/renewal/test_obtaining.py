"""Certificates over real HTTPS: a development CA, a token authority, a repository."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config import ConfigError
from gateway.renewal.accounts import Accounts
from gateway.renewal.credential import authentication_service, own_credential
from gateway.renewal.store import LockedElsewhere
from stir.acme.problem import AcmeError, Fault, OrderLost
from stir.certificates.certificate import load_private_key, match_key
from stir.certificates.issuing import make_root
from tests.support.acme_resources import Temper
from tests.support.acme_world import ASKED, acme_world
from tests.support.https import TestAuthority

pytestmark = pytest.mark.real


async def until(what: Callable[[], bool]) -> None:
    """Wait for something another task or program does."""
    async with asyncio.timeout(20):
        while not what():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


def modes(folder: Path) -> dict[str, str]:
    return {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in folder.iterdir()}


async def test_a_certificate_is_obtained_published_and_signed_with(tmp_path: Path) -> None:
    async with acme_world(tmp_path) as world:
        told: list[str] = []
        config = world.config()
        with pytest.raises(ConfigError, match="cert obtain"):
            own_credential(config)
        parts = world.parts(config, told.append)
        assert parts.renewal.due() == 0.0
        held = await parts.renewal.renew()
        assert held.x5u == f"{world.url('repository')}/certs/{held.name}.pem"
        credential = world.held(held)
        assert credential.tn_auth_list == ASKED
        assert "CN=SHAKEN" in credential.subject
        signing = own_credential(config)
        assert signing is not None
        assert signing.x5u == held.x5u
        assert authentication_service(signing).x5u == held.x5u
        assert 19 < (parts.renewal.due() - world.clock()) / 86_400 < 21
        assert "getting an authority token" in told
        assert parts.store.failure() is None
        # nothing of it is for others' eyes, and nothing is left of the order
        assert set(modes(world.state).values()) == {"0o600"}
        assert not (world.state / "order.key").exists()
        assert modes(world.certs) == {f"{held.name}.pem": "0o644"}
        assert b"PRIVATE" not in (world.certs / f"{held.name}.pem").read_bytes()


@pytest.mark.parametrize("seed", range(3))
async def test_it_is_obtained_from_a_slow_and_moody_authority(tmp_path: Path, seed: int) -> None:
    temper = Temper(bad_nonce=0.5, reuse=0.5, slowness=0.02, processing=2, retry_after=0)
    async with acme_world(tmp_path, temper, seed=seed) as world:
        parts = world.parts()
        first = await parts.renewal.renew()
        second = await parts.renewal.renew()
        assert first.name != second.name
        assert first.x5u != second.x5u
        assert world.held(first).public_key is not None
        keys = [load_private_key(parts.store.key_pem(each.name)) for each in (first, second)]
        match_key(keys[1], world.held(second).leaf)
        assert keys[0].private_numbers() != keys[1].private_numbers()
        assert [each.name for each in parts.store.previous()] == [first.name]
        assert len(world.authority.accounts) == 1


async def test_in_chaos_it_is_tried_until_it_works_and_the_order_is_kept(tmp_path: Path) -> None:
    temper = Temper(bad_nonce=0.2, chaos=0.08, retry_after=0)
    async with acme_world(tmp_path, temper, seed=5) as world:
        parts = world.parts()
        for _ in range(60):
            try:
                held = await parts.renewal.renew()
            except AcmeError as error:
                parts.renewal.note_failure(error)
            else:
                break
        assert world.held(held).tn_auth_list == ASKED
        assert parts.store.failure() is None


@pytest.mark.parametrize("after", ["newOrder", "authorization", "challenge", "finalize", "order"])
async def test_a_crash_anywhere_leaves_an_order_that_the_next_start_continues(
    tmp_path: Path, after: str
) -> None:
    async with acme_world(tmp_path, Temper(bad_nonce=0.0, retry_after=0)) as world:
        crashing = asyncio.create_task(world.parts().renewal.renew())
        await until(lambda: f"POST {after}" in world.authority.requests)
        crashing.cancel()
        await asyncio.gather(crashing, return_exceptions=True)
        stored = world.state / "order.json"
        known = stored.exists() and json.loads(stored.read_text())["order_url"]
        held = await world.parts().renewal.renew()
        assert world.held(held).tn_auth_list == ASKED
        if known:
            assert len(world.authority.orders) == 1


async def test_a_certificate_that_is_not_served_yet_is_not_switched_to(tmp_path: Path) -> None:
    async with acme_world(tmp_path) as world:
        first = await world.parts().renewal.renew()
        # the folder that is served is another one from now on
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        config = world.config()
        assert config.stir.acme is not None
        acme = config.stir.acme.model_copy(update={"publish_directory": elsewhere})
        config = config.model_copy(update={"stir": config.stir.model_copy(update={"acme": acme})})
        orders = len(world.authority.orders)
        with pytest.raises(AcmeError, match="does not serve the new certificate") as refused:
            await world.parts(config).renewal.renew()
        assert refused.value.fault is Fault.CONFIGURATION
        current = world.parts().store.current()
        assert current is not None
        assert current.name == first.name
        # corrected, the same certificate is published, not another one ordered
        held = await world.parts().renewal.renew()
        assert held.name != first.name
        assert len(world.authority.orders) == orders + 1


async def test_without_any_other_a_certificate_not_yet_served_is_signed_with(
    tmp_path: Path,
) -> None:
    async with acme_world(tmp_path, serve_repository=False) as world:
        held = await world.parts().renewal.renew()
        current = world.parts().store.current()
        assert current is not None
        assert current.name == held.name


async def test_two_processes_do_not_order_at_the_same_time(tmp_path: Path) -> None:
    async with acme_world(tmp_path) as world:
        with world.parts().store.lock(), pytest.raises(LockedElsewhere):
            await world.parts().renewal.renew()
        await world.parts().renewal.renew()


async def test_replaced_keys_go_first_and_replaced_chains_after_their_end(tmp_path: Path) -> None:
    async with acme_world(tmp_path, Temper(retry_after=0, lifetime=10 * 86_400)) as world:
        parts = world.parts()
        first = await parts.renewal.renew()
        second = await parts.renewal.renew()
        key, chain = world.state / f"{first.name}.key", world.certs / f"{first.name}.pem"
        for ahead, has_key, is_published in (
            (60, True, True),
            (3_700, False, True),
            (10 * 86_400, False, True),
            (11 * 86_400 + 60, False, False),
        ):
            world.ahead = ahead
            parts.renewal.tidy()
            assert (key.exists(), chain.exists()) == (has_key, is_published), ahead
        assert parts.store.previous() == ()
        assert (world.certs / f"{second.name}.pem").exists()
        assert (world.state / f"{second.name}.key").exists()


async def test_a_chain_somebody_took_away_is_published_again(tmp_path: Path) -> None:
    async with acme_world(tmp_path) as world:
        parts = world.parts()
        both = [await parts.renewal.renew(), await parts.renewal.renew()]
        for held in both:
            (world.certs / f"{held.name}.pem").unlink()
        await parts.renewal.restore_publication()
        for held in both:
            assert world.held(held).tn_auth_list == ASKED


async def test_an_authority_whose_root_is_unknown_is_not_believed(tmp_path: Path) -> None:
    async with acme_world(tmp_path) as world:
        world.authority.issuer = make_root("Another root", world.clock())
        with pytest.raises(AcmeError, match="is not taken: chain_untrusted") as refused:
            await world.parts().renewal.renew()
        assert refused.value.fault is Fault.AUTHORITY
        assert not list(world.certs.iterdir())
        assert not (world.state / "order.json").exists()


# --- where tokens come from --------------------------------------------------------------------


async def test_tokens_come_from_a_file(tmp_path: Path) -> None:
    async with acme_world(tmp_path) as world:
        config = world.config(token='file = "token"')
        parts = world.parts(config)
        with pytest.raises(AcmeError, match="cannot be read") as missing:
            await parts.renewal.renew()
        fingerprint = Accounts(parts.store, parts.client, parts.issuance).fingerprint()
        assert fingerprint in missing.value.advice
        claim = {"tktype": "TNAuthList", "tkvalue": parts.issuance.identifier, "ca": False}
        (tmp_path / "token").write_text(
            world.tokens.token({**claim, "fingerprint": fingerprint}) + "\n"
        )
        held = await parts.renewal.renew()
        assert world.held(held).tn_auth_list == ASKED


async def test_tokens_come_from_a_command(tmp_path: Path) -> None:
    async with acme_world(tmp_path) as world:
        program = tmp_path / "token.sh"
        for script, why in (
            ("exit 3", "ended with status 3"),
            ("sleep 20", "gave nothing within 0.5 s"),
            ("true", "there is no authority token"),
            ("yes x", "gave nothing within|no authority token|ended with"),
        ):
            program.write_text(f"#!/bin/sh\n{script}\n")
            program.chmod(0o700)
            config = world.config(token=f'command = ["{program}"]\ntimeout_seconds = 0.5')
            with pytest.raises(AcmeError, match=why):
                await world.parts(config).renewal.renew()
        # a program that asks somebody by what it gets on standard input
        asked = tmp_path / "asked.json"
        reply = tmp_path / "reply"
        program.write_text(
            f"#!/bin/sh\ncat > {asked}.new; mv {asked}.new {asked}\n"
            f"while [ ! -e {reply} ]; do sleep 0.02; done\ncat {reply}\n"
        )
        config = world.config(token=f'command = ["{program}"]\ntimeout_seconds = 10')
        renewing = asyncio.create_task(world.parts(config).renewal.renew())
        await until(asked.exists)
        claim = json.loads(asked.read_text())["atc"]
        (tmp_path / "reply.new").write_text(json.dumps({"token": world.tokens.token(claim)}))
        (tmp_path / "reply.new").rename(reply)
        assert world.held(await renewing).tn_auth_list == ASKED


async def test_a_refused_login_is_the_token_authoritys_word_without_the_password(
    tmp_path: Path,
) -> None:
    async with acme_world(tmp_path) as world:
        (tmp_path / "sti-pa.password").write_text("wrong secret\n")
        with pytest.raises(AcmeError, match="HTTP status 401: Invalid user") as refused:
            await world.parts().renewal.renew()
        assert refused.value.fault is Fault.TOKEN_AUTHORITY
        assert "wrong secret" not in str(refused.value)
        (tmp_path / "sti-pa.password").write_text(f"{world.tokens.password}\n")
        await world.parts().renewal.renew()
        assert world.tokens.asked[0]["tktype"] == "TNAuthList"
        assert world.tokens.asked[0]["ca"] is False


async def test_a_token_for_another_account_loses_the_order_and_a_new_one_is_made(
    tmp_path: Path,
) -> None:
    async with acme_world(tmp_path) as world:
        parts = world.parts()
        read = world.tokens.read
        world.tokens.read = lambda _: None  # type: ignore[assignment,method-assign]
        with pytest.raises(OrderLost, match="trusted"):
            await parts.renewal.renew()
        world.tokens.read = read  # type: ignore[method-assign]
        await parts.renewal.renew()
        assert len(world.authority.orders) == 2


# --- the network -------------------------------------------------------------------------------


async def test_failures_of_the_network_say_what_to_do(tmp_path: Path) -> None:
    async with acme_world(tmp_path) as world:
        unheard = world.config(directory="https://127.0.0.1:9/directory")
        with pytest.raises(AcmeError, match="connect") as refused:
            await world.parts(unheard).renewal.renew()
        assert refused.value.fault is Fault.NETWORK
        untrusted = world.config()
        assert untrusted.stir.acme is not None
        other = tmp_path / "other"
        other.mkdir()
        strange = TestAuthority(other).trust_file
        acme = untrusted.stir.acme.model_copy(update={"trust_anchors": strange})
        stir = untrusted.stir.model_copy(update={"acme": acme})
        with pytest.raises(AcmeError, match="tls") as unproven:
            await world.parts(untrusted.model_copy(update={"stir": stir})).renewal.renew()
        assert "trust_anchors" in unproven.value.advice


async def test_a_disk_that_fails_is_told_with_the_file(tmp_path: Path) -> None:
    async with acme_world(tmp_path) as world:
        (tmp_path / "state").write_text("a file where a folder should be")
        with pytest.raises(AcmeError, match="state") as refused:
            await world.parts().renewal.renew()
        assert "provider.state_directory" in refused.value.advice
        (tmp_path / "state").unlink()
        world.certs.rename(tmp_path / "gone")
        with pytest.raises(AcmeError, match="certs") as unpublished:
            await world.parts().renewal.renew()
        assert "publish_directory" in unpublished.value.advice
        (tmp_path / "gone").rename(world.certs)
        await world.parts().renewal.renew()
        assert len(world.authority.orders) == 1


# --- the account -------------------------------------------------------------------------------


async def test_the_accounts_key_is_changed_and_a_broken_change_is_finished(tmp_path: Path) -> None:
    async with acme_world(tmp_path) as world:
        parts = world.parts()
        accounts = Accounts(parts.store, parts.client, parts.issuance)
        assert await accounts.find() is None
        opened = await accounts.open()
        before = accounts.fingerprint()
        assert (await accounts.change_key()).url == opened.url
        assert accounts.fingerprint() != before
        await parts.renewal.renew()
        # the server took the new key, and we ended before we stored that
        old = (world.state / "account.key").read_bytes()
        await accounts.change_key()
        (world.state / "account.next").write_bytes((world.state / "account.key").read_bytes())
        (world.state / "account.key").write_bytes(old)
        found = await accounts.find()
        assert found is not None
        assert found.url == opened.url
        assert not (world.state / "account.next").exists()
        await parts.renewal.renew()


async def test_an_account_the_server_forgot_is_opened_again(tmp_path: Path) -> None:
    async with acme_world(tmp_path) as world:
        parts = world.parts()
        await parts.renewal.renew()
        world.authority.accounts.clear()
        with pytest.raises(AcmeError, match="accountDoesNotExist"):
            await parts.renewal.renew()
        for _ in range(2):
            try:
                await parts.renewal.renew()
                break
            except OrderLost:
                continue
        assert len(world.authority.accounts) == 1
