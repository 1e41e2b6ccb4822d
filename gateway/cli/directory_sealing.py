"""Sealed maps on the command line: `sealing-key`, and the options of `register` and `lookup`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from discovery.directory.reason import Refused
from discovery.directory.record import Map
from discovery.directory.sealed_maps import (
    MAX_KEYS,
    MAX_SEALED_URI,
    SEALED_MAPS,
    SealedMap,
    public_key,
    public_text,
)
from gateway.cli.gateway_options import Json
from gateway.cli.output import console, emit_json, usage_error
from gateway.config.load import ConfigError
from gateway.directory.sealing import read_group_key, read_sealing_key, sealing_key

# A path may hold colons; the services that begin a URI's text cannot be part of one by chance.
_FOR: Final = re.compile(r"(?P<who>.+?):(?P<map>(?:voice|video|im)(?:,(?:voice|video|im))*=.+)")

SealedFor = Annotated[
    list[str] | None,
    typer.Option(
        "--sealed-for",
        help="PUBLICKEY:SERVICE[,SERVICE]=URI that only the sender with this key sees; repeat.",
    ),
]
Group = Annotated[
    list[str] | None,
    typer.Option(
        "--group", help="SECRETFILE:SERVICE[,SERVICE]=URI that only a group sees; repeat."
    ),
]
SealedKey = Annotated[
    list[Path] | None,
    typer.Option("--sealed-key", help="Your private key for maps sealed for you; repeat."),
]
GroupSecret = Annotated[
    list[Path] | None,
    typer.Option("--group-secret", help="File with the secret of a group you are in; repeat."),
]


def show_sealing_key(
    file: Annotated[Path, typer.Argument(help="Your private key; made where there is none.")],
    as_json: Json = False,
) -> None:
    """Print the public key under which others can seal maps for you."""
    try:
        key = public_text(sealing_key(file))
    except ConfigError as error:
        usage_error(str(error))
    if as_json:
        emit_json({"file": str(file), "public_key": key})
    else:
        console.print(key, markup=False)


def read_sealed(
    sealed_for: Sequence[str], groups: Sequence[str], read: Callable[..., Map]
) -> tuple[SealedMap, ...]:
    """Return the sealed maps that options ask for; wrong ones end the command with 2."""
    wanted = [("--sealed-for", text) for text in sealed_for] + [("--group", t) for t in groups]
    if len(wanted) > SEALED_MAPS:
        usage_error(f"--sealed-for and --group are {SEALED_MAPS} at most")
    sealed: list[SealedMap] = []
    for place, (option, text) in enumerate(wanted, 1):
        found = _FOR.fullmatch(text)
        if found is None:
            who = "PUBLICKEY" if option == "--sealed-for" else "SECRETFILE"
            usage_error(f"{option} is {who}:SERVICE[,SERVICE]=URI")
        each = read(found["map"], place, ())
        if len(each.uri) > MAX_SEALED_URI:
            usage_error(f"{option}: a sealed URI has {MAX_SEALED_URI} characters at most")
        sealed.append(SealedMap(_key(option, found["who"]), each))
    return tuple(sealed)


def read_keys(sealed: Sequence[Path], groups: Sequence[Path]) -> tuple[X25519PrivateKey, ...]:
    """Return a sender's keys; wrong ones end the command with 2."""
    if len(sealed) + len(groups) > MAX_KEYS:
        usage_error(f"--sealed-key and --group-secret are {MAX_KEYS} at most")
    try:
        return (
            *(read_sealing_key(path, "--sealed-key") for path in sealed),
            *(read_group_key(path, "--group-secret") for path in groups),
        )
    except ConfigError as error:
        usage_error(str(error))


def _key(option: str, who: str) -> X25519PublicKey:
    try:
        if option == "--group":
            return read_group_key(Path(who), option).public_key()
        return public_key(who)
    except ConfigError as error:
        usage_error(str(error))
    except Refused as refused:
        usage_error(f"{option}: {refused.detail}")
