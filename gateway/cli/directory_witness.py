"""`spingate directory witness`: cosign the checkpoints of others' logs (c2sp.org/tlog-witness)."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from discovery.log.cosignature import Cosigner
from discovery.log.note import VerifierKey, parse_verifier
from discovery.log.reason import LogRefused
from discovery.log.witness import Witness
from gateway.cli.gateway_options import Json
from gateway.cli.output import usage_error
from gateway.cli.serving import serve
from gateway.config import ConfigError
from gateway.config.root import Admin
from gateway.directory_log.keys import own_key
from gateway.directory_log.witness_server import WitnessServer, WitnessStore
from gateway.http.listener import HttpListener
from gateway.metrics import Exposition
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
    admin_port: Annotated[
        int | None, typer.Option(help="Port for metrics and health.", min=1, max=65_535)
    ] = None,
    admin_address: Annotated[str, typer.Option(help="Address of --admin-port.")] = "127.0.0.1",
    admin_token_file: Annotated[
        Path | None, typer.Option(help="File whose first line opens --admin-port.")
    ] = None,
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
        service, shown = _WitnessService(server, listener), str(cosigner.verifier)
        admin = _admin(admin_port, admin_address, admin_token_file)
        uvloop.run(
            serve(
                service,
                "witness",
                admin,
                f"Witness {shown}",
                as_json=as_json,
                more=lambda: {"key": shown},
            )
        )
    except LogRefused as error:
        usage_error(f"--log-key: {error.detail}")
    except (ConfigError, ValueError, OSError) as error:
        usage_error(str(error))


def _admin(port: int | None, address: str, token_file: Path | None) -> Admin | None:
    if (port is None) != (token_file is None):
        raise ValueError("--admin-port and --admin-token-file go together")
    ipaddress.ip_address(address)
    return None if port is None else Admin(address=address, port=port, token_file=token_file)


class _WitnessService:
    """A witness behind its listener."""

    def __init__(self, server: WitnessServer, listener: HttpListener) -> None:
        self._server = server
        self.listener = listener

    async def start(self) -> None:
        await self.listener.start()

    async def stop(self) -> None:
        await self.listener.stop()

    def measure(self, exposition: Exposition) -> None:
        text = "Checkpoints to cosign, by log and outcome"
        exposition.counts("checkpoints", text, ("log", "outcome"), lambda: self._server.outcomes)

    def health(self) -> str:
        return "ok"
