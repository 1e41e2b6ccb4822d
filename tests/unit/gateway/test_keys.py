"""Keys and certificates are read and held against each other before anything listens."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from gateway.config import Config, ConfigError
from gateway.keys import check_pair, derived_key, load_keys
from tests.support.call_scene import make_config
from tests.support.certificates import TestAuthority
from tests.support.stir_authority import URL, StirWorld, to_pem

WORLD = StirWorld()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with good TLS and STI files."""
    files = TestAuthority(tmp_path).issue("gw1.alpha.example")
    files.certificate.rename(tmp_path / "tls.pem")
    files.key.rename(tmp_path / "tls.key")
    assert WORLD.issued.key_pem is not None
    (tmp_path / "sti.pem").write_bytes(WORLD.issued.chain_pem)
    (tmp_path / "sti.key").write_bytes(WORLD.issued.key_pem)
    (tmp_path / "root.pem").write_bytes(to_pem(list(WORLD.root.certificates)))
    (tmp_path / "junk.pem").write_text("no certificate")
    return tmp_path


def configured(folder: Path, **stir: Any) -> Config:
    base = make_config().model_dump()
    peers = {**base["listen"][2], "certificate": folder / "tls.pem", "key": folder / "tls.key"}
    sections: dict[str, Any] = {
        "authentication": {
            "certificate": folder / "sti.pem",
            "key": folder / "sti.key",
            "x5u": URL,
        },
        "verification": {"trust_anchors": [folder / "root.pem"]},
        **stir,
    }
    return make_config(
        listen=[*base["listen"][:2], peers],
        stir={name: section for name, section in sections.items() if section is not None},
        admin={"token": "admin's"},
    )


def test_good_files_become_services_and_secrets(folder: Path) -> None:
    keys = load_keys(configured(folder))
    assert keys.authentication is not None
    assert len(keys.sti_trust_anchors) == 1
    assert keys.passwords["alice"] == "alice's password"
    assert (keys.admin_token, keys.smpp_password, keys.agent_token) == ("admin's", None, None)
    assert "alice's password" not in repr(keys)
    assert "admin's" not in repr(keys)


def test_without_stir_there_is_neither_signer_nor_anchor(folder: Path) -> None:
    keys = load_keys(configured(folder, authentication=None, verification=None))
    assert keys.authentication is None
    assert keys.sti_trust_anchors == ()


def test_a_signer_that_is_switched_off_is_not_loaded(folder: Path) -> None:
    off = {"certificate": folder / "x", "key": folder / "x", "x5u": URL, "enabled": False}
    assert load_keys(configured(folder, authentication=off)).authentication is None


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"certificate": "junk.pem"}, "stir.authentication.certificate"),
        ({"certificate": "absent.pem"}, "stir.authentication.certificate"),
        ({"key": "junk.pem"}, "stir.authentication.key"),
        ({"key": "tls.key"}, "stir.authentication.key"),
        ({"key": "absent.key"}, "stir.authentication.key"),
    ],
)
def test_a_wrong_sti_file_is_named_by_its_key(
    folder: Path, changes: dict[str, str], key: str
) -> None:
    names = {"certificate": "sti.pem", "key": "sti.key", **changes}
    section = {**{name: folder / file for name, file in names.items()}, "x5u": URL}
    with pytest.raises(ConfigError) as caught:
        load_keys(configured(folder, authentication=section))
    assert caught.value.key == key


def test_a_wrong_trust_anchor_is_named_with_its_place(folder: Path) -> None:
    anchors = {"trust_anchors": [folder / "root.pem", folder / "junk.pem"]}
    with pytest.raises(ConfigError) as caught:
        load_keys(configured(folder, verification=anchors))
    assert caught.value.key == "stir.verification.trust_anchors[1]"


@pytest.mark.parametrize(
    ("certificate", "key", "named", "said"),
    [
        ("tls.pem", "sti.key", "listen[0].key", "does not belong"),
        ("tls.pem", "junk.pem", "listen[0].key", "not a PEM private key"),
        ("junk.pem", "tls.key", "listen[0].certificate", "no PEM certificate"),
        ("absent.pem", "tls.key", "listen[0].certificate", "cannot be read"),
    ],
)
def test_a_servers_key_has_to_belong_to_its_certificate(
    folder: Path, certificate: str, key: str, named: str, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        check_pair(folder / certificate, folder / key, "listen[0]")
    assert caught.value.key == named
    assert said in caught.value.text


def test_keys_of_different_purposes_differ_and_stay_the_same(tmp_path: Path) -> None:
    state = tmp_path / "new" / "state"
    first = derived_key(state, "nonces")
    assert derived_key(state, "nonces") == first
    assert derived_key(state, "tokens") != first
    assert len(derived_key(state, "tokens", 16)) == 16
    assert [file.name for file in state.iterdir()] == ["secret"]
    assert (state / "secret").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"short"])
def test_a_damaged_secret_makes_no_keys_that_could_be_guessed(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "secret").write_bytes(content)
    with pytest.raises(ConfigError, match="damaged"):
        derived_key(tmp_path, "nonces")


def test_a_secret_that_another_process_made_meanwhile_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def slow(source: Path, target: Path) -> None:
        target.write_bytes(bytes(32))
        link(source, target)

    monkeypatch.setattr("gateway.keys.os.link", slow)
    derived_key(tmp_path, "nonces")
    assert (tmp_path / "secret").read_bytes() == bytes(32)
    assert [file.name for file in tmp_path.iterdir()] == ["secret"]


def test_a_state_directory_that_cannot_be_made_is_the_configurations_fault(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError) as caught:
        derived_key(tmp_path / "file", "nonces")
    assert caught.value.key == "provider.state_directory"
