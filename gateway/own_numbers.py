"""Whether the certificate that signs is for the numbers the provider serves."""

from __future__ import annotations

from collections.abc import Iterable

import structlog
from cryptography import x509

from stir.certificates.grant import granted_by
from stir.certificates.tn_auth_list import Entry, One, Range, TnAuthList

_log = structlog.get_logger("spingate.certificate")


def not_covered(numbers: Iterable[str], granted: TnAuthList) -> tuple[str, ...]:
    """Return the numbers and ranges of the configuration that are not all in a TNAuthList.

    A list of nothing but provider codes says nothing of numbers, and covers them all here.
    """
    return tuple(text for text in numbers if not granted.encompasses(TnAuthList((_entry(text),))))


def warn_if_not_covered(numbers: Iterable[str], leaf: x509.Certificate) -> None:
    """Log what of the own numbers a certificate is not for: peers will refuse such calls."""
    grant = granted_by(leaf)
    if grant.pending:
        return  # what the list elsewhere says is for `spingate check`
    if grant.tn_auth_list is None:
        why = grant.problem.got if grant.problem is not None else "it has no TNAuthList"
        _log.warning("the certificate gives no right to sign for any number", detail=why)
        return
    missing = not_covered(numbers, grant.tn_auth_list)
    if missing:
        _log.warning(
            "the certificate is not for all own numbers: peers will refuse calls from these",
            numbers=missing[:8],
            more=max(len(missing) - 8, 0),
        )


def _entry(text: str) -> Entry:
    """A number or range as the configuration writes it: +12125550100 or +1...00-+1...99."""
    first, _, last = (end.removeprefix("+") for end in text.partition("-"))
    count = int(last) - int(first) + 1 if last else 1
    return One(first) if count == 1 else Range(first, count)
