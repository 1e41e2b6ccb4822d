"""While calls go on, the certificate that signs them is replaced: by renewal, and by SIGHUP."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.demo.keys import REPOSITORY_HOST
from stir.certificates.issuing import issue_sti_certificate, new_key
from stir.certificates.issuing import key_to_pem as to_pem
from stir.certificates.tn_auth_list import Range, TnAuthList
from stir.passport import parse_passport
from tests.support.acme_resources import Temper
from tests.support.renewing_scene import RenewingScene
from tests.support.stir_peer import Caller, Handset, handset, pbx
from tests.support.troubled_scene import TroubledScene, logged, metric, record_of

pytestmark = pytest.mark.real
_numbers = itertools.count()


async def call(scene: TroubledScene, line: Caller, bob: Handset) -> str:
    """Make a call from alpha's PBX to beta's handset; return the x5u it was signed with.

    No call may be unsigned, and every one has to verify.
    """
    call_id = f"renewal-{next(_numbers)}@pbx"
    response = await line.call(call_id=call_id, domain="alpha.example")
    record = await record_of(scene.beta, call_id)
    assert response.status_code == 486, (response.status_code, record.get("verdict"))
    assert record["verdict"]["outcome"] == "valid"
    delivered = bob.got(call_id)
    assert delivered is not None
    token = (delivered.headers.get("Identity") or "").partition(";")[0]
    x5u = parse_passport(token).x5u
    assert x5u is not None
    return x5u


async def test_a_short_lived_certificate_is_renewed_while_calls_go_on(tmp_path: Path) -> None:
    temper = Temper(bad_nonce=0.2, slowness=0.05, processing=1, retry_after=0, lifetime=15.0)
    async with (
        RenewingScene(tmp_path / "scene", temper) as scene,
        handset(scene) as bob,
        pbx(scene) as line,
    ):
        seen: list[str] = []
        end = time.monotonic() + 60
        while len(set(seen)) < 4:
            assert time.monotonic() < end, f"x5u: {set(seen)}"
            seen.append(await call(scene, line, bob))
            await asyncio.sleep(0.05)
        assert len(seen) > 30
        order = list(dict.fromkeys(seen))
        assert [url for url, _ in itertools.groupby(seen)] == order, "never back to an old one"
        # every chain that signed is still published; the keys of old ones are gone
        published = {path.name for path in (scene.folder / "certs").iterdir()}
        assert {url.rpartition("/")[2] for url in order} <= published
        state = scene.folder / "alpha" / "state" / "acme"
        await asyncio.sleep(1.5)
        keys = {path.stem for path in state.glob("*.key")} - {"account", "order"}
        assert not keys & {Path(url).stem for url in order[1:-2]}
        assert (
            await metric(scene.alpha, "spingate_certificate_renewals_total", outcome="renewed") > 2
        )
        assert 0 < await metric(scene.alpha, "spingate_certificate_days_left") < 15 / 86_400
        log = scene.alpha.log_file.read_text(encoding="utf-8")
        assert "Traceback" not in log
        assert "PRIVATE" not in log
        assert scene.tokens.password not in log


async def test_an_authority_that_is_down_leaves_the_old_key_signing(tmp_path: Path) -> None:
    temper = Temper(chaos=1.0)
    async with (
        RenewingScene(tmp_path / "scene", temper) as scene,
        handset(scene) as bob,
        pbx(scene) as line,
    ):
        failed: dict[str, Any] = await logged(
            scene.alpha, "certificate renewal failed: the old certificate signs on"
        )
        assert failed["fault"] == "certification authority"
        assert failed["advice"]
        assert failed["days_left"] > 20
        assert (await call(scene, line, bob)).endswith("/alpha.pem")
        name = "spingate_certificate_failures_in_a_row"
        assert await metric(scene.alpha, name) >= 1


async def test_sighup_takes_over_good_files_and_keeps_the_old_key_beside_bad_ones(
    tmp_path: Path,
) -> None:
    async with (
        TroubledScene(tmp_path / "scene") as scene,
        handset(scene) as bob,
        pbx(scene) as line,
    ):
        assert (await call(scene, line, bob)).endswith("/alpha.pem")
        keys, configuration = scene.folder / "alpha" / "keys", scene.alpha.config_file
        issued = issue_sti_certificate(
            scene.authorities.sti,
            TnAuthList((Range("14155550100", 100),)),
            time.time(),
            dns_names=["spin.alpha.example"],
        )
        assert issued.key_pem is not None
        (scene.folder / "certs" / "renewed.pem").write_bytes(issued.chain_pem)
        (keys / "sti.pem").write_bytes(issued.chain_pem)
        (keys / "sti.key").write_bytes(issued.key_pem)
        renewed = f"https://{REPOSITORY_HOST}:8443/certs/renewed.pem"
        text = configuration.read_text(encoding="utf-8")
        configuration.write_text(text.replace("/certs/alpha.pem", "/certs/renewed.pem"))
        process = scene.alpha.process_id
        assert process is not None
        os.kill(process, signal.SIGHUP)
        await logged(scene.alpha, "signing with a new credential", x5u=renewed)
        assert await call(scene, line, bob) == renewed
        # a key of another certificate
        (keys / "sti.key").write_bytes(to_pem(new_key()))
        os.kill(process, signal.SIGHUP)
        await logged(scene.alpha, "new credential refused: the old one signs on")
        assert await call(scene, line, bob) == renewed
        # a configuration that does not load
        configuration.write_text("[stir")
        os.kill(process, signal.SIGHUP)
        await logged(scene.alpha, "configuration not read again")
        assert await call(scene, line, bob) == renewed
        assert "Traceback" not in scene.alpha.log_file.read_text(encoding="utf-8")
