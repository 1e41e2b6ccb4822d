"""What commands say to people."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import BaseModel

from gateway.cli import demo, discover, show
from gateway.config import Config, ConfigError, load_config
from gateway.config.directory import DirectoryConfig
from gateway.config.load import cannot_bind, load_file
from gateway.config.oblivious_services import IssuerConfig, RelayConfig
from gateway.config.split_storage_services import BucketsConfig, EvaluatorConfig
from gateway.directory.owner import CodeNeeded


@pytest.mark.parametrize(
    ("outcome", "says"),
    [("declined", "its owner wants not to be found"), ("not found", "not found")],
)
def test_an_opted_out_number_is_not_called_unknown(
    outcome: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = {"source": "directory", "outcome": outcome, "detail": "", "seconds": 0.0}
    discover._tell({"asked": [asked], "uris": []})
    assert capsys.readouterr().out.splitlines()[-1] == f" {says}"


def test_lists_are_shown_as_lines_rather_than_as_json() -> None:
    assert show._text(["sip:+14155550100@alpha.example", "mimi://alpha.example/u/a"]) == (
        "sip:+14155550100@alpha.example\nmimi://alpha.example/u/a"
    )
    assert show._text([1, 2]) == "[1,2]"


def test_codes_under_way_are_counted() -> None:
    assert str(CodeNeeded(1)) == "a code is under way by message"
    assert str(CodeNeeded(2)) == "2 codes are under way by message"


def test_the_demo_names_the_program_as_it_is_typed_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / ".venv" / "bin" / "spingate"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    assert demo._typed(".venv/bin/spingate") == ".venv/bin/spingate"
    assert demo._typed("/elsewhere/gateway/__main__.py") == "python -m gateway"
    monkeypatch.setenv("PATH", str(program.parent))
    assert demo._typed(str(program)) == "spingate"
    assert demo._shown(tmp_path / "demo") == Path("demo")
    assert demo._shown(Path("/var/demo")) == Path("/var/demo")


def test_a_default_is_not_taken_for_the_operators_wish() -> None:
    config = load_config(Path(__file__).parents[3] / "configs" / "alpha.toml")
    assert "order" not in config.discovery.model_fields_set
    assert config.provider.state_directory.is_absolute()


@pytest.mark.parametrize(
    ("model", "reference"),
    [
        (DirectoryConfig, "directory"),
        (IssuerConfig, "issuer"),
        (RelayConfig, "relay"),
        (EvaluatorConfig, "evaluator"),
        (BucketsConfig, "buckets"),
        (Config, "edge"),
    ],
)
def test_an_error_names_the_reference_of_its_own_file(
    model: type[BaseModel], reference: str, tmp_path: Path
) -> None:
    file = tmp_path / "service.toml"
    for text in ("[nonsense]\n", ""):
        file.write_text(text)
        with pytest.raises(ConfigError) as refused:
            load_file(file, model)
        assert f"see configs/{reference}.toml" in str(refused.value)
    assert (Path(__file__).parents[3] / "configs" / f"{reference}.toml").exists()


def test_a_port_in_use_is_said_in_words() -> None:
    error = OSError(98, "error while attempting to bind on address ('127.0.0.1', 8446): ...")
    assert str(cannot_bind("relay.port", error)) == (
        f"relay.port: cannot be bound ({os.strerror(98)})"
    )
