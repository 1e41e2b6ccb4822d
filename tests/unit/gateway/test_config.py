"""The configuration file: whole, strict, and clear about what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from gateway.config import ConfigError, load_config
from gateway.config.base import NumberSet, split_endpoint
from gateway.config.directory import DirectoryConfig
from gateway.config.files import read_file, read_secret
from gateway.config.load import load_file
from gateway.config.oblivious_services import IssuerConfig, RelayConfig
from gateway.config.reference import WRITTEN
from gateway.config.split_storage_services import BucketsConfig, EvaluatorConfig

CONFIGS = Path(__file__).parents[3] / "configs"
DIRECTORIES = {"directory.toml", "dp.toml"}
ISSUERS = {"issuer.toml", "demo-issuer.toml"}
RELAYS = {"relay.toml", "demo-relay.toml"}
SPLIT_STORAGE = {"evaluator.toml", "buckets.toml"}
OTHERS = DIRECTORIES | ISSUERS | RELAYS | SPLIT_STORAGE
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


@pytest.mark.parametrize(
    "path",
    sorted(path for path in CONFIGS.glob("*.toml") if path.name not in OTHERS),
    ids=lambda path: path.name,
)
def test_every_shipped_configuration_loads(path: Path) -> None:
    config = load_config(path, {})
    assert config.provider.state_directory.is_absolute()


@pytest.mark.parametrize("name", sorted(DIRECTORIES))
def test_the_shipped_configurations_of_directories_load(name: str) -> None:
    config = load_file(CONFIGS / name, DirectoryConfig, {})
    assert config.directory.state_directory.is_absolute()
    assert config.authority is not None
    assert config.authority.certificate_days == 7.0


def test_the_shipped_configurations_of_issuers_and_relays_load() -> None:
    for name in sorted(ISSUERS):
        assert load_file(CONFIGS / name, IssuerConfig, {}).issuer.state_directory.is_absolute()
    for name in sorted(RELAYS):
        assert load_file(CONFIGS / name, RelayConfig, {}).relay.certificate.is_absolute()


def test_the_shipped_configurations_of_split_storage_load() -> None:
    evaluator = load_file(CONFIGS / "evaluator.toml", EvaluatorConfig, {}).evaluator
    buckets = load_file(CONFIGS / "buckets.toml", BucketsConfig, {}).buckets
    assert evaluator.state_directory.is_absolute()
    assert buckets.state_directory.is_absolute()


@pytest.mark.parametrize(("name", "written"), WRITTEN.items())
def test_the_annotated_examples_are_those_the_models_write(
    name: str, written: Callable[[], str]
) -> None:
    assert (CONFIGS / f"{name}.toml").read_text(encoding="utf-8") == written()


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
        (
            "\n[[trunk]]\nname='t'\nsources=['192.0.2.0/24']\nnumbers=['+12125550100']\n"
            "allow_prefixes=['44']\n",
            "trunk[0].allow_prefixes[0]",
            "beginning of an E.164",
        ),
        ("\n[[peer]]\nmax_calls = 1\n", "peer[0]", "matches nobody"),
        (
            "\n[[user]]\nusername='a'\npassword='p'\nnumbers=['+12125550200']\n",
            "configuration",
            "not in provider.numbers",
        ),
        (
            "\n[[user]]\nusername='a'\npassword='p'\nnumbers=['+12125550100']\n"
            "[[user]]\nusername='b'\npassword='p'\nnumbers=['+12125550100']\n",
            "configuration",
            "belongs to 'a' and 'b'",
        ),
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


@pytest.mark.parametrize(
    ("change", "key", "part"),
    [
        ("\n[[route]]\nnumbers=['+12125550100']\nuri='tel:{number}'\n", "route[0]", "sip:"),
        ("\n[[route]]\nnumbers=['+12125550100']\nuri='sip:{number}@'\n", "route[0]", "no URI"),
        (
            "\n[[route]]\nnumbers=['+12125550100']\nuri='sip:{number}@a.example;transport=ws'\n",
            "route[0]",
            "transport",
        ),
        ("\n[[trunk]]\nname='a'\nsources=['::/0']\nnumbers=['+12']\n", "trunk[0].numbers[0]", "+1"),
        (
            "\n[[trunk]]\nname='a'\nsources=['::/0']\nnumbers=['+129-+128']\n",
            "trunk[0].numbers[0]",
            "upwards",
        ),
        ("\n[[user]]\nusername='a'\nnumbers=['+12125550100']\n", "user[0]", "exactly one"),
        ("\n[admin]\n", "admin", "exactly one"),
        ("\n[spin]\ncallback_url='https://a.example'\n", "spin", "missing"),
        ("\n[provider.x]\n", "provider.x", "not a key"),
    ],
)
def test_what_could_not_work_is_refused_before_anything_listens(
    tmp_path: Path, change: str, key: str, part: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, MINIMAL + change), {})
    assert caught.value.key.startswith(key)
    assert part in caught.value.text


@pytest.mark.parametrize("name", ["two words", "", "x" * 65, "line\\nbreak", "\u00e4"])
def test_the_name_of_a_listener_fits_a_route_token(tmp_path: Path, name: str) -> None:
    text = MINIMAL.replace('name = "access"', f'name = "{name}"')
    with pytest.raises(ConfigError, match=r"listen\[0\]\.name"):
        load_config(write(tmp_path, text), {})


@pytest.mark.parametrize(
    ("advertise", "good"),
    [
        ("sip.edge.example", True),
        ("2001:db8::1", True),
        ("198.51.100.1", True),
        ("sip.edge.example:5060", False),
        ("[2001:db8::1]", False),
        ("", False),
    ],
)
def test_an_advertised_host_is_a_host_alone(tmp_path: Path, advertise: str, good: bool) -> None:
    path = write(tmp_path, MINIMAL + f'advertise = "{advertise}"\n')
    if good:
        assert load_config(path, {}).listen[0].advertise == advertise
    else:
        with pytest.raises(ConfigError, match=r"listen\[0\]: 'advertise'"):
            load_config(path, {})


@pytest.mark.parametrize("table", ["listen", "user", "trunk"])
def test_names_are_unique(tmp_path: Path, table: str) -> None:
    entries = {
        "listen": MINIMAL.partition("[[listen]]")[2],
        "user": "\nusername='access'\npassword='x'\nnumbers=['+12125550100']\n",
        "trunk": "\nname='access'\nsources=['::/0']\nnumbers=['+12125550100']\n",
    }
    text = MINIMAL + 2 * f"\n[[{table}]]\n{entries[table]}"
    with pytest.raises(ConfigError, match=f"{table}.. names 'access' twice"):
        load_config(write(tmp_path, text), {})


@pytest.mark.parametrize(
    "name", ["SPINGATE_LISTEN__9__PORT", "SPINGATE_LISTEN__X__PORT", "SPINGATE_LISTEN__PORT"]
)
def test_an_override_that_leads_nowhere_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        load_config(write(tmp_path, MINIMAL), {name: "1"})


def test_an_override_may_go_through_nothing_but_tables(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="SPINGATE_PROVIDER__DOMAIN__X"):
        load_config(write(tmp_path, MINIMAL), {"SPINGATE_PROVIDER__DOMAIN__X": "1"})


def test_an_override_that_is_no_toml_is_text(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, MINIMAL), {"SPINGATE_PROVIDER__DOMAIN": "other.example"})
    assert config.provider.domain == "other.example"


def test_a_file_of_other_octets_is_not_toml(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_config(path, {})


def test_a_secret_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(" s3cret \nsecond line\n")
    assert read_secret(None, path, "admin.token") == "s3cret"
    assert read_secret(SecretStr("given"), None, "admin.token") == "given"


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff", None])
def test_a_secret_that_is_not_there_is_told_without_showing_it(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"admin\.token_file"):
        read_secret(None, path, "admin.token")


def test_a_file_that_is_much_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(5 * 1024 * 1024)
    with pytest.raises(ConfigError, match="larger"):
        read_file(path, "stir.authentication.key")


@pytest.mark.parametrize(
    ("text", "pair"),
    [("192.0.2.53:53", ("192.0.2.53", 53)), ("[2001:db8::1]:5353", ("2001:db8::1", 5353))],
)
def test_an_endpoint_is_split_into_address_and_port(text: str, pair: tuple[str, int]) -> None:
    assert split_endpoint(text) == pair
