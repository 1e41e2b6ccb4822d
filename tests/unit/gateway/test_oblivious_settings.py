"""[discovery.directory.server.oblivious]: what would undo it is refused before anything is sent."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from discovery.directory.prefix_map import DirectoryName, PrefixMap
from discovery.privacy.split_storage import blind_evaluator
from gateway.config.directory_client import DirectoryClientSection
from gateway.config.load import ConfigError
from gateway.config.split_storage import SplitStorageWay
from gateway.directory_making import _of_prefix_map, make_directory_source
from stir.certificates.issuing import make_root

KEY = "cfvGzCmxVjKyeomGY3lSvt8WDeZ_7lfYO7p0TkC6B-0"
KEYS = "AC0XACCPQMWtto8lYkrlshTqdnpuyU2CnT17XhrRum8+ITgoXwAIAAEAAQABAAM="
OBLIVIOUS = {
    "relay": "https://relay.example/relay/dp",
    "keys": KEYS,
    "issuer": "https://tokens.example",
    "issuer_keys": [KEY],
    "token": "token-of-client-alpha",
}


class Addresses:
    async def addresses(self, name: str) -> tuple[str, ...]:
        return ()


def section(server: dict[str, Any] | None = None, **oblivious: Any) -> DirectoryClientSection:
    given = {key: value for key, value in {**OBLIVIOUS, **oblivious}.items() if value is not None}
    made = {"url": "https://dp.example", "oblivious": given, **(server or {})}
    return DirectoryClientSection.model_validate(
        {"owner_trust_anchors": ("numbers.pem",), "server": (made,)}
    )


@pytest.mark.parametrize(
    ("server", "oblivious", "says"),
    [
        ({"token": "token-of-peer-alpha"}, {}, "would tell the directory who asks"),
        ({}, {"relay": "https://dp.example/relay/dp"}, "the directory's own"),
        ({}, {"relay": "http://relay.example/relay/dp"}, "plain https URL"),
        ({}, {"relay": None}, "relay"),
        ({}, {"issuer": None}, "issuer"),
        ({}, {"issuer_keys": []}, "issuer_keys"),
        ({}, {"issuer_keys": ["x"]}, "43 characters"),
        ({}, {"issuer_keys": [KEY[:-1] + "1"]}, "43 characters"),
        ({}, {"keys_file": Path("keys.ohttp")}, "one of 'keys'"),
        ({}, {"keys": "not base64!"}, "keys"),
        ({}, {"token_file": Path("token")}, "one of 'token'"),
        ({}, {"tokens": 5, "batch": 6}, "none would ever be bought"),
        ({}, {"tokens": 10_001}, "tokens"),
        ({}, {"interval_seconds": 0.1}, "interval_seconds"),
        ({}, {"fallback": "plain"}, "fallback"),
    ],
)
def test_a_section_that_would_not_hold_what_it_says_is_refused(
    server: dict[str, Any], oblivious: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValidationError, match=says):
        section(server, **oblivious)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"keys": "AAAA"}, "keys"),
        ({"keys": None, "keys_file": Path("absent.ohttp-keys")}, "keys_file"),
        ({"issuer": "https://tokens.example/path"}, "issuer"),
        ({"token": None, "token_file": Path("absent.token")}, "token_file"),
        ({"token": "two words\nand a line"}, "token"),
    ],
)
async def test_what_its_files_hold_is_read_before_anything_is_sent(
    tmp_path: Path, changes: dict[str, Any], key: str
) -> None:
    settings = section(None, **changes)
    (tmp_path / "numbers.pem").write_bytes(make_root("Numbers", time.time()).certificate_pem)
    settings = settings.model_copy(update={"owner_trust_anchors": (tmp_path / "numbers.pem",)})
    with pytest.raises(ConfigError) as refused:
        make_directory_source(settings, Addresses())
    assert refused.value.key == f"discovery.directory.server[0].oblivious.{key}"
    assert "token-of" not in str(refused.value)


@pytest.mark.parametrize(
    ("oblivious", "ask_unlisted", "asked"),
    [
        (True, None, {"https://dp.example"}),
        (True, True, {"https://dp.example", "https://other.example"}),
        (False, None, {"https://dp.example", "https://other.example"}),
        (False, False, {"https://dp.example"}),
    ],
)
def test_a_map_leads_to_no_directory_that_would_learn_who_asks(
    oblivious: bool, ask_unlisted: bool | None, asked: set[str]
) -> None:
    names = tuple(DirectoryName(f"https://{host}.example", KEY) for host in ("dp", "other"))
    prefixes = PrefixMap(0, 1, {"+": names})
    settings = section(None if oblivious else {"oblivious": None})
    settings = settings.model_copy(update={"ask_unlisted": ask_unlisted})
    assert set(_of_prefix_map(settings, prefixes)) == asked


def test_a_map_leads_nobody_who_uses_split_storage_to_a_directory_plainly() -> None:
    names = tuple(DirectoryName(f"https://{host}.example", KEY) for host in ("dp", "other"))
    split = SplitStorageWay.model_validate(
        {
            "evaluator": "https://evaluator.example",
            "evaluator_keys": (str(blind_evaluator(b"x" * 32).public_keys),),
            "token": "token-for-the-evaluator",
            "buckets": "https://buckets.example",
        }
    )
    settings = section({"oblivious": None, "split_storage": split})
    asked = _of_prefix_map(settings, PrefixMap(0, 1, {"+": names}))
    assert set(asked) == {"https://dp.example"}
