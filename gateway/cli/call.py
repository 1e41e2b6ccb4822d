"""`spingate call`: a softphone test call through a gateway's own access listener."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.markup import escape

from gateway.cli.gateway_options import ConfigFile, Json, read_config
from gateway.cli.output import EXIT_FAILED, console, emit_json, failure, usage_error
from gateway.config import Config, ConfigError
from gateway.config.base import split_endpoint
from gateway.config.files import read_secret
from gateway.config.sip import Listen, User
from gateway.softphone.phone import CallError, PhoneCall, Softphone, SoftphoneError
from gateway.softphone.protocol import SoftphoneSettings
from gateway.softphone.tone import RecordingError, measure_file, write_tone

_TONE_HZ: Final = 440.0
_LOOPBACK_HOST: Final = 200


def call(
    number: Annotated[str, typer.Argument(help="The number to call.")],
    config: ConfigFile,
    sender: Annotated[str, typer.Option("--from", help="One of the configured users' numbers.")],
    seconds: Annotated[float, typer.Option(help="How long to talk.", min=0.5, max=600)] = 5.0,
    as_json: Json = False,
) -> None:
    """Place a call from a user's number with a softphone, and tell what was heard."""
    settings = read_config(config)
    user, index = _user(settings, sender)
    try:
        phone = _phone_settings(settings, user, index, sender)
    except ConfigError as error:
        usage_error(str(error))
    try:
        outcome = asyncio.run(_call(phone, number, seconds, quiet=as_json))
    except SoftphoneError as error:
        failure(str(error))
    if as_json:
        emit_json(outcome)
    raise typer.Exit(0 if outcome["answered"] else EXIT_FAILED)


def _user(config: Config, number: str) -> tuple[User, int]:
    owners = [(user, index) for index, user in enumerate(config.user) if number in user.numbers]
    if not owners:
        known = ", ".join(number for user in config.user for number in user.numbers) or "none"
        usage_error(f"--from {number} is no user's number; configured are: {known}")
    return owners[0]


def _phone_settings(config: Config, user: User, index: int, number: str) -> SoftphoneSettings:
    listeners = [listener for listener in config.listen if listener.role == "access"]
    if not listeners:
        raise ConfigError("listen", "has no listener with role 'access' to call through")
    listener = listeners[0]
    folder = Path(tempfile.mkdtemp(prefix="spingate-call-"))
    write_tone(folder / "tone.wav", _TONE_HZ, 10.0, sample_rate=8000)
    host = listener.advertise or listener.address
    nameservers = config.dns.nameservers
    return SoftphoneSettings(
        address_of_record=f"sip:{number}@{config.provider.domain}",
        transport=listener.transport,
        bind_address=_own_address(listener),
        username=user.username,
        password=read_secret(user.password, user.password_file, f"user[{index}].password"),
        proxy=f"sip:{host}:{listener.port};transport={listener.transport}",
        nameserver=split_endpoint(nameservers[0]) if nameservers else None,
        trust_anchor_file=config.sip.trust_anchors,
        srtp="mandatory" if user.media == "sdes" else "disabled",
        answer_after=None,
        play=folder / "tone.wav",
        record=folder / "heard.wav",
    )


def _own_address(listener: Listen) -> str:
    """The address this machine reaches the listener from.

    On loopback any address would do for SIP, but a gateway there lets media go only to its own
    network, so a neighbour of the listener is taken.
    """
    address = ipaddress.ip_address(listener.address)
    if address.is_loopback and address.version == 4:
        network = ipaddress.ip_network(f"{address}/24", strict=False)
        return str(network[_LOOPBACK_HOST])
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((listener.address, listener.port))
        return str(probe.getsockname()[0])


async def _call(
    settings: SoftphoneSettings, number: str, seconds: float, *, quiet: bool
) -> dict[str, Any]:
    started = time.time()

    def tell(text: str) -> None:
        if not quiet:
            console.print(f"[dim]{time.time() - started:7.3f}[/]  {escape(text)}")

    async with Softphone(settings) as phone:
        tell(f"{settings.address_of_record} calls {number}")
        placed = await phone.call(f"sip:{number}@{settings.domain}")
        try:
            await placed.reached("confirmed")
            await placed.media()
        except CallError as error:
            tell(f"refused: {error.status} {error.reason}")
            return {"answered": False, "status": error.status, "reason": error.reason}
        tell("answered")
        await asyncio.sleep(seconds)
        await placed.hang_up()
        await placed.over()
        return _outcome(placed, settings, tell)


def _outcome(placed: PhoneCall, settings: SoftphoneSettings, tell: Any) -> dict[str, Any]:
    heard = None
    with contextlib.suppress(OSError, RecordingError):
        assert settings.record is not None
        measured = measure_file(settings.record)
        heard = {"frequency": measured.frequency, "seconds": measured.tone_seconds}
        if measured.frequency is not None:
            tell(f"heard {measured.frequency:.0f} Hz for {measured.tone_seconds:.1f} s")
    for stream in placed.streams:
        tell(
            f"{stream.codec} {'SRTP' if stream.srtp else 'RTP'}: sent {stream.packets_sent}, "
            f"received {stream.packets_received}, lost {stream.packets_lost}"
        )
    tell("call ended")
    return {
        "answered": True,
        "status": 200,
        "call_id": placed.sip_call_id,
        "heard": heard,
        "streams": [asdict(stream) for stream in placed.streams],
    }
