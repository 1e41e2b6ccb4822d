"""The log that a directory keeps, made of its configuration: what to log to, and what to serve."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from discovery.log.cosignature import parse_witness
from discovery.log.note import NoteSigner
from discovery.log.vrf import VrfSecret
from gateway.config.directory import DirectoryConfig
from gateway.config.load import ConfigError
from gateway.config.transparency_log import TransparencyLog
from gateway.directory_log.http import LogFiles, log_application
from gateway.directory_log.keys import load_key, own_key
from gateway.directory_log.label_proofs import LabelProofs
from gateway.directory_log.log import DirectoryLog, LogSettings
from gateway.directory_log.sink import DirectoryLogSink
from gateway.directory_log.store import LogCorrupted, LogStore
from gateway.directory_log.witness_client import WitnessClient
from gateway.http.fetch import client_context
from gateway.http.service_client import ServiceClient
from gateway.keys import derived_key
from gateway.metrics import Exposition
from gateway.services import dns_resolver

PREFIX: Final = "/log"
_KEY: Final = "log.key"


class KeptLog:
    """A directory's log: `sink` takes entries, `application` is mounted under /log.

    `running` is entered while the directory runs, `close` called in the end.
    Raises ConfigError from the constructor.
    """

    def __init__(self, config: DirectoryConfig, section: TransparencyLog) -> None:
        state = config.directory.state_directory
        signer = NoteSigner(_origin(config, section), _key(section.key, state))
        folder = section.folder or state / "log"
        try:
            store = LogStore(folder, signer.verifier)
        except BlockingIOError:
            raise ConfigError(
                "transparency_log.folder", f"{folder} is in use: does this directory run already?"
            ) from None
        except OSError as error:
            detail = f"{folder}: {error.strerror}"
            raise ConfigError("transparency_log.folder", detail) from None
        except LogCorrupted as error:
            raise ConfigError("transparency_log.folder", str(error)) from None
        self._dns = dns_resolver(config.dns)
        self._http = ServiceClient(self._dns, client_context(None))
        self._log = DirectoryLog(
            store,
            signer,
            [
                WitnessClient(self._http, each.url, parse_witness(each.key))
                for each in section.witness
            ],
            _settings(section),
        )
        self._proofs = _label_proofs(folder)
        self.sink = DirectoryLogSink(
            self._log,
            VrfSecret(derived_key(state, "directory log labels")),
            derived_key(state, "directory log nonces"),
            self._proofs,
        )
        self.application: web.Application = log_application(store)
        self.files = LogFiles(store)

    @property
    def halted(self) -> str:
        """Why the log signs nothing any more; empty while it does."""
        return self._log.halted

    def measure(self, exposition: Exposition) -> None:
        """Add what can be counted."""
        self._log.measure(exposition)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take entries until left."""
        task = asyncio.create_task(self._log.run(), name="directory log")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def close(self) -> None:
        """Close the files and connections."""
        self._log.store.close()
        self._proofs.close()
        await self._http.close()
        await self._dns.close()


def _label_proofs(folder: Path) -> LabelProofs:
    path = folder / "label-proofs"
    try:
        return LabelProofs(path)
    except OSError as error:
        raise ConfigError("transparency_log.folder", f"{path}: {error.strerror}") from None


def _settings(section: TransparencyLog) -> LogSettings:
    return LogSettings(
        interval=section.interval_seconds,
        max_waiting=section.max_waiting,
        quorum=min(len(section.witness), 1) if section.quorum is None else section.quorum,
        refresh=section.refresh_seconds,
        publish_wait=section.publish_wait_seconds,
    )


def _origin(config: DirectoryConfig, section: TransparencyLog) -> str:
    return section.origin or config.directory.url.partition("://")[2].rstrip("/") + PREFIX


def _key(path: Path | None, state: Path) -> Ed25519PrivateKey:
    if path is None:
        return own_key(state / _KEY, "directory.state_directory")
    return load_key(path, "transparency_log.key")
