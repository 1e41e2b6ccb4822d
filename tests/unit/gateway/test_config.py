"""The configuration file: whole, strict, and clear about what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import ConfigError, load_config
from gateway.config.base import NumberSet
from gateway.config.reference import edge_toml

CONFIGS = Path(__file__).parents[3] / "configs"
MINIMAL = """
[provider]
domain = "edge.example"
numbers = ["+12125550100-+12125550199"]
state_directory = "state"

[[listen]]
name = "access"
role = "access"
transport = "udp"
address = "127.0.0.1"
port = 5060
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "edge.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.name)
def test_every_shipped_configuration_loads(path: Path) -> None:
    config = load_config(path, {})
    assert config.provider.state_directory.is_absolute()


def test_the_annotated_example_is_the_one_the_models_write() -> None:
    assert (CONFIGS / "edge.toml").read_text(encoding="utf-8") == edge_toml()


def test_a_minimal_file_is_enough(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, MINIMAL), {})
    assert config.provider.state_directory == tmp_path / "state"
    assert config.sip.max_transactions == 50_000


@pytest.mark.parametrize(
    ("change", "key", "part"),
    [
        ("\n[sip]\nt1_second = 1.0\n", "sip.t1_second", "not a key"),
        ("\n[sip]\nt1_seconds = '1'\n", "sip.t1_seconds", "number"),
        ("\n[sip]\nmax_calls = true\n", "sip.max_calls", "integer"),
        ("\n[[listen]]\nname = 'x'\n", "listen[1].role", "missing"),
        ("\n[[user]]\nusername='a'\nnumbers=['12125550100']\n", "user[0].numbers[0]", "E.164"),
        ("\n[[peer]]\nmax_calls = 1\n", "peer[0]", "matches nobody"),
        ("\n[dns]\nnameservers = ['localhost']\n", "dns.nameservers[0]", "ADDRESS:PORT"),
        ("\n[media]\nport_min = 5000\nport_max = 4000\n", "media", "above"),
        ("\nnonsense", "edge.toml", "TOML"),
    ],
)
def test_a_wrong_key_is_named_with_its_path(
    tmp_path: Path, change: str, key: str, part: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, MINIMAL + change), {})
    assert caught.value.key.endswith(key)
    assert part in caught.value.text
    assert "\n" not in str(caught.value) or key == "edge.toml"


def test_the_environment_overrides_keys_and_list_items(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL)
    environment = {"SPINGATE_SIP__MAX_CALLS": "7", "SPINGATE_LISTEN__0__ADDRESS": "127.0.0.9"}
    config = load_config(path, environment)
    assert config.sip.max_calls == 7
    assert config.listen[0].address == "127.0.0.9"


def test_an_override_of_an_unknown_key_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"sip\.max_cals"):
        load_config(write(tmp_path, MINIMAL), {"SPINGATE_SIP__MAX_CALS": "7"})


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "absent.toml", {})


def test_secrets_do_not_show_in_the_configuration(tmp_path: Path) -> None:
    text = MINIMAL + "\n[[user]]\nusername='a'\npassword='canary'\nnumbers=['+12125550100']\n"
    assert "canary" not in repr(load_config(write(tmp_path, text), {}))


def test_a_number_set_holds_its_ranges_and_nothing_else() -> None:
    numbers = NumberSet(("+12125550100-+12125550199", "+442079460000"))
    assert "+12125550150" in numbers
    assert "+442079460000" in numbers
    assert "+12125550200" not in numbers
    assert "+1212555015" not in numbers
    assert "+1212555015\u0660" not in numbers
    assert "12125550150" not in numbers
