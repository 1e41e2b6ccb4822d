"""The directory of the scene: its keys, its process, and what a provider needs to join it."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from discovery.log.note import NoteSigner
from gateway.config.directory import DirectoryConfig
from gateway.config.load import load_file
from gateway.demo.keys import Authorities, write_secret_file
from gateway.demo.process import ServerProcess
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
[discovery.directory]
owner_trust_anchors = ["keys/number-root.pem"]
trust_anchors = "keys/tls-root.pem"
require_logged = true

[[discovery.directory.server]]
url = "{url}"
key = "{key}"
token_file = "keys/directory.token"
log_keys = ["{log_key}"]
"""


@dataclass(frozen=True, slots=True)
class DirectoryFacts:
    """What providers are told of a directory: thumbprint of its key, and its log's key."""

    key: str
    log_key: str

    def joining(self) -> str:
        """Return the section that a provider's configuration gains."""
        return _JOIN.format(url=URL, key=self.key, log_key=self.log_key)


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
        token = secrets.token_urlsafe(18).encode() + b"\n"
        write_secret_file(keys / f"{provider}.token", token)
        write_secret_file(scene / provider / "keys" / "directory.token", token)
        write_secret_file(scene / provider / "keys" / "number-root.pem", root.certificate_pem)
    verifier = NoteSigner(_LOG, log).verifier
    return DirectoryFacts(EcSigner(answers).public.thumbprint, str(verifier))


class DirectoryProcess(ServerProcess):
    """`spingate directory run` with a configuration file."""

    def __init__(self, config_file: Path) -> None:
        self.config: DirectoryConfig = load_file(config_file, DirectoryConfig, {})
        super().__init__(
            f"{HOST}: the directory",
            ("directory", "run", "-c", str(config_file)),
            config_file.parent / "directory.log",
        )

    async def start(self) -> None:
        """Start it and wait until it takes connections; raises SceneError."""
        await self.launch(self._listens)

    async def _listens(self) -> bool:
        section = self.config.directory
        try:
            _, writer = await asyncio.open_connection(section.address, section.port)
        except OSError:
            return False
        writer.close()
        return True
