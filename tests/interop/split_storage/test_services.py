"""The two services under bad input, over real HTTPS: whatever comes, a declared status."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from discovery.privacy.split_storage import (
    BUCKET_OCTETS,
    SEALED_SIZES,
    StorageQuestion,
    encode_entries,
    parse_evaluation_keys,
)
from tests.interop.directory.test_command_line import spingate
from tests.support.split_scene import (
    BUCKETS_TOKEN,
    EVALUATOR_TOKEN,
    GENERATION,
    KEYS,
    SplitScene,
)

pytestmark = pytest.mark.real
OCTETS = {"Content-Type": "application/octet-stream"}
QUESTION = StorageQuestion("tel:+14155550123").request
SMALL = min(SEALED_SIZES)
ENTRY = encode_entries([(bytes(32), bytes(SMALL))])
EVALUATE = f"/ev/v1/evaluations/{GENERATION}"
ENTRIES = f"/sb/v1/entries/{GENERATION}"


async def ask(
    scene: SplitScene,
    service: str,
    method: str,
    path: str,
    body: bytes = b"",
    *,
    token: str | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, bytes]:
    sent = dict(OCTETS if headers is None else headers)
    if token is not None:
        sent["Authorization"] = f"Bearer {token}"
    url = scene.url(service) + path
    async with scene.client.session.request(method, url, data=body, headers=sent) as answer:
        read = await answer.read()
        if answer.status >= 400:
            assert answer.content_type == "application/problem+json"
        return answer.status, read


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (QUESTION, 200),
        (QUESTION * 16, 200),
        (QUESTION * 17, 413),
        (b"", 400),
        (QUESTION[:-1], 400),
        (QUESTION + b"x", 400),
        (bytes(64), 400),
        (b"\xff" * 64, 400),
        (QUESTION + bytes(64), 400),
        (bytes(1_000_000), 413),
    ],
)
async def test_questions_of_the_evaluator(scene: SplitScene, body: bytes, status: int) -> None:
    await scene.start()
    found, answer = await ask(scene, "evaluator", "POST", EVALUATE, body, token=EVALUATOR_TOKEN)
    assert found == status
    if status == 200:
        assert len(answer) == 3 * len(body)


async def test_nobody_evaluates_without_a_right_to(scene: SplitScene) -> None:
    await scene.start()
    for token in (None, "wrong", BUCKETS_TOKEN):
        assert (await ask(scene, "evaluator", "POST", EVALUATE, QUESTION, token=token))[0] == 401
    assert scene.evaluator.evaluated["done"] == 0
    good = EVALUATOR_TOKEN
    other = "/ev/v1/evaluations/" + "0" * 16
    assert (await ask(scene, "evaluator", "POST", other, QUESTION, token=good))[0] == 404
    for headers in ({"Content-Type": "text/plain"}, {**OCTETS, "Content-Encoding": "gzip"}):
        status, _ = await ask(
            scene, "evaluator", "POST", EVALUATE, QUESTION, headers=headers, token=good
        )
        assert status == 415
    statuses = [
        (await ask(scene, "evaluator", "POST", EVALUATE, QUESTION, token="wrong"))[0]
        for _ in range(25)
    ]
    assert statuses[-1] == 429


async def test_what_the_services_describe(scene: SplitScene) -> None:
    await scene.start()
    _, body = await ask(scene, "evaluator", "GET", "/.well-known/spin-evaluator")
    (generation,) = json.loads(body)["generations"]
    assert generation == {"generation": GENERATION, "keys": KEYS}
    assert parse_evaluation_keys(generation["keys"]).generation == GENERATION
    await scene.filled(0)
    _, body = await ask(scene, "buckets", "GET", "/.well-known/spin-buckets")
    described = json.loads(body)
    held = {"generation": GENERATION, "prefix_bits": 0, "complete": True}
    assert described["generations"] == [held]
    assert described["bucket_octets"] == BUCKET_OCTETS
    for service in ("evaluator", "buckets"):
        _, body = await ask(scene, service, "GET", "/openapi.json")
        assert json.loads(body)["openapi"] == "3.1.0"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{GENERATION}/0/0", 200),
        (f"{GENERATION}/0/1", 404),
        (f"{GENERATION}/1/0", 409),
        (f"{GENERATION}/33/0", 404),
        (f"{GENERATION}/32/4294967296", 404),
        (f"{GENERATION}/0/-1", 404),
        (f"{GENERATION}/0/0/0", 404),
        (f"{GENERATION}/0/%D9%A0", 404),
        ("0" * 16 + "/0/0", 404),
        ("../../etc/passwd", 404),
        ("%00", 404),
    ],
)
async def test_buckets_that_there_are_and_are_not(
    scene: SplitScene, path: str, status: int
) -> None:
    await scene.start()
    await scene.filled(0)
    found, body = await ask(scene, "buckets", "GET", f"/sb/v1/buckets/{path}")
    assert found == status
    assert status != 200 or len(body) == BUCKET_OCTETS


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", ENTRIES, ENTRY, 200),
        ("PUT", ENTRIES, b"", 400),
        ("PUT", ENTRIES, ENTRY[:-1], 400),
        ("PUT", ENTRIES, encode_entries([(bytes(32), b"short")]), 400),
        ("PUT", ENTRIES, ENTRY * 17, 400),
        ("PUT", ENTRIES, bytes(1_000_000), 413),
        ("PUT", "/sb/v1/entries/xyz", ENTRY, 404),
        ("DELETE", ENTRIES, bytes(32), 200),
        ("DELETE", ENTRIES, bytes(31), 400),
        ("DELETE", ENTRIES, b"", 400),
        ("DELETE", ENTRIES, bytes(32 * 17), 413),
        ("PATCH", ENTRIES, b"", 405),
    ],
)
async def test_what_is_written_and_what_is_not(
    scene: SplitScene, method: str, path: str, body: bytes, status: int
) -> None:
    await scene.start()
    await scene.filled(0)
    if status != 405:
        refused = 404 if status == 404 else 401
        assert (await ask(scene, "buckets", method, path, body))[0] == refused
        assert (await ask(scene, "buckets", method, path, body, token="wrong"))[0] == refused
    found, _ = await ask(scene, "buckets", method, path, body, token=BUCKETS_TOKEN)
    assert found == status


async def test_a_full_store_and_a_greedy_reader_are_told_so(scene: SplitScene) -> None:
    scene.make_world()
    await scene.start_evaluator()
    await scene.start_buckets(max_entries=1, reads_burst=3, reads_per_second=0.001)
    await scene.start_directory()
    await scene.filled(0)
    two = encode_entries([(bytes(32), bytes(SMALL)), (b"1" * 32, bytes(SMALL))])
    assert (await ask(scene, "buckets", "PUT", ENTRIES, two, token=BUCKETS_TOKEN))[0] == 409
    assert scene.buckets.store.entries == 0
    assert (await ask(scene, "buckets", "PUT", ENTRIES, ENTRY, token=BUCKETS_TOKEN))[0] == 200
    path = f"/sb/v1/buckets/{GENERATION}/0/0"
    statuses = [(await ask(scene, "buckets", "GET", path))[0] for _ in range(4)]
    assert statuses == [200, 200, 200, 429]


async def run(scene: SplitScene, command: str, text: str) -> dict[str, Any]:
    file = scene.folder / f"{command}.toml"
    file.write_text(text)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "directory", command, "-c", str(file), "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    line = json.loads(await process.stdout.readline())
    process.send_signal(signal.SIGTERM)
    _, error = await process.communicate()
    assert (process.returncode, b"Traceback" in error) == (0, False)
    return dict(line)


async def test_both_run_from_their_files_and_stop(scene: SplitScene) -> None:
    scene.make_world()
    code, said, _ = await spingate("evaluator-key", str(scene.folder / "new.secret"), "--json")
    assert code == 0
    assert (await spingate("evaluator-key", str(scene.folder / "new.secret"), "--json"))[1] == said
    assert (scene.folder / "new.secret").stat().st_mode & 0o077 == 0
    assert parse_evaluation_keys(said[0]["keys"]).generation == said[0]["generation"]
    (scene.folder / "token").write_text("a-token-that-is-long-enough\n")
    common = 'address = "127.0.0.1"\ncertificate = "https.pem"\nkey = "https.key"\n'
    evaluator = f"""[evaluator]
url = "{scene.url("evaluator")}"
port = {scene.ports["evaluator"]}
state_directory = "run-a"
{common}
[[evaluator.generation]]
secret_file = "new.secret"
[[evaluator.peer]]
name = "alpha"
token_file = "token"
"""
    buckets = f"""[buckets]
url = "{scene.url("buckets")}"
port = {scene.ports["buckets"]}
state_directory = "run-b"
token_file = "token"
{common}"""
    for command, text in (("evaluator", evaluator), ("buckets", buckets)):
        said_first = await run(scene, command, text)
        assert said_first["port"] == scene.ports[command]


@pytest.mark.parametrize(
    ("command", "wrong"),
    [("evaluator", "[evaluator]\n"), ("buckets", "[buckets]\n"), ("evaluator", "nonsense")],
)
async def test_a_wrong_file_is_one_line_and_exit_2(
    tmp_path: Path, command: str, wrong: str
) -> None:
    (tmp_path / "wrong.toml").write_text(wrong)
    code, lines, error = await spingate(command, "-c", str(tmp_path / "wrong.toml"))
    assert (code, lines) == (2, [])
    assert error.startswith("spingate:")


async def test_a_file_that_holds_no_secret_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("0123\n")
    code, lines, error = await spingate("evaluator-key", str(tmp_path / "bad"))
    assert (code, lines) == (2, [])
    assert "64 hexadecimal digits" in error
    assert "0123" not in error
