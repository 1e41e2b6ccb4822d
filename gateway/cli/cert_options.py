"""Options of `spingate cert` that say what a certificate is for, and what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from gateway.cli.output import usage_error
from stir.certificates.claim_constraints import ClaimConstraints
from stir.certificates.tn_auth_list import Entry, One, Range, Spc, TnAuthList

Numbers = Annotated[
    list[str] | None, typer.Option("--tn", metavar="TN", help="One number; repeatable.")
]
Ranges = Annotated[
    list[str] | None,
    typer.Option("--range", metavar="START:COUNT", help="Consecutive numbers; repeatable."),
]
Codes = Annotated[
    list[str] | None, typer.Option("--spc", metavar="CODE", help="A provider code; repeatable.")
]
ListUrl = Annotated[
    str | None,
    typer.Option("--tn-auth-list-url", metavar="URL", help="Where (more of) its numbers stand."),
]
Include = Annotated[
    list[str] | None,
    typer.Option("--must-include", metavar="CLAIM", help="Must be signed; repeatable."),
]
Permit = Annotated[
    list[str] | None,
    typer.Option("--permit", metavar="CLAIM=VALUE", help="A value it may have; repeatable."),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option("--must-exclude", metavar="CLAIM", help="Must not be signed; repeatable."),
]


def read_tn_auth_list(
    numbers: Sequence[str] | None, ranges: Sequence[str] | None, codes: Sequence[str] | None
) -> TnAuthList | None:
    """Return the list the options ask for, None without any; exits with 2 for a wrong one."""
    entries: list[Entry] = [Spc(code) for code in codes or ()]
    entries += [One(number.removeprefix("+")) for number in numbers or ()]
    for text in ranges or ():
        start, _, count = text.removeprefix("+").partition(":")
        if not (count.isascii() and count.isdigit() and len(count) <= 15):
            usage_error(f"--range {text}: write START:COUNT")
        if not (start.isascii() and start.isdigit()):
            usage_error(f"--range {text}: write START:COUNT")
        entries.append(Range(start, int(count)))
    return TnAuthList(tuple(entries)) if entries else None


def read_constraints(
    include: Sequence[str] | None, permit: Sequence[str] | None, exclude: Sequence[str] | None
) -> ClaimConstraints | None:
    """Return the claim constraints the options ask for, None without any."""
    permitted: dict[str, list[str]] = {}
    for text in permit or ():
        claim, equals, value = text.partition("=")
        if not (claim and equals):
            usage_error(f"--permit {text}: write CLAIM=VALUE")
        permitted.setdefault(claim, []).append(value)
    if not (include or permitted or exclude):
        return None
    return ClaimConstraints(
        must_include=tuple(include or ()),
        permitted_values=tuple((claim, tuple(texts)) for claim, texts in permitted.items()),
        must_exclude=tuple(exclude or ()),
    )
