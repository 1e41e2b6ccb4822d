"""What `spingate stir explain` shows of a certificate: whose it is, its numbers, its days left."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from cryptography import x509

from stir.certificates.certificate import Credential, key_name, name_of
from stir.certificates.tn_auth_list import Entry, Range, Spc, TnAuthList
from stir.reason import printable

_DAY: Final = 86_400.0
_MOST_ENTRIES: Final = 6


def certificate_record(credential: Credential) -> dict[str, object]:
    """A chain for scripts: what its leaf says, and the subjects above it."""
    return {
        "subject": credential.subject,
        "issuers": [name_of(each) for each in credential.certificates[1:]],
        "not_before": _date(credential.not_before, "%Y-%m-%dT%H:%M:%SZ"),
        "not_after": _date(credential.not_after, "%Y-%m-%dT%H:%M:%SZ"),
        "tn_auth_list": _entries(credential.tn_auth_list),
    }


def certificate_lines(credential: Credential, at: float) -> list[tuple[str, str]]:
    """A chain for people, as labelled lines; `at` is the judging time in epoch seconds."""
    leaf = credential.leaf
    lines = [
        ("subject", f"{credential.subject} ({key_name(leaf)})"),
        ("issued by", printable(_issuer(leaf), 200)),
        ("valid", _validity(credential, at)),
        ("numbers", _numbers(credential)),
    ]
    above = [printable(name_of(each), 100) for each in credential.certificates[1:]]
    if above:
        lines.append(("with it", " < ".join(above)))
    return lines


def _issuer(certificate: x509.Certificate) -> str:
    return certificate.issuer.rfc4514_string() or "nobody named"


def _validity(credential: Credential, at: float) -> str:
    start, end = (_date(each, "%Y-%m-%d") for each in (credential.not_before, credential.not_after))
    days = (credential.not_after - at) / _DAY
    if at < credential.not_before:
        left = "not valid yet"
    elif days < 0:
        left = f"expired {-days:.0f} days before"
    else:
        left = f"{days:.0f} days left"
    return f"{start} to {end}, {left}"


def _numbers(credential: Credential) -> str:
    found = credential.tn_auth_list
    if found is None:
        return "no usable TNAuthList"
    shown = [_words(entry) for entry in found.entries[:_MOST_ENTRIES]]
    more = len(found.entries) - len(shown)
    return "; ".join(shown) + (f"; {more} more" if more else "")


def _words(entry: Entry) -> str:
    if isinstance(entry, Spc):
        return f"provider {entry.code}"
    if isinstance(entry, Range):
        return f"+{entry.start} to +{str(entry.last).zfill(len(entry.start))}"
    return f"+{entry.number}"


def _entries(found: TnAuthList | None) -> list[dict[str, object]]:
    records: list[dict[str, object]] = []
    for entry in found.entries if found else ():
        if isinstance(entry, Spc):
            records.append({"spc": entry.code})
        elif isinstance(entry, Range):
            records.append({"range": entry.start, "count": entry.count})
        else:
            records.append({"one": entry.number})
    return records


def _date(epoch: float, form: str) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime(form)
