"""The log at work: entries taken, witnessed, served, proven, and followed over real sockets."""

from __future__ import annotations

import asyncio
import shutil
import time
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from discovery.log.checkpoint import parse_checkpoint
from discovery.log.entry import EntryType, LogEntry, log_entry
from discovery.log.logged import LoggedAnswer, verify_logged
from discovery.log.proof_members import read_label
from discovery.log.reason import LogRefusal
from discovery.log.relying import TrustedLogs
from discovery.log.seen import SeenCheckpoints, SplitView
from discovery.log.vrf import VrfPublic, VrfSecret
from gateway.directory_log.alerts import post, run_command
from gateway.directory_log.auditing import LogAuditor
from gateway.directory_log.label_proofs import LabelProofs
from gateway.directory_log.log import DirectoryLog, LogSettings, LogUnavailable
from gateway.directory_log.monitor import Event, LogMonitor, Watched
from gateway.directory_log.monitor_file import BadStateFile, MonitorFile
from gateway.directory_log.reader import LogReader, audit
from gateway.directory_log.sink import DirectoryLogSink
from gateway.directory_log.store import LogStore
from gateway.directory_log.witness_client import WitnessClient
from tests.support.log_scene import (
    FAST,
    LogScene,
    listening,
    log_scene,
    running,
    service_client,
    serving_witness,
)
from tests.support.log_world import (
    NONCE,
    ORIGIN,
    MemoryLog,
    cosigner,
    label,
    log_signer,
)

pytestmark = pytest.mark.real
NUMBER_2 = "tel:+12125550143"


def entry(owner: int, content: bytes = b"content") -> LogEntry:
    return log_entry(EntryType.RECORD, label(owner), content, NONCE)


async def test_an_entry_is_logged_witnessed_and_proven(tmp_path: Path) -> None:
    async with log_scene(tmp_path) as scene:
        indices = await asyncio.gather(*(scene.log.append(entry(n)) for n in range(600)))
        assert sorted(indices) == list(range(600))
        seen = SeenCheckpoints()
        for owner in (0, 300, 599):
            proof = scene.log.proof(indices[owner])
            answer = LoggedAnswer(EntryType.RECORD, b"content", label(owner), NONCE, proof)
            verify_logged(answer, scene.policy, time.time(), seen=seen)
        assert scene.log.proof(600) is None
        assert len(seen) == 1


async def test_what_is_served_may_be_kept_for_ever_and_the_checkpoint_may_not(
    tmp_path: Path,
) -> None:
    async with log_scene(tmp_path) as scene, aiohttp.ClientSession() as session:
        await asyncio.gather(*(scene.log.append(entry(n)) for n in range(300)))

        async def get(path: str) -> tuple[int, str, str, bytes]:
            async with session.get(f"{scene.url}/{path}") as answer:
                kept = answer.headers.get("Cache-Control", "")
                return answer.status, kept, answer.content_type, await answer.read()

        status, kept, kind, note = await get("checkpoint")
        assert (status, kept, kind) == (200, "public, max-age=2", "text/plain")
        assert parse_checkpoint(note).checkpoint.size == 300
        status, kept, kind, tile = await get("tile/0/000")
        assert (status, kind, len(tile)) == (200, "application/octet-stream", 8192)
        assert "immutable" in kept
        assert [len((await get(path))[3]) for path in ("tile/0/001.p/44", "tile/1/000.p/1")] == [
            44 * 32,
            32,
        ]
        assert len((await get("tile/entries/001.p/44"))[3]) == 44 * 68
        for path in (
            "tile/0/001",
            "tile/0/001.p/45",
            "tile/0/1",
            "tile/00/000",
            "tile/8/000",
            "tile/0/x000/000",
            "tile/0/000.p/256",
            "tile/entries/000.p/0",
            "tile/0/" + "x999/" * 30 + "999",
            "lock",
        ):
            status, kept, _, _ = await get(path)
            assert status == 404, path


async def test_no_checkpoint_is_published_while_no_witness_answers(tmp_path: Path) -> None:
    settings = replace(FAST, publish_wait=0.2)
    async with log_scene(tmp_path, settings=settings, witness_url="http://127.0.0.1:9/") as scene:
        assert await scene.log.append(entry(1)) == 0
        assert scene.log.checkpoint is None
        assert scene.log.proof(0) is None
        reader = LogReader(scene.http, scene.url)
        told: list[Event] = []
        monitor = make_monitor(scene, reader, tmp_path, told)
        assert await monitor.look(time.time())
        assert told[-1]["event"] == "unreachable"


async def test_a_witness_that_was_away_is_caught_up_with(tmp_path: Path) -> None:
    async with service_client() as http, serving_witness(tmp_path / "w") as url:
        for round_ in range(2):
            store = LogStore(tmp_path / "log", log_signer().verifier)
            witness = WitnessClient(http, url, cosigner(1).verifier)
            log = DirectoryLog(store, log_signer(), [witness], FAST)
            async with running(log):
                for n in range(3):
                    assert await log.append(entry(n)) == 3 * round_ + n
                assert log.proof(3 * round_) is not None


async def test_a_log_restored_from_a_backup_is_halted_by_its_witness(tmp_path: Path) -> None:
    async with serving_witness(tmp_path / "w") as url:
        async with log_scene(tmp_path, witness_url=url) as scene:
            await scene.log.append(entry(1))
        shutil.copytree(tmp_path / "log", tmp_path / "backup")
        async with log_scene(tmp_path, witness_url=url) as scene:
            await scene.log.append(entry(2))
        shutil.rmtree(tmp_path / "log")
        (tmp_path / "backup").rename(tmp_path / "log")
        settings = replace(FAST, publish_wait=0.5, refresh=0.0)
        async with log_scene(tmp_path, witness_url=url, settings=settings) as scene:
            await asyncio.sleep(0.3)
            with pytest.raises(LogUnavailable, match="another tree"):
                await scene.log.append(entry(3))
            assert scene.log.proof(0) is not None


async def test_a_log_takes_no_more_than_it_can_hold_and_none_when_stopped(tmp_path: Path) -> None:
    settings = LogSettings(interval=0.0, max_batch=2, max_waiting=5, quorum=0, publish_wait=1)
    log = DirectoryLog(LogStore(tmp_path, log_signer().verifier), log_signer(), (), settings)
    async with running(log):
        results = await asyncio.gather(
            *(log.append(entry(n)) for n in range(9)), return_exceptions=True
        )
        assert [isinstance(each, LogUnavailable) for each in results] == [False] * 5 + [True] * 4
        assert log.checkpoint is not None
    with pytest.raises(LogUnavailable, match="not running"):
        await log.append(entry(1))


async def test_the_sink_proves_a_record_to_a_gateway_that_trusts_the_log(tmp_path: Path) -> None:
    directory, csi = "https://directory.example", "tel:+12125550142"
    async with log_scene(tmp_path) as scene:
        secret = VrfSecret(b"k" * 32)
        proofs = LabelProofs(tmp_path / "label-proofs")
        sink = DirectoryLogSink(scene.log, secret, b"n" * 32, proofs)
        index = await sink.append("record", csi, "digest")
        proof = await sink.proof("record", csi, "digest", index)
        assert proof is not None
        assert "2125550142" not in str(proof)
        demanded = replace(scene.policy, labels=VrfPublic(secret.public))
        logs = TrustedLogs({directory: demanded})
        now = time.time()
        assert logs.is_logged(directory, csi, "digest", proof, now)
        refused = {
            logs.refusal(directory, csi, "other", proof, now): LogRefusal.NOT_LOGGED,
            logs.refusal("https://other.example", csi, "digest", proof, now): (
                LogRefusal.UNKNOWN_LOG
            ),
            logs.refusal(directory, NUMBER_2, "digest", proof, now): LogRefusal.WRONG_LABEL,
            logs.refusal(directory, csi, "digest", {}, now): LogRefusal.MALFORMED,
            logs.refusal(directory, csi, "digest", proof, now + 1e6): LogRefusal.STALE_CHECKPOINT,
        }
        assert all(each is not None and each.reason is why for each, why in refused.items())
        assert await sink.proof("record", csi, "digest", None) is None
        receipt = sink.receipt(csi, ("digest",))
        found = scene.log.store.entries(0, 1)[0]
        assert read_label(receipt) == secret.label(csi)
        assert secret.label(csi).value == found[2:34]
        assert receipt["known"] == [found[34:].hex()]
        proofs.close()
        (tmp_path / "label-proofs").unlink()
        lost = DirectoryLogSink(
            scene.log, secret, b"n" * 32, LabelProofs(tmp_path / "label-proofs")
        )
        assert [await lost.proof("record", csi, "digest", index) for _ in range(2)] == [proof] * 2


async def test_a_gateway_proves_that_all_it_was_shown_is_one_tree(tmp_path: Path) -> None:
    async with log_scene(tmp_path) as scene:
        reader, seen = LogReader(scene.http, scene.url), SeenCheckpoints()
        for n in range(4):
            await scene.log.append(entry(n))
            assert scene.log.checkpoint is not None
            seen.add(parse_checkpoint(scene.log.checkpoint))
        await audit(reader, seen)
        assert seen.unproven() == []
        fork = MemoryLog()
        fork.append(*(entry(9) for _ in range(3)))
        await scene.log.append(entry(5))
        other = SeenCheckpoints()
        other.add(fork.checkpoint(cosigner(1)))
        assert scene.log.checkpoint is not None
        other.add(parse_checkpoint(scene.log.checkpoint))
        with pytest.raises(SplitView):
            await audit(reader, other)


async def test_a_log_caught_with_two_trees_is_not_trusted_any_more(tmp_path: Path) -> None:
    csi = "tel:+12125550142"
    async with log_scene(tmp_path) as scene:
        secret = VrfSecret(b"k" * 32)
        sink = DirectoryLogSink(scene.log, secret, b"n" * 32, LabelProofs(tmp_path / "proofs"))
        index = await sink.append("record", csi, "digest")
        await scene.log.append(entry(1))
        proof = await sink.proof("record", csi, "digest", index)
        assert proof is not None
        directory = scene.url.removesuffix("/log")
        logs = TrustedLogs({directory: scene.policy})
        auditor = LogAuditor(logs, scene.http, interval=0.01)
        auditor.begin()
        assert logs.is_logged(directory, csi, "digest", proof, time.time())
        await asyncio.sleep(0.2)
        assert logs.seen[directory].unproven() == []
        assert logs.is_logged(directory, csi, "digest", proof, time.time())
        fork = MemoryLog()
        fork.append(entry(9))
        logs.seen[directory].add(fork.checkpoint(cosigner(1)))
        await asyncio.sleep(0.2)
        refused = logs.refusal(directory, csi, "digest", proof, time.time())
        assert refused is not None
        assert refused.reason is LogRefusal.SPLIT_VIEW
        await auditor.close()


async def test_alerts_go_to_a_command_and_to_a_webhook(tmp_path: Path) -> None:
    event: Event = {"event": "record", "alert": True}
    taken: list[bytes] = []

    async def take(request: web.Request) -> web.Response:
        taken.append(await request.read())
        return web.Response(status=204 if len(taken) == 1 else 500)

    application = web.Application()
    application.router.add_post("/alert", take)
    async with service_client() as http, listening(application) as url:
        assert await post(http, f"{url}/alert", event)
        assert not await post(http, f"{url}/alert", event)
        assert not await post(http, "http://127.0.0.1:9/", event)
    assert taken == [b'{"event":"record","alert":true}'] * 2
    assert await run_command(["tee", str(tmp_path / "alert")], event)
    assert (tmp_path / "alert").read_bytes() == taken[0] + b"\n"
    assert not await run_command(["false"], event)
    assert not await run_command([str(tmp_path / "none")], event)


def make_monitor(
    scene: LogScene, reader: LogReader, folder: Path, told: list[Event], *owners: int
) -> LogMonitor:
    async def tell(event: Event) -> None:
        told.append(event)

    watched = {label(n): Watched(f"+1212555{n:04}") for n in owners or (42,)}
    file = MonitorFile(folder / "monitor.json", watched)
    return LogMonitor(reader, scene.policy, watched, file, tell)


async def test_a_monitor_keeps_its_place_over_restarts(tmp_path: Path) -> None:
    told: list[Event] = []
    async with log_scene(tmp_path) as scene:
        reader = LogReader(scene.http, scene.url)
        await asyncio.gather(*(scene.log.append(entry(n)) for n in range(300)))
        assert await make_monitor(scene, reader, tmp_path, told).look(time.time())
        assert not await make_monitor(scene, reader, tmp_path, told).look(time.time())
        await scene.log.append(entry(42, b"another"))
        assert await make_monitor(scene, reader, tmp_path, told).look(time.time())
    kinds = [(event["event"], event.get("index", event.get("size"))) for event in told]
    index = told[0]["index"]
    assert kinds == [
        ("record", index),
        ("checked", 300),
        ("checked", 300),
        ("record", 300),
        ("checked", 301),
    ]
    with pytest.raises(BadStateFile, match="without some"):
        make_monitor(scene, reader, tmp_path, told, 42, 43)
    (tmp_path / "monitor.json").write_text("{}")
    with pytest.raises(BadStateFile, match="not the state"):
        make_monitor(scene, reader, tmp_path, told)


async def test_a_monitor_catches_a_fork_that_witnesses_have_cosigned(tmp_path: Path) -> None:
    told: list[Event] = []
    async with log_scene(tmp_path) as scene:
        for n in range(3):
            await scene.log.append(entry(n))
        monitor = make_monitor(scene, LogReader(scene.http, scene.url), tmp_path, told)
        await monitor.look(time.time())
    shutil.rmtree(tmp_path / "log")
    shutil.rmtree(tmp_path / "witness")
    async with log_scene(tmp_path) as scene:
        for n in range(5):
            await scene.log.append(entry(n + 1))
        monitor = make_monitor(scene, LogReader(scene.http, scene.url), tmp_path, told)
        assert await monitor.look(time.time())
        assert await monitor.look(time.time())
    split, again = told[-2:]
    assert (split["event"], split["alert"], again["alert"]) == ("split_view", True, False)
    evidence = split["evidence"]
    assert isinstance(evidence, list)
    sizes = [parse_checkpoint(note).checkpoint.size for note in evidence]
    assert sizes == [3, 5]
    assert all(note.startswith(ORIGIN) for note in evidence)


@pytest.mark.parametrize(
    "url", ["http://log.example/", "ftp://127.0.0.1/", "https://u@h/", "https://h/?q", "log"]
)
async def test_a_url_that_is_none_of_a_log_is_refused(url: str) -> None:
    async with service_client() as http:
        with pytest.raises(ValueError, match="URL"):
            LogReader(http, url)
