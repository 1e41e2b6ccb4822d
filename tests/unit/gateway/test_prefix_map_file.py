"""The prefix map as a file: taken when it changes, never an older one; log terms."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from discovery.directory.identifier import parse_identifier
from discovery.directory.prefix_map import (
    DirectoryName,
    LogTerms,
    PrefixMap,
    read_prefix_map,
    sign_prefix_map,
)
from discovery.directory.reason import Refusal, Refused
from discovery.log.reason import LogRefusal
from gateway.config.directory_client import DirectoryClientSection
from gateway.config.load import ConfigError
from gateway.directory.keys import EcSigner
from gateway.directory_log.trust import with_named
from gateway.prefix_map_file import PrefixMapFile, open_prefix_map
from stir.certificates.issuing import new_key
from tests.support.directory_world import NOW, NUMBER, Clock
from tests.support.log_world import cosigner, log_signer

AUTHORITY = EcSigner(new_key())
TERMS = LogTerms((str(log_signer().verifier),), None, (str(cosigner(1).verifier),), 1)
CSI = parse_identifier(NUMBER)


def named(host: str, log: LogTerms | None = None) -> DirectoryName:
    return DirectoryName(f"https://{host}.example", AUTHORITY.public.thumbprint, log)


class Published:
    """A map's file, and whoever follows it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "map.jws"
        self.clock = Clock()
        self.publish("first", NOW - 50)
        self.file = PrefixMapFile(self.path, AUTHORITY.public, self.clock)

    def publish(self, host: str, at: float, signer: EcSigner = AUTHORITY) -> None:
        prefixes = PrefixMap(int(at), int(NOW) + 3_600, {"+": (named(host),)})
        fresh = self.path.with_suffix(".new")
        fresh.write_text(sign_prefix_map(prefixes, signer) + "\n")
        fresh.replace(self.path)

    def url(self) -> str | None:
        """Whom the map in force names, after a second."""
        self.file._looked_at -= 1.0
        current = self.file.current()
        return None if current is None else current.directories(CSI)[0].url


def test_a_newer_map_is_taken_and_others_change_nothing(tmp_path: Path) -> None:
    published = Published(tmp_path)
    assert published.url() == "https://first.example"
    published.publish("older", NOW - 60)
    assert published.url() == "https://first.example"
    published.publish("stranger", NOW - 10, EcSigner(new_key()))
    assert published.url() == "https://first.example"
    published.path.write_bytes(b"\xff")
    assert published.url() == "https://first.example"
    published.path.unlink()
    assert published.url() == "https://first.example"
    published.publish("newer", NOW - 20)
    assert published.url() == "https://newer.example"


def test_an_expired_map_names_nobody_until_another_comes(tmp_path: Path) -> None:
    published = Published(tmp_path)
    published.clock.now = NOW + 3_601
    assert published.url() is None


@pytest.mark.parametrize("missing", [True, False])
def test_a_map_that_is_wrong_from_the_start_is_a_wrong_configuration(
    tmp_path: Path, missing: bool
) -> None:
    from cryptography.hazmat.primitives import serialization

    pem = AUTHORITY.public.public_key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (tmp_path / "map.pem").write_bytes(pem)
    if not missing:
        (tmp_path / "map.jws").write_text("no map")
    settings = SimpleNamespace(prefix_map=tmp_path / "map.jws", prefix_map_key=tmp_path / "map.pem")
    with pytest.raises(ConfigError, match=r"discovery\.directory\.prefix_map"):
        open_prefix_map(cast(DirectoryClientSection, settings), lambda: NOW)


def test_what_a_map_demands_of_a_log_is_signed_with_it_and_trusted() -> None:
    name = named("dp", TERMS)
    prefixes = PrefixMap(int(NOW), int(NOW) + 60, {"+": (name,)})
    read = read_prefix_map(sign_prefix_map(prefixes, AUTHORITY), AUTHORITY.public, NOW)
    assert read.directories(CSI) == (name,)
    logs = with_named(None, read.directories(CSI))
    assert logs is not None
    why = logs.refusal(name.url, CSI, "digest", {}, NOW)
    assert why is not None
    assert why.reason is LogRefusal.MALFORMED  # of a log that is known
    other = logs.refusal("https://other.example", CSI, "digest", {}, NOW)
    assert other is not None
    assert other.reason is LogRefusal.UNKNOWN_LOG


def test_terms_that_no_log_can_meet_are_a_wrong_configuration() -> None:
    with pytest.raises(ConfigError, match="quorum"):
        with_named(None, (named("dp", LogTerms(TERMS.keys, quorum=2)),))


@pytest.mark.parametrize(
    "terms",
    [
        LogTerms(()),
        LogTerms(("k",) * 5),
        LogTerms(("k",), "no hex"),
        LogTerms(("k",), None, ("w",) * 17),
        LogTerms(("k" * 401,)),
    ],
)
def test_malformed_terms_are_refused(terms: LogTerms) -> None:
    prefixes = PrefixMap(int(NOW), int(NOW) + 60, {"+": (named("dp", terms),)})
    with pytest.raises(Refused) as caught:
        read_prefix_map(sign_prefix_map(prefixes, AUTHORITY), AUTHORITY.public, NOW)
    assert caught.value.reason is Refusal.MALFORMED
