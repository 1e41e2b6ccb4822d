"""A directory that keeps a log: registered, proven to a sender, watched by the owner's command."""

from __future__ import annotations

import json
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from discovery.log.cosignature import parse_witness
from discovery.log.entry import EntryType
from discovery.log.logged import LogPolicy
from discovery.log.note import parse_verifier
from discovery.log.relying import TrustedLogs
from gateway.config.load import ConfigError
from tests.support.command_line import Said, spingate
from tests.support.directory_world import MAIL, NUMBER, DirectoryClient, DirectoryWorld, running
from tests.support.log_scene import serving_witness
from tests.support.log_world import cosigner, log_signer, write_key

pytestmark = pytest.mark.real
LOG_NAME = "dp.example/log"
KEY = f"--log-key={log_signer().verifier}"


async def monitor(client: DirectoryClient, folder: Path, *more: object) -> Said:
    described = await client.send("GET", "/.well-known/spin-dp")
    return await spingate(
        "directory",
        "monitor",
        f"--log={client.url}/log",
        f"--log-key={described.document['log']}",
        f"--log-labels={described.document['log_labels']}",
        f"--witness={cosigner(1).verifier}",
        f"--state={folder / 'monitor.json'}",
        f"--trust-anchors={folder / 'tls-root.pem'}",
        "--once",
        "--json",
        *more,
    )


def world_with_log(folder: Path, witness_url: str) -> DirectoryWorld:
    witness = {"url": witness_url, "key": str(cosigner(1).verifier)}
    section = {"interval_seconds": 0.02, "witness": (witness,)}
    return DirectoryWorld(folder, transparency_log=section)


async def test_a_record_is_proven_to_who_asks_and_seen_by_its_owner(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        (tmp_path / "state").mkdir()
        # The witness has to know the log's key before the log is there.
        key_file = tmp_path / "log.key"
        write_key(key_file, log_signer(name=LOG_NAME))
        signer = log_signer(name=LOG_NAME)
        url = await stack.enter_async_context(serving_witness(tmp_path / "w", logs=[signer]))
        world = DirectoryWorld(
            tmp_path,
            transparency_log={
                "key": key_file,
                "interval_seconds": 0.02,
                "witness": ({"url": url, "key": str(cosigner(1).verifier)},),
            },
        )
        world.clock.now = time.time()
        client = await stack.enter_async_context(running(world))
        described = await client.send("GET", "/.well-known/spin-dp")
        assert described.document["log"] == str(signer.verifier)
        owner = world.owner()
        kept = await client.register(owner)
        assert kept.status == 200
        receipt = tmp_path / "receipt.json"
        receipt.write_text(json.dumps(kept.document["receipt"]))

        policy = LogPolicy(
            (parse_verifier(described.document["log"]),),
            (parse_witness(str(cosigner(1).verifier)),),
        )
        logs = TrustedLogs({world.config.directory.url: policy})
        assert (await client.register(owner, seq=2)).status == 200
        checker = replace(world.checker(), logs=logs)
        checked = checker.check((await client.lookup()).body, owner.csi, time.time())
        assert [each.logged for each in checked.records] == [True]

        first = await monitor(client, tmp_path, NUMBER, f"--receipt={receipt}")
        assert first.code == 1, first.err
        kinds = [(each["event"], each["alert"]) for each in first.objects]
        assert kinds == [("record", False), ("record", True), ("checked", False)]
        again = await monitor(client, tmp_path, NUMBER, f"--receipt={receipt}")
        assert (again.code, [each["event"] for each in again.objects]) == (0, ["checked"])

        other = await client.register(world.owner(MAIL))
        assert other.status == 200
        quiet = await monitor(client, tmp_path, NUMBER, f"--receipt={receipt}")
        assert (quiet.code, [each["event"] for each in quiet.objects]) == (0, ["checked"])

        removed = await client.send(
            "DELETE", "/dp/v1/records", {"removal": owner.removal(seq=3), "chain": owner.chain}
        )
        assert removed.status == 200
        alarm = tmp_path / "alarm"
        last = await monitor(client, tmp_path, f"--receipt={receipt}", f"--exec=tee {alarm}")
        assert last.code == 1
        assert json.loads(alarm.read_text())["event"] == EntryType.REMOVAL.name.lower()


async def test_what_no_witness_has_seen_is_not_proven_and_still_answered(tmp_path: Path) -> None:
    world = world_with_log(tmp_path, "http://127.0.0.1:9/")
    section = world.config.transparency_log
    assert section is not None
    quick = section.model_copy(update={"publish_wait_seconds": 0.1})
    world.config = world.config.model_copy(update={"transparency_log": quick})
    async with running(world) as client:
        assert (await client.register(world.owner())).status == 200
        assert (await client.lookup()).status == 200
        assert (await client.send("GET", "/log/checkpoint")).status == 404
        found = await monitor(client, tmp_path, "--label", "0" * 64, NUMBER)
    assert (found.code, found.only["event"], found.only["alert"]) == (1, "unreachable", True)


async def test_two_directories_do_not_keep_one_log(tmp_path: Path) -> None:
    world = DirectoryWorld(tmp_path, transparency_log={})
    service = world.service()
    with pytest.raises(ConfigError, match="in use"):
        world.service()
    await service.start()
    await service.stop()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--log=https://h/log", "--log-key=x", "--label=" + "0" * 64, "+1"], "--log-key or"),
        (["--log=ftp://h/log", KEY, "--label=" + "0" * 64, "+1"], "no https URL"),
        ([KEY, "--label=" + "0" * 64, "+1"], "which directory"),
        ([KEY, "--log=https://h/log"], "nothing to watch"),
        ([KEY, "--log=https://h/log", "+1"], "no receipt for +1"),
        ([KEY, "--log=https://h/log", "--label=" + "0" * 64], "a number for each --label"),
        (["--directory=https://127.0.0.1:1", "--label=" + "0" * 64, "+1"], "give --log-key"),
        ([KEY, "--label=zz", "+1"], "hexadecimal"),
        ([KEY, "--receipt=/nonexistent"], "No such file"),
        ([KEY, "--receipt=pyproject.toml"], "no receipt"),
    ],
)
async def test_wrong_usage_is_said_in_one_line(
    tmp_path: Path, arguments: list[str], says: str
) -> None:
    said = await spingate("directory", "monitor", f"--state={tmp_path / 's'}", "--once", *arguments)
    assert said.code == 2
    assert says in said.err
    assert "Traceback" not in said.err
