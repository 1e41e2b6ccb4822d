"""`spingate directory witness`: cosign the checkpoints of others' logs (c2sp.org/tlog-witness)."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from discovery.log.cosignature import Cosigner
from discovery.log.note import VerifierKey, parse_verifier
from discovery.log.reason import LogRefused
from discovery.log.witness import Witness
from gateway.cli.output import console, emit_json, usage_error
from gateway.cli.run import Json
from gateway.config import ConfigError
from gateway.directory_log.keys import own_key
from gateway.directory_log.witness_server import WitnessServer, WitnessStore
from gateway.http.listener import HttpListener
from gateway.services import server_context


def witness(
    name: Annotated[str, typer.Option(help="Name of the witness: witness.example/w1")],
    log_key: Annotated[
        list[str], typer.Option(help="Public key (name+id+key) of a log; may be repeated.")
    ],
    state: Annotated[Path, typer.Option(help="Folder of the key and of what was cosigned.")],
    address: Annotated[str, typer.Option(help="Address to bind.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to bind.", min=0, max=65_535)] = 8447,
    certificate: Annotated[
        Path | None, typer.Option(help="PEM chain for HTTPS; none only on this machine.")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="PEM private key of the certificate.")] = None,
    as_json: Json = False,
) -> None:
    """Run a witness until it is told to stop; its public key is printed first."""
    try:
        logs: dict[str, tuple[VerifierKey, ...]] = {}
        for each in map(parse_verifier, log_key):
            logs[each.name] = (*logs.get(each.name, ()), each)
        if certificate is None and not ipaddress.ip_address(address).is_loopback:
            raise ValueError("--certificate and --key are needed for any but a loopback address")
        if (certificate is None) != (key is None):
            raise ValueError("--certificate and --key go together")
        cosigner = Cosigner(name, own_key(state / "witness.key", "--state"))
        server = WitnessServer(Witness(cosigner, logs), WitnessStore(state))
        tls = server_context(certificate, key) if certificate and key else None
        listener = HttpListener(server.application(), address, port, tls=tls)
        uvloop.run(_serve(listener, str(cosigner.verifier), as_json))
    except LogRefused as error:
        usage_error(f"--log-key: {error.detail}")
    except (ConfigError, ValueError, OSError) as error:
        usage_error(str(error))


async def _serve(listener: HttpListener, key: str, as_json: bool) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await listener.start()
    try:
        if as_json:
            place = {"address": listener.host, "port": listener.port}
            emit_json({"event": "serving", "key": key, **place})
        else:
            console.print(f"Witness {key} at {listener.host}:{listener.port}", soft_wrap=True)
        await stopped.wait()
    finally:
        await listener.stop()
