"""What `spingate directory check` says of the files of the services beside a directory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from discovery.privacy.rsa_numbers import RsaPrivateKey
from discovery.privacy.token_issuer import IssuerKey
from gateway.config.split_storage_services import BucketsConfig, EvaluatorConfig
from gateway.directory.checking import examine_directory
from gateway.directory.service_checking import (
    examine_buckets,
    examine_evaluator,
    examine_issuer,
    examine_relay,
)
from gateway.finding import Finding
from gateway.token_issuer.service import key_folder
from tests.interop.directory.test_command_line import spingate
from tests.interop.directory.test_operator_listeners import FILES, prepared
from tests.support.oblivious_services import (
    ISSUER,
    issuer_config,
    relay_config,
    tls_root,
    write_tls,
)
from tests.support.split_scene import KEYS, NEXT_KEYS, SplitScene

pytestmark = pytest.mark.real


async def outcomes(findings: AsyncIterator[Finding]) -> dict[str, Finding]:
    return {each.name: each async for each in findings}


@pytest.mark.parametrize("command", FILES)
async def test_one_command_knows_whose_file_it_is(tmp_path: Path, command: str) -> None:
    file, port = prepared(tmp_path, command)
    code, said, _ = await spingate("check", "-c", str(file), "--json")
    by_name = {each["name"]: each for each in said}
    assert by_name["admin"]["detail"] == f"metrics at 127.0.0.1:{port}"
    # The relay's target is away; for the others everything is there.
    failed = [each["name"] for each in said if each["outcome"] == "failed"]
    assert (code, failed) == ((1, ["target dp"]) if command == "relay" else (0, []))
    if command == "run":
        assert by_name["issuer tokens.example"]["outcome"] == "passed"


async def test_a_file_of_nobody_here_is_one_line(tmp_path: Path) -> None:
    for text, says in (
        ("[provider]\n", "spingate check -c"),
        ("[relay]\n[issuer]\n", "a file is for one"),
        ("[witness]\n", "directory: is missing"),
        ("[", "is not valid TOML"),
    ):
        (tmp_path / "x.toml").write_text(text)
        code, _, error = await spingate("check", "-c", str(tmp_path / "x.toml"))
        assert (code, says in error) == (2, True), error


async def test_an_issuer_without_a_key_is_told_how_to_make_one(tmp_path: Path) -> None:
    config = issuer_config(tmp_path, tls_root(tmp_path))
    found = await outcomes(examine_issuer(config))
    assert found["signing key"].outcome == "warning"
    assert "issuer-key" in found["signing key"].hint
    assert not (tmp_path / "issuer" / "keys").exists()  # looking makes nothing
    made = key_folder(config).make(0, 0)
    found = await outcomes(examine_issuer(config))
    assert found["signing key"].outcome == "passed"
    assert made.public.key_id
    assert found["TLS certificate"].outcome == "passed"
    named = config.model_copy(
        update={"issuer": config.issuer.model_copy(update={"name": "other.example"})}
    )
    found = await outcomes(examine_issuer(named))
    assert (found["TLS certificate"].outcome, ISSUER in found["TLS certificate"].detail) == (
        "warning",
        True,
    )


async def test_a_pair_that_does_not_belong_together_fails(tmp_path: Path) -> None:
    root = tls_root(tmp_path)
    other = write_tls(tmp_path, root, "other.example")
    config = relay_config(tmp_path, root, {"dp": "https://127.0.0.1:1"}, key=other["key"])
    found = await outcomes(examine_relay(config))
    assert found["TLS key"].outcome == "failed"


async def test_what_a_relay_leads_to_is_tried(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        scene = SplitScene(tmp_path, stack)
        scene.make_world()
        await scene.start_evaluator()
        await scene.start_buckets()
        gateway = "/.well-known/ohttp-gateway"
        targets = {
            "b": scene.url("buckets") + gateway,
            "a": scene.url("evaluator") + gateway,  # takes no tokens: it is no gateway
            "gone": f"https://127.0.0.1:1{gateway}",
        }
        config = relay_config(tmp_path, tls_root_of(scene), targets)
        found = await outcomes(examine_relay(config))
        assert found["target b"].outcome == "passed"
        assert (found["target a"].outcome, "404" in found["target a"].detail) == ("failed", True)
        assert found["target gone"].outcome == "failed"


def tls_root_of(scene: SplitScene) -> Any:
    """A root for the relay's own certificate; the scene's stays what targets are checked by."""
    kept = (scene.folder / "tls-root.pem").read_bytes()
    root = tls_root(scene.folder)
    (scene.folder / "tls-root.pem").write_bytes(kept)
    return root


async def test_a_directory_that_pins_other_keys_than_the_evaluator_has_is_told(
    tmp_path: Path,
) -> None:
    async with AsyncExitStack() as stack:
        scene = SplitScene(tmp_path, stack)
        world = scene.make_world()
        away = await outcomes(examine_directory(world.config))
        assert away["split storage"].outcome == "failed"
        await scene.start_evaluator()
        await scene.start_buckets()
        found = await outcomes(examine_directory(world.config))
        assert found["split storage"].outcome == "passed"
        section = world.config.split_storage
        assert section is not None
        pinned = section.model_copy(update={"evaluator_keys": (KEYS, NEXT_KEYS)})
        config = world.config.model_copy(update={"split_storage": pinned})
        found = await outcomes(examine_directory(config))
        assert "has no generation" in found["split storage"].detail


async def test_keys_and_tokens_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    tls = write_tls(tmp_path, tls_root(tmp_path), "127.0.0.1")
    common = {"address": "127.0.0.1", "state_directory": tmp_path, **tls}
    (tmp_path / "tokens.der").write_bytes(IssuerKey(RsaPrivateKey.generate()).public.spki)
    (tmp_path / "a.secret").write_text("1" * 64)
    evaluator = {
        **common,
        "url": "https://127.0.0.1:8450",
        "generation": ({"secret_file": tmp_path / "a.secret"},),
        "issuer": (
            {"name": "tokens.example", "key_file": tmp_path / "tokens.der"},
            {"name": "other.example", "key_file": tls["certificate"]},
        ),
    }
    made = EvaluatorConfig.model_validate({"evaluator": evaluator})
    found = await outcomes(examine_evaluator(made))
    assert found["TLS certificate"].outcome == "passed"
    assert found["issuer tokens.example"].outcome == "passed"
    assert "evaluator.issuer[1].key_file" in found["issuer other.example"].detail
    (tmp_path / "a.secret").write_text("1")
    assert (await outcomes(examine_evaluator(made)))["keys"].outcome == "failed"

    buckets = {**common, "url": "https://b.example", "token": "short"}
    admin = {"address": "192.0.2.1", "token": "x"}
    stored = BucketsConfig.model_validate({"buckets": buckets, "admin": admin})
    found = await outcomes(examine_buckets(stored))
    assert (found["token"].outcome, found["TLS certificate"].outcome) == ("failed", "warning")
    assert (found["admin"].outcome, "clear" in found["admin"].detail) == ("warning", True)
