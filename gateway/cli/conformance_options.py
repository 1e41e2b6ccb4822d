"""Options of `spingate conformance`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_File = Path | None

Target = Annotated[
    str,
    typer.Argument(
        help="sip:NUMBER@HOST:PORT;transport=udp|tcp|tls to call, or the URL of an "
        "ATIS-1000082 service: https://HOST/stir/v1/verification or .../signing."
    ),
]
Caller = Annotated[
    str, typer.Option("--from", metavar="TN", help="The calling number; the suite signs it.")
]
Called = Annotated[
    str | None, typer.Option("--to", metavar="TN", help="The called number, for a URL.")
]
Serve = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS:PORT", help="Serve the suite's certificates here."),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", help="How the target reaches them, such as https://lab:8443."),
]
TlsCert = Annotated[
    _File, typer.Option(metavar="FILE", help="HTTPS certificate of that server, PEM chain.")
]
TlsKey = Annotated[_File, typer.Option(metavar="FILE", help="Its private key.")]
FromAuthority = Annotated[
    _File,
    typer.Option(
        metavar="DIRECTORY",
        help="Issue from this authority (`spingate cert authority`), which the target trusts.",
    ),
]
ExportRoot = Annotated[
    _File, typer.Option(metavar="FILE", help="Write the suite's root, for the target to trust.")
]
Cert = Annotated[
    _File, typer.Option(metavar="FILE", help="Your own good chain, with --key and --x5u.")
]
Key = Annotated[_File, typer.Option(metavar="FILE", help="Its private key.")]
X5u = Annotated[str | None, typer.Option(metavar="URL", help="Where it is published.")]
Receiver = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS:PORT",
        help="Be the callee here (UDP and TCP), to see the verstat the target adds.",
    ),
]
Bind = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Call from this address of this machine.")
]
Domain = Annotated[str, typer.Option(metavar="NAME", help="The domain of the caller's URI.")]
Ca = Annotated[
    _File, typer.Option(metavar="FILE", help="Who vouches for the target's TLS certificate.")
]
TokenFile = Annotated[_File, typer.Option(metavar="FILE", help="Bearer token for an HTTP service.")]
Only = Annotated[
    list[str] | None, typer.Option(metavar="CASE", help="Run this case; may be repeated.")
]
Timeout = Annotated[
    float, typer.Option(min=0.5, max=60, metavar="SECONDS", help="Wait so long for an answer.")
]
Pause = Annotated[
    float, typer.Option(min=0.0, max=60, metavar="SECONDS", help="Rest between two cases.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a case, nothing else.")]
