"""The revocation check as the configuration makes it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from pydantic import ValidationError

from gateway.config.load import ConfigError
from gateway.config.revocation import Revocation, Transparency
from gateway.revocation_making import load_administrators, load_logs, make_records, make_revocation
from gateway.verification_making import make_verification
from tests.support.call_scene import make_config
from tests.support.stir_authority import StirWorld, to_pem
from tests.unit.gateway.test_services import NO_KEYS

WORLD = StirWorld()
URL = "https://sti-pa.example/crl"


class NoDns:
    async def addresses(self, name: str) -> tuple[str, ...]:
        raise AssertionError("nobody is asked")


def administered(path: Path) -> Revocation:
    return Revocation.model_validate({"administrator": [{"url": URL, "certificates": [path]}]})


def test_an_administrators_certificates_are_read(tmp_path: Path) -> None:
    path = tmp_path / "pa.pem"
    path.write_bytes(to_pem(list(WORLD.root.certificates)))
    [found] = load_administrators(administered(path))
    assert (found.url, found.certificates) == (URL, WORLD.root.certificates)


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"junk", "not a PEM chain"), (to_pem([WORLD.credential.leaf]), "cRLSign")],
)
def test_a_certificate_that_signs_no_lists_is_the_configurations_fault(
    tmp_path: Path, content: bytes, text: str
) -> None:
    path = tmp_path / "pa.pem"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=text) as caught:
        load_administrators(administered(path))
    assert caught.value.key == "stir.revocation.administrator[0].certificates[0]"


@pytest.mark.parametrize("url", ["http://a.example/x", "https://a.example/x?y", "ldap://x", ""])
def test_a_list_url_is_plain_https(url: str) -> None:
    section: dict[str, Any] = {"administrator": [{"url": url, "certificates": ["a.pem"]}]}
    with pytest.raises(ValidationError):
        Revocation.model_validate(section)


def test_off_asks_nobody() -> None:
    config = make_config()
    records = make_records(Revocation(mode="off"), ())
    assert records is None
    verification = make_verification(config, NO_KEYS, records)
    assert make_revocation(config, records, verification, NoDns(), time.time) is None


@pytest.mark.parametrize("allow_http", [True, False])
async def test_the_service_is_made_with_the_records_of_the_verification(allow_http: bool) -> None:
    base = make_config().model_dump()
    config = make_config(stir={**base["stir"], "revocation": {"allow_http": allow_http}})
    records = make_records(config.stir.revocation, ())
    verification = make_verification(config, NO_KEYS, records)
    service = make_revocation(config, records, verification, NoDns(), time.time)
    assert service is not None
    await service.stop()


# --- transparency --------------------------------------------------------------------------------


def logs_of(path: Path, **changes: Any) -> Transparency:
    return Transparency.model_validate({"log": [{"name": "a log", "key": path}], **changes})


def test_the_keys_of_logs_are_read(tmp_path: Path) -> None:
    path = tmp_path / "log.pem"
    spki = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    path.write_bytes(WORLD.key.public_key().public_bytes(*spki))
    [log] = load_logs(logs_of(path))
    assert (log.name, log.key) == ("a log", WORLD.key.public_key())
    path.write_text("junk")
    with pytest.raises(ConfigError, match="not a public key") as caught:
        load_logs(logs_of(path))
    assert caught.value.key == "stir.transparency.log[0].key"


def test_more_logs_than_there_are_cannot_be_required() -> None:
    assert logs_of(Path("log.pem"), require=1).require == 1
    with pytest.raises(ValidationError, match="only 1 operators"):
        logs_of(Path("log.pem"), require=2)
