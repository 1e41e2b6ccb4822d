"""Options that several commands of `spingate stir` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line, nothing else.")]
Orig = Annotated[str | None, typer.Option("--orig", metavar="TN", help="The calling number.")]
Dest = Annotated[str | None, typer.Option("--dest", metavar="TN", help="The called number.")]
Cert = Annotated[
    Path | None, typer.Option("--cert", metavar="FILE", help="The signer's chain, leaf first.")
]
Key = Annotated[
    Path | None, typer.Option("--key", metavar="FILE", help="A public key instead of a chain.")
]
Anchors = Annotated[
    list[Path] | None,
    typer.Option("--trust-anchor", metavar="FILE", help="A trusted root; may be repeated."),
]
At = Annotated[
    str | None, typer.Option("--at", metavar="TIME", help="Judge at this RFC 3339 time, not now.")
]
Freshness = Annotated[
    float, typer.Option("--freshness", metavar="SECONDS", help="How far iat may be from now.")
]
Codes = Annotated[
    list[str] | None,
    typer.Option(
        "--accept-spc",
        metavar="CODE",
        help="Accept this provider code for any number; without it, every code in a list of codes.",
    ),
]
CodeNumbers = Annotated[
    list[str] | None,
    typer.Option(
        "--spc-number",
        metavar="CODE=TN",
        help="A number that belongs to a provider code, which is then held to its numbers.",
    ),
]
Message = Annotated[
    Path | None, typer.Option("--message", metavar="FILE", help="The SIP request, to compare with.")
]
Fetch = Annotated[
    bool,
    typer.Option("--fetch", help="Fetch the certificate from x5u, guarded as the gateway does it."),
]
GatewayConfig = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="A gateway's configuration: its resolver, fetch rules and trust anchors are used.",
    ),
]
