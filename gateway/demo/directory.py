"""The directory of the scene: its keys, its process, and what a provider needs to join it."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from discovery.log.note import NoteSigner
from gateway.config.directory import DirectoryConfig
from gateway.config.load import load_file
from gateway.demo.keys import Authorities, write_secret_file
from gateway.demo.oblivious import ISSUER_URL, RELAY_URL
from gateway.demo.process import ListeningProcess
from gateway.directory.keys import EcSigner
from stir.certificates.issuing import (
    issue_tls_certificate,
    key_to_pem,
    make_intermediate,
    make_root,
    new_key,
    to_pem,
)

HOST: Final = "dp.example"
URL: Final = "https://dp.example:8446"
_LOG: Final = "dp.example:8446/log"

# What a provider adds to its configuration to join.
_JOIN: Final = """
[discovery.directory] # records signed by the owners of numbers
owner_trust_anchors = ["keys/number-root.pem"]
trust_anchors = "keys/tls-root.pem"
require_logged = true # nothing is believed that the log does not show

[[discovery.directory.server]] # its keys are pinned: what signs answers, log and labels
url = "{url}"
key = "{key}"
log_keys = ["{log_key}"]
log_witnesses = ["{witness}"]
log_labels = "{labels}"

[discovery.directory.server.oblivious] # through a relay, for tokens: it never knows who asks
relay = "{relay}"
keys_file = "keys/dp.ohttp-keys"
issuer = "{issuer}"
issuer_keys = ["{issuer_key}"]
token_file = "keys/tokens.token"
tokens = 20
batch = 5
interval_seconds = 5.0
"""

# What the directory adds to its configuration to have its log witnessed.
_WITNESSED: Final = """
[[transparency_log.witness]]
url = "{url}"
key = "{key}"
"""


@dataclass(frozen=True, slots=True)
class DirectoryFacts:
    """What providers are told of a directory: thumbprint of its key, and its log's key."""

    key: str
    log_key: str


@dataclass(frozen=True, slots=True)
class Joining:
    """What a provider pins: the facts, the witness, the issuer's key, and what is published."""

    facts: DirectoryFacts
    witness: str
    issuer_key: str
    description: Mapping[str, Any]

    @property
    def ohttp_keys(self) -> bytes:
        """The directory's key configurations, to be kept in a file."""
        return base64.b64decode(self.description["ohttp"]["keys"])

    def section(self) -> str:
        """Return what a provider's configuration gains."""
        return _JOIN.format(
            url=URL,
            key=self.facts.key,
            log_key=self.facts.log_key,
            witness=self.witness,
            labels=self.description["log_labels"],
            relay=RELAY_URL,
            issuer=ISSUER_URL,
            issuer_key=self.issuer_key,
        )


def witnessed(url: str, key: str) -> str:
    """Return what the directory's configuration gains by a witness."""
    return _WITNESSED.format(url=url, key=key)


def write_directory_keys(
    scene: Path, authorities: Authorities, providers: tuple[str, ...], now: float
) -> DirectoryFacts:
    """Write the directory's `keys` folder, and what each provider is given, below `scene`."""
    keys = scene / "dp" / "keys"
    tls = issue_tls_certificate(authorities.tls, now, dns_names=[HOST])
    assert tls.key_pem is not None
    root = make_root("Development Number Root", now)
    numbers = make_intermediate(root, "Development Number CA", now)
    answers, log = new_key(), Ed25519PrivateKey.generate()
    for name, octets in (
        ("https.pem", tls.chain_pem),
        ("https.key", tls.key_pem),
        ("number-ca.pem", to_pem(numbers.certificates)),
        ("number-ca.key", numbers.key_pem),
        ("answers.key", key_to_pem(answers)),
        ("log.key", log.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())),
        # SMPP 3.4 section 5.2.2 leaves eight characters for a password.
        ("smpp.password", secrets.token_hex(4).encode() + b"\n"),
    ):
        write_secret_file(keys / name, octets)
    for provider in providers:
        write_secret_file(scene / provider / "keys" / "number-root.pem", root.certificate_pem)
    verifier = NoteSigner(_LOG, log).verifier
    return DirectoryFacts(EcSigner(answers).public.thumbprint, str(verifier))


def directory_process(config_file: Path) -> ListeningProcess:
    """Return `spingate directory run` with a configuration file."""
    section = load_file(config_file, DirectoryConfig, {}).directory
    return ListeningProcess(
        f"directory {URL}, with an authority for numbers and a log",
        ("directory", "run", "-c", str(config_file)),
        config_file.parent / "directory.log",
        section.address,
        section.port,
    )
