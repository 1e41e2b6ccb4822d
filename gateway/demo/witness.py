"""Somebody else who cosigns the log of the scene's directory (c2sp.org/tlog-witness)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from discovery.log.cosignature import Cosigner
from discovery.log.note import parse_verifier
from discovery.log.witness import Witness
from gateway.directory_log.keys import own_key
from gateway.directory_log.witness_server import WitnessServer, WitnessStore
from gateway.http.listener import HttpListener

_NAME: Final = "witness.example/w1"
_ADDRESS: Final = "127.0.0.1"  # the one where a witness is spoken to without TLS


class WitnessOfLog:
    """A witness that knows one log, by its key (name+id+key); state is kept in `folder`."""

    def __init__(self, folder: Path, log_key: str) -> None:
        log = parse_verifier(log_key)
        cosigner = Cosigner(_NAME, own_key(folder / "witness.key", "witness"))
        server = WitnessServer(Witness(cosigner, {log.name: (log,)}), WitnessStore(folder))
        self.key = str(cosigner.verifier)
        self._listener = HttpListener(server.application(), _ADDRESS, 0, tls=None)

    @property
    def url(self) -> str:
        """Where it takes checkpoints, once started."""
        return f"http://{_ADDRESS}:{self._listener.port}/"

    async def start(self) -> None:
        """Listen. Raises OSError."""
        await self._listener.start()

    async def stop(self) -> None:
        """Stop listening."""
        await self._listener.stop()
