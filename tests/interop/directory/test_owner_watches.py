"""An owner by mail, from the first code to the last alarm: real processes, mail server, log."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from stir.certificates.issuing import (
    issue_tls_certificate,
    make_intermediate,
    make_root,
)
from tests.support.command_line import Said
from tests.support.directory_world import TOKEN, DirectoryWorld
from tests.support.log_scene import listening
from tests.support.log_world import log_signer
from tests.support.mail_server import PASSWORD, MailServer, serving_mail

pytestmark = pytest.mark.real
BOB = "mailto:bob@mail.example"
URI = "voice=sip:bob@b.example"


@dataclass
class Scene:
    """A directory that runs as a process in a folder, and the mailboxes of its owners."""

    folder: Path
    url: str
    mail: MailServer

    async def spingate(self, *arguments: object) -> Said:
        """Run a `spingate directory` command in the folder, as JSON lines."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "directory", *map(str, arguments), "--json"),
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert "Traceback" not in err.decode(), err.decode()
        return Said(process.returncode or 0, out.decode(), err.decode())

    async def owner(self, command: str, *more: object, key: str = "bob.key") -> Said:
        common = ("--directory", self.url, "--trust-anchors", "tls-root.pem", "--key", key)
        return await self.spingate(command, BOB, *common, *more)

    async def lookup(self, *more: object) -> Said:
        return await self.spingate(
            *("lookup", BOB, "--directory", self.url, "--trust-anchors", "tls-root.pem"),
            *("--owner-trust-anchors", "numbers.pem", "--token-file", "token", *more),
        )

    async def monitor(self, *more: object) -> Said:
        return await self.spingate(
            "monitor", "bob@mail.example", "--trust-anchors", "tls-root.pem", "--once", *more
        )

    def code(self) -> str:
        """The code in the newest mail."""
        _, recipients, message = self.mail.mailbox.taken[-1]
        assert recipients == ["bob@mail.example"]
        found = re.search(r"^Code: (\S+)", message.get_content())
        assert found is not None
        return found[1]

    async def registered(self) -> None:
        """Bob is in the directory."""
        first = await self.owner("register", "--uri", URI)
        assert (first.code, "--code" in first.err) == (1, True)
        second = await self.owner("register", "--uri", URI, "--code", self.code())
        assert (second.code, second.only["state"]) == (0, "live"), second.err


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def directory_process(scene: Scene, port: int) -> AsyncIterator[None]:
    (scene.folder / "directory.toml").write_text(
        f"""
[directory]
url = "{scene.url}"
address = "127.0.0.1"
port = {port}
certificate = "https.pem"
key = "https.key"
state_directory = "run"
provider_trust_anchors = ["providers.pem"]
[[directory.peer]]
name = "alpha"
token_file = "token"
[authority]
certificate = "ca.pem"
key = "ca.key"
[mail]
host = "127.0.0.1"
port = {scene.mail.port}
trust_anchors = "mail-root.pem"
user = "directory"
password_file = "mail.password"
sender = "challenge@dp.example"
timeout_seconds = 3
[transparency_log]
interval_seconds = 0.05
"""
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "directory", "run", "-c", "directory.toml", "--json"),
        cwd=scene.folder,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert json.loads(await process.stdout.readline())["event"] == "serving"
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        _, err = await process.communicate()
        assert "Traceback" not in err.decode(), err.decode()
        assert process.returncode == 0


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    DirectoryWorld(tmp_path)  # certificates of the directory, roots of numbers and providers
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    (tmp_path / "mail.password").write_text(f"{PASSWORD}\n")
    # That world lives at another time: authorities of today instead.
    now = time.time()
    root = make_root("Numbers", now - 86_400)
    issuing = make_intermediate(root, "Number CA", now - 86_400)
    (tmp_path / "numbers.pem").write_bytes(root.certificate_pem)
    chain = issuing.certificate_pem + root.certificate_pem
    (tmp_path / "ca.pem").write_bytes(chain)
    (tmp_path / "ca.key").write_bytes(issuing.key_pem)
    port = free_port()
    async with AsyncExitStack() as stack:
        mail = await stack.enter_async_context(serving_mail(tmp_path, now=now))
        scene = Scene(tmp_path, f"https://127.0.0.1:{port}", mail)
        domain(tmp_path, now)
        await stack.enter_async_context(directory_process(scene, port))
        yield scene


def domain(folder: Path, now: float) -> None:
    """The operators of two mail domains, certified by a root that is trusted for providers."""
    root = make_root("Mail domains", now - 86_400)
    (folder / "providers.pem").write_bytes(root.certificate_pem)
    for name in ("mail.example", "other.example"):
        issued = issue_tls_certificate(root, now, dns_names=(name,))
        assert issued.key_pem is not None
        (folder / f"{name}.pem").write_bytes(issued.chain_pem)
        (folder / f"{name}.key").write_bytes(issued.key_pem)


def told(said: Said) -> list[tuple[str, bool, Any]]:
    return [(each["event"], each["alert"], each.get("own")) for each in said.objects]


async def test_from_the_first_code_to_removal_all_of_it_is_the_owners(scene: Scene) -> None:
    wrong = await scene.owner("register", "--uri", URI, "--code", "guess")
    assert (wrong.code, "no challenge waits" in wrong.err) == (1, True)
    await scene.registered()
    state = json.loads((scene.folder / "bob.key.json").read_text())
    found = await scene.lookup(
        "--log-key", state["log"]["key"], "--log-labels", state["log"]["labels"]
    )
    (record,) = found.only["records"]
    assert (found.code, record["logged"]) == (0, True), found.err
    checkpoint = record["log"]["checkpoint"]
    assert checkpoint["origin"] == f"{scene.url.partition('//')[2]}/log"
    assert checkpoint["index"] < checkpoint["size"]
    assert "inclusion" in record["proof"]
    # The receipt beside the key says where the log is and what its key was: nothing else is given.
    first = await scene.monitor()
    assert first.code == 0, first.err
    own = [("certificate", False, True), ("record", False, True)]
    assert told(first) == [*own, ("checked", False, None)]
    assert (await scene.owner("opt-out")).code == 0
    assert (await scene.owner("remove")).only["state"] == "removed"
    last = await scene.monitor("--exec", "false")
    assert told(last) == [
        ("record", False, True),
        ("removal", False, True),
        ("checked", False, None),
    ]
    assert last.code == 0
    gone = await scene.lookup()
    assert (gone.code, gone.only["status"]) == (1, "none")


async def test_a_lookup_says_why_a_record_does_not_count_as_logged(scene: Scene) -> None:
    await scene.registered()
    unasked = (await scene.lookup()).only["records"][0]
    assert (unasked["logged"], "--log-key" in unasked["log"]["why"]) == (False, True)
    stranger = log_signer().verifier
    found = (await scene.lookup("--log-key", stranger)).only["records"][0]
    assert (found["logged"], found["log"]["why"].partition(":")[0]) == (False, "wrong_log")
    misused = await scene.lookup("--witness", "w")
    assert (misused.code, misused.out) == (2, "")
    misused = await scene.lookup("--log-key", "k")
    assert (misused.code, misused.out) == (2, "")


async def test_the_domains_operator_removes_and_the_owner_is_alarmed(scene: Scene) -> None:
    await scene.registered()
    assert (await scene.monitor()).code == 0
    stranger = await scene.owner(
        "remove", "--certificate", "other.example.pem", key="other.example.key"
    )
    assert (stranger.code, stranger.only["state"]) == (1, "failed")
    assert "HTTP 403" in stranger.only["detail"]
    operator = ("--certificate", "mail.example.pem")
    mismatched = await scene.owner("remove", *operator, key="other.example.key")
    assert (mismatched.code, mismatched.out) == (2, "")
    nobody = await scene.owner(
        "remove", *operator, "--directory", "https://127.0.0.1:1", key="mail.example.key"
    )
    assert nobody.code == 1
    assert [each["state"] for each in nobody.objects] == ["removed", "failed"]
    assert (await scene.lookup()).only["status"] == "none"

    posted: list[dict[str, Any]] = []

    async def hook(request: web.Request) -> web.Response:
        posted.append(await request.json())
        return web.Response(status=204)

    application = web.Application()
    application.router.add_post("/alarm", hook)
    async with listening(application) as url:
        alarm = scene.folder / "alarm.json"
        last = await scene.monitor("--exec", f"tee {alarm}", "--webhook", f"{url}/alarm")
    assert (last.code, told(last)[0]) == (1, ("removal", True, False))
    assert json.loads(alarm.read_text())["event"] == "removal"
    assert [each["event"] for each in posted] == ["removal"]
    # The certificate of before counts no more: control has to be proven again.
    again = await scene.owner("register", "--uri", URI)
    assert (again.code, "--code" in again.err) == (1, True)
    proven = await scene.owner("register", "--uri", URI, "--code", scene.code())
    assert (proven.code, proven.only["state"]) == (0, "live"), proven.err


async def test_another_key_alarms_the_owner_and_the_first_key_is_taken_on_first_use(
    scene: Scene,
) -> None:
    await scene.registered()
    state = json.loads((scene.folder / "bob.key.json").read_text())
    (scene.folder / "bare.json").write_text(json.dumps(state["receipt"]))
    options = ("--receipt", "bare.json", "--directory", scene.url, "--state", "bare.state")
    first = await scene.monitor(*options)
    assert first.code == 0, first.err
    assert state["log"]["key"] in first.err.replace("\n", "")
    kept = json.loads((scene.folder / "bare.state").read_text())
    assert (kept["log_key"], kept["log_labels"]) == (state["log"]["key"], state["log"]["labels"])
    thief = await scene.owner("register", "--uri", URI, key="thief.key")
    assert thief.code == 1
    held = await scene.owner("register", "--uri", URI, "--code", scene.code(), key="thief.key")
    assert (held.code, "another key has this identifier" in held.err) == (1, True)
    seen = await scene.monitor(*options)
    assert seen.err == ""
    assert (seen.code, told(seen)[0]) == (1, ("claim", True, False))


async def test_a_running_monitor_learns_what_the_owner_did_meanwhile(scene: Scene) -> None:
    await scene.registered()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "directory", "monitor", "--interval", "1", "--json"),
        *("--trust-anchors", "tls-root.pem"),
        cwd=scene.folder,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        events: list[tuple[str, bool]] = []
        changed = False
        async with asyncio.timeout(40):
            while not events or events[-1][0] != "removal":
                event = json.loads(await process.stdout.readline())
                events.append((event["event"], event["alert"]))
                if event["event"] == "checked" and not changed:
                    changed = True
                    assert (await scene.owner("opt-out")).code == 0
                    assert (await scene.owner("remove")).code == 0
        assert not [each for each in events if each[1]]
    finally:
        process.send_signal(signal.SIGTERM)
        _, err = await process.communicate()
    assert (process.returncode, "Traceback" in err.decode()) == (0, False)


async def test_a_mail_server_that_fails_is_said_and_nothing_is_used_up(scene: Scene) -> None:
    for mood, says in (
        ("no such mailbox", "refuses the address"),
        ("busy", "try again later"),
        ("drops", "try again later"),
        ("slow", "try again later"),
        ("busy", "try again later"),
    ):
        scene.mail.mailbox.mood = mood  # type: ignore[assignment]
        said = await scene.owner("register", "--uri", URI)
        assert (said.code, says in said.err) == (1, True), said.err
        assert "bob" not in said.err
    scene.mail.mailbox.mood = "good"
    await scene.registered()


async def test_check_looks_at_all_that_the_directory_needs(scene: Scene) -> None:
    well = await scene.spingate("check", "-c", "directory.toml")
    outcomes = {each["name"]: each["outcome"] for each in well.objects}
    assert outcomes == {
        "keys": "passed",
        "TLS certificate": "passed",
        "authority": "passed",
        "state folder": "passed",
        "database": "passed",
        "mail": "passed",
        "witnesses": "warning",
    }
    assert well.code == 0
    text = (scene.folder / "directory.toml").read_text()
    text = text.replace('"mail.password"', '"token"')  # a wrong password
    text = text.replace('key = "ca.key"', 'key = "ca.key"\nprefixes = ["+1"]')
    (scene.folder / "bad.toml").write_text(
        f"{text}\n"
        '[[transparency_log.witness]]\nurl = "http://127.0.0.1:1/"\n'
        'key = "witness.example/w1+ea2ad007+BNYvAWoe/R5P33k+tCzYRHHhup8M8E0Sh7XMcfYWKHy4"\n'
        '[[sms]]\nhost = "127.0.0.1"\nport = 1\nsystem_id = "directory"\n'
    )
    bad = await scene.spingate("check", "-c", "bad.toml")
    failed = {each["name"] for each in bad.objects if each["outcome"] == "failed"}
    assert (bad.code, failed) == (1, {"SMSC 1", "mail", "witness witness.example/w1"}), bad.err
    assert all(each["hint"] for each in bad.objects if each["outcome"] == "failed")
    assert (await scene.spingate("check", "-c", "missing.toml")).code == 2
