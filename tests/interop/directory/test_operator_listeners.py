"""The operator's listener of each service of discovery, run as its operator runs it."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from discovery.privacy.rsa_numbers import RsaPrivateKey
from discovery.privacy.split_storage import StorageQuestion
from discovery.privacy.token_issuer import IssuerKey
from gateway.split_storage.evaluator import read_evaluator
from tests.support.directory_process import free_port
from tests.support.log_world import log_signer
from tests.support.oblivious_services import https, tls_root, write_tls

pytestmark = pytest.mark.real
TOKEN = "correct-horse-battery"
PEER = "token-of-peer-alpha"
BEARER = {"Authorization": f"Bearer {PEER}"}
NUMBER = "tel:+14155550123"
GENERATION = read_evaluator("1" * 64, "").public_keys.generation
OCTETS = {"Content-Type": "application/octet-stream"}
SERVER = """
address = "127.0.0.1"
port = {port}
certificate = "127.0.0.1.pem"
key = "127.0.0.1.key"
"""
ADMIN = """
[admin]
port = {admin}
token_file = "admin.token"
"""
FILES = {
    "run": f"""
[directory]
url = "https://dp.example"
state_directory = "state"
owner_trust_anchors = ["tls-root.pem"]
{SERVER}
[[directory.peer]]
name = "alpha"
token = "{PEER}"
[transparency_log]
[oblivious]
[[oblivious.issuer]]
name = "tokens.example"
key_file = "tokens.der"
""",
    "issuer": f"""
[issuer]
name = "tokens.example"
state_directory = "state"
{SERVER}
[[client]]
name = "alpha"
token = "{PEER}"
""",
    "relay": f"""
[relay]
{SERVER}
[[target]]
name = "dp"
url = "https://127.0.0.1:1"
""",
    "evaluator": f"""
[evaluator]
url = "https://evaluator.example"
state_directory = "state"
{SERVER}
[[evaluator.generation]]
secret_file = "a.secret"
[[evaluator.peer]]
name = "alpha"
token = "{PEER}"
""",
    "buckets": f"""
[buckets]
url = "https://buckets.example"
state_directory = "state"
token = "{PEER}"
{SERVER}
""",
}


@dataclass(frozen=True)
class Asked:
    """A request that leaves a trace: what, with which fields, and the status it gets."""

    method: str
    path: str
    status: int
    headers: dict[str, str]
    body: bytes = b""


def json_body(document: object) -> bytes:
    return json.dumps(document).encode()


JSON = {"Content-Type": "application/json"}
ASKED = {
    "run": [
        Asked("POST", "/dp/v1/lookup", 200, JSON | BEARER, json_body({"csi": NUMBER})),
        Asked("POST", "/dp/v1/lookup", 401, JSON, json_body({"csi": NUMBER})),
        Asked("POST", "/dp/v1/lookup", 401, JSON | {"Authorization": "PrivateToken token=AA"}),
        Asked("PUT", "/dp/v1/records", 400, JSON, json_body({"record": "x", "chain": []})),
        Asked(
            "POST",
            "/.well-known/ohttp-gateway",
            422,
            {"Content-Type": "message/ohttp-req"},
            bytes(100),
        ),
    ],
    "issuer": [
        Asked(
            "POST",
            "/token-request",
            422,
            BEARER | {"Content-Type": "application/private-token-request"},
            b"x",
        ),
    ],
    "relay": [
        Asked("POST", "/relay/dp", 502, {"Content-Type": "message/ohttp-req"}, b"x"),
        Asked("POST", f"/relay/{NUMBER}", 404, {"Content-Type": "message/ohttp-req"}, b"x"),
    ],
    "evaluator": [
        Asked(
            "POST",
            f"/ev/v1/evaluations/{GENERATION}",
            200,
            OCTETS | BEARER,
            StorageQuestion(NUMBER).request,
        ),
    ],
    "buckets": [
        Asked("PUT", f"/sb/v1/generations/{GENERATION}", 200, BEARER),
        Asked("GET", f"/sb/v1/buckets/{GENERATION}/0/0", 200, {}),
        Asked("PUT", f"/sb/v1/generations/{GENERATION}", 401, {}),
    ],
}
SAYS = {
    "run": [
        'directory_answers_total{status="none"} 1.0',
        'directory_admissions_total{outcome="admitted",peer="alpha"} 1.0',
        'directory_admissions_total{outcome="unauthorized",peer=""} 2.0',
        'directory_tokens_refused_total{fault="malformed"} 1.0',
        "directory_tokens_redeemed_total 0.0",
        "directory_spent_tokens 0.0",
        'directory_refused_total{operation="records",reason="malformed"} 1.0',
        'directory_oblivious_refused_total{fault="key_unknown"} 1.0',
        "directory_oblivious_requests_total 0.0",
        "directory_records 0.0",
        "directory_log_entries 0.0",
        "directory_log_checkpoint_age_seconds ",
        "directory_log_cosignatures 0.0",
        "directory_log_halted 0.0",
        "directory_database_bytes ",
        "directory_connections ",
    ],
    "issuer": [
        'issuer_requests_total{client="alpha",outcome="not_accepted"} 1.0',
        "issuer_keys 1.0",
        "issuer_keys_unreadable 0.0",
    ],
    "relay": [
        'relay_requests_total{outcome="502",target="dp"} 1.0',
        'relay_requests_total{outcome="404",target=""} 1.0',
        'relay_keys_age_seconds{target="dp"} +Inf',
    ],
    "evaluator": [
        "evaluator_evaluations_total 1.0",
        'evaluator_admissions_total{outcome="admitted",peer="alpha"} 1.0',
        "evaluator_database_bytes ",
    ],
    "buckets": [
        'buckets_requests_total{kind="read",outcome="given"} 1.0',
        'buckets_requests_total{kind="write",outcome="unauthorized"} 1.0',
        "buckets_served_bytes_total ",
        "buckets_entries 0.0",
        f'buckets_prefix_bits{{generation="{GENERATION}"}} 0.0',
        f'buckets_complete{{generation="{GENERATION}"}} 1.0',
        "buckets_database_errors_total 0.0",
    ],
}


def prepared(folder: Path, command: str, admin: str = ADMIN) -> tuple[Path, int]:
    """Write keys and a configuration; return its file and the port of the operator's listener."""
    write_tls(folder, tls_root(folder), "127.0.0.1")
    (folder / "admin.token").write_text(f"{TOKEN}\n")
    (folder / "a.secret").write_text("1" * 64 + "\n")
    if command == "run":
        (folder / "tokens.der").write_bytes(IssuerKey(RsaPrivateKey.generate()).public.spki)
    file, operator = folder / "service.toml", free_port()
    text = (FILES[command] + admin).replace("{port}", str(free_port()))
    file.write_text(text.replace("{admin}", str(operator)))
    return file, operator


@asynccontextmanager
async def running(*arguments: str) -> AsyncIterator[dict[str, Any]]:
    """Run `spingate directory ...`; yields what it says once it serves."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "directory", *arguments, "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            yield json.loads(await process.stdout.readline() or b"{}")
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        _, err = await asyncio.wait_for(process.communicate(), 30)
        assert b"Traceback" not in err, err.decode()
    assert process.returncode == 0


async def scraped(port: int) -> str:
    url = f"http://127.0.0.1:{port}"
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}/metrics") as closed:
            assert closed.status == 401
        async with session.get(f"{url}/healthz") as health:
            assert (health.status, await health.json()) == (200, {"status": "ok"})
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        async with session.get(f"{url}/openapi.json", headers=bearer) as described:
            paths = (await described.json())["paths"]
            assert sorted(paths) == ["/healthz", "/metrics", "/openapi.json"]
        async with session.get(f"{url}/metrics", headers=bearer) as answer:
            assert answer.status == 200
            return await answer.text()


@pytest.mark.parametrize("command", FILES)
async def test_a_scrape_says_how_a_service_is_and_nothing_of_who_asked_for_whom(
    tmp_path: Path, command: str
) -> None:
    file, port = prepared(tmp_path, command)
    async with running(command, "-c", str(file)) as said, https(tmp_path) as ask:
        assert said["admin_port"] == port
        for asked in ASKED[command]:
            url = f"https://127.0.0.1:{said['port']}{asked.path}"
            answer = await ask(asked.method, url, data=asked.body, headers=asked.headers)
            assert answer.status == asked.status, (asked, answer.body)
        text = await scraped(port)
    for line in SAYS[command]:
        assert f"\nspingate_{line}" in text, line
    assert "process_resident_memory_bytes" in text
    assert "4155550123" not in text
    assert "127.0.0.1" not in text


async def test_a_witness_counts_what_it_was_asked_by_log(tmp_path: Path) -> None:
    (tmp_path / "admin.token").write_text(f"{TOKEN}\n")
    port = free_port()
    key = f"--log-key={log_signer().verifier}"
    options = ("--port=0", "--name=witness.example/w1", key, f"--state={tmp_path / 'state'}")
    admin = (f"--admin-port={port}", f"--admin-token-file={tmp_path / 'admin.token'}")
    async with running("witness", *options, *admin) as said:
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{said['port']}/add-checkpoint"
            async with session.post(url, data=b"old x\n") as answer:
                assert answer.status == 400
        text = await scraped(port)
    assert '\nspingate_witness_checkpoints_total{log="",outcome="malformed"} 1.0' in text


def no_token(admin: str) -> str:
    return admin.replace('token_file = "admin.token"', "")


def empty_file(admin: str) -> str:
    return admin.replace("admin.token", "empty.token")


def missing_file(admin: str) -> str:
    return admin.replace("admin.token", "missing.token")


def both(admin: str) -> str:
    return admin + 'token = "another"\n'


@pytest.mark.parametrize(
    ("command", "changed"),
    [
        *((command, no_token) for command in FILES),
        *(("relay", change) for change in (empty_file, missing_file, both)),
    ],
)
async def test_without_a_credential_for_the_operator_nothing_starts(
    tmp_path: Path, command: str, changed: Callable[[str], str]
) -> None:
    (tmp_path / "empty.token").write_text("\n")
    file, _ = prepared(tmp_path, command, changed(ADMIN))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "directory", command, "-c", str(file), "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, out) == (2, b"")
    assert err.decode().startswith("spingate: admin")
