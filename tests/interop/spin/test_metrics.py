"""What the operator's metrics say of invitations: carriages, questions, webhooks, cut prefixes."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from discovery.model import Outcome, Service
from gateway.app import Gateway
from gateway.http.sms_webhook import signature
from gateway.keys import load_keys
from gateway.spin.terminating import SpinTerminator
from tests.interop.sms.test_http_provider import TEXT
from tests.interop.sms.test_transceiver import free_port
from tests.support.call_scene import make_config, stir_world
from tests.support.spin_passports import ALICE, BOB
from tests.support.stir_authority import URL, to_pem
from tests.support.tls_certificates import Authority

pytestmark = pytest.mark.real
WEBHOOK_KEY = b"a-key-of-the-provider"


def make_gateway(folder: Path, provider_url: str) -> Gateway:
    """Alpha's gateway with invitations by an HTTP provider, on a callback port of its own."""
    certificate, key = Authority.make(folder / "ca").issue("spin", dns=("localhost",))
    world = stir_world()
    assert world.issued.key_pem is not None
    (folder / "sti.pem").write_bytes(world.issued.chain_pem)
    (folder / "sti.key").write_bytes(world.issued.key_pem)
    (folder / "root.pem").write_bytes(to_pem(list(world.root.certificates)))
    base = make_config().model_dump()
    http = {"url": provider_url, "json_body": {"text": "{text}", "to": "{to}"}}
    config = make_config(
        provider={**base["provider"], "state_directory": folder},
        listen=base["listen"][:1],
        stir={
            "verification": {"trust_anchors": [folder / "root.pem"]},
            "authentication": {
                "certificate": folder / "sti.pem",
                "key": folder / "sti.key",
                "x5u": URL,
            },
        },
        sms={"http": {**http, "webhook_secret": WEBHOOK_KEY.decode()}},
        spin={
            "callback_url": "https://spin.alpha.example:8443",
            "address": "127.0.0.1",
            "port": free_port(),
            "certificate": certificate,
            "key": key,
            "invite_prefixes": ["+1"],
            "limits": {"breaker_invitations": 1},
        },
    )
    return Gateway(config, load_keys(config))


def shown(gateway: Gateway, name: str, **labels: str) -> float:
    """A sample of the exposition; 0 where it is not there."""
    want = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    series = f"spingate_{name}" + (f"{{{want}}}" if want else "")
    for line in gateway.metrics.exposition().decode().splitlines():
        found, _, value = line.rpartition(" ")
        if found == series:
            return float(value)
    return 0.0


async def test_every_series_of_invitations_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []

    async def take(request: web.Request) -> web.Response:
        sent.append((await request.json())["to"])
        return web.Response(status=422 if sent[-1].startswith("1415") else 202)

    application = web.Application()
    application.router.add_post("/send", take)
    async with TestServer(application) as provider:
        gateway = make_gateway(tmp_path, str(provider.make_url("/send")))
        spin = gateway._spin
        assert spin is not None
        await spin.start()
        try:
            refused = await spin.source.find("14155550123", Service.VOICE, caller=ALICE)
            assert refused.outcome is Outcome.UNAVAILABLE
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await spin.source.find(BOB, Service.VOICE, caller=ALICE)
            cut = await spin.source.find(BOB, Service.VOICE, caller=ALICE)
            assert cut.outcome is Outcome.REFUSED
            assert gateway.config.spin is not None
            await bring(f"https://127.0.0.1:{gateway.config.spin.port}/sms")
        finally:
            await spin.stop()
            await gateway._database.dispose()
    assert sent == ["14155550123", BOB]
    assert shown(gateway, "spin_total", kind="carriage", outcome="text") == 1
    assert shown(gateway, "spin_total", kind="asked", outcome="unavailable") == 1
    assert shown(gateway, "spin_total", kind="asked", outcome="refused") == 1
    for outcome in ("invitation", "ordinary", "replayed"):
        assert shown(gateway, "spin_total", kind="webhook", outcome=f"sms {outcome}") == 1
    assert shown(gateway, "spin_prefixes_cut_off") == 1
    assert "\nspingate_spin_postponed 0.0\n" in gateway.metrics.exposition().decode()
    monkeypatch.setattr(SpinTerminator, "postponed", 3)
    assert shown(gateway, "spin_postponed") == 3


async def bring(url: str) -> None:
    """The provider's messages: an invitation, one for a person, and that once more."""
    unchecked = ssl.create_default_context()
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
    now = int(time.time())
    statuses = []
    async with aiohttp.ClientSession() as session:
        for text in (TEXT, "see you at eight", "see you at eight"):
            message: dict[str, Any] = {"from": f"+{BOB}", "to": f"+{ALICE}", "text": text}
            body = json.dumps(message).encode()
            headers = {
                "Content-Type": "application/json",
                "X-Spingate-Timestamp": str(now),
                "X-Spingate-Signature": signature(WEBHOOK_KEY, now, body),
            }
            async with session.post(url, data=body, headers=headers, ssl=unchecked) as response:
                statuses.append(response.status)
    assert statuses == [200, 200, 409]
