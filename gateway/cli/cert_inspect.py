"""What `spingate cert inspect` shows of a certificate."""

from __future__ import annotations

from cryptography import x509
from rich.text import Text

from gateway.cli.output import console
from stir.certificates.certificate import is_authority, key_name, unfitness, validity_problem
from stir.certificates.claim_constraints import MalformedConstraints, constraints_of
from stir.certificates.grant import granted_by
from stir.certificates.tn_auth_list import Entry, Range, Spc
from stir.reason import Reason


def certificate_record(certificate: x509.Certificate, now: float) -> dict[str, object]:
    """Return what `cert inspect --json` prints of a certificate at `now` (epoch seconds)."""
    authority, grant = is_authority(certificate), granted_by(certificate)
    numbers = grant.tn_auth_list
    return {
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "not_before": f"{certificate.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}",
        "not_after": f"{certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
        "key": key_name(certificate),
        "is_ca": authority,
        "tn_auth_list": [_entry(entry) for entry in numbers.entries] if numbers else [],
        "tn_auth_list_url": grant.reference,
        "claim_constraints": _constraints(certificate),
        "problems": _problems(certificate, now, authority),
    }


def _problems(certificate: x509.Certificate, now: float, authority: bool) -> list[str]:
    """An issuer signs no PASSporTs itself, so only its validity and lists are held against it."""
    if authority:
        grant = granted_by(certificate)
        own = [] if grant.pending else [grant.problem]
        found = [p for p in (validity_problem(certificate, now), *own) if p is not None]
    else:
        found = list(unfitness(certificate, now))
    codes = [problem.reason.code for problem in found]
    try:
        constraints_of(certificate)
    except MalformedConstraints:
        codes.append(Reason.CONSTRAINTS_MALFORMED.code)
    return codes


def _constraints(certificate: x509.Certificate) -> list[dict[str, object]]:
    try:
        found = constraints_of(certificate)
    except MalformedConstraints:
        return []
    return [
        {
            "must_include": list(each.must_include),
            "permitted_values": {claim: list(texts) for claim, texts in each.permitted_values},
            "must_exclude": list(each.must_exclude),
        }
        for each in found
    ]


def unreadable_record(why: str) -> dict[str, object]:
    """Return what `cert inspect --json` prints of a file that is no certificate."""
    return {
        "subject": None,
        "issuer": None,
        "not_before": None,
        "not_after": None,
        "key": None,
        "is_ca": False,
        "tn_auth_list": [],
        "tn_auth_list_url": None,
        "claim_constraints": [],
        "problems": [Reason.CREDENTIAL_MALFORMED.code],
        "detail": why,
    }


def _entry(entry: Entry) -> dict[str, object]:
    if isinstance(entry, Spc):
        return {"spc": entry.code}
    if isinstance(entry, Range):
        return {"range": entry.start, "count": entry.count}
    return {"one": entry.number}


def show_record(record: dict[str, object]) -> None:
    """Print a record for people."""
    console.print(Text(str(record["subject"]), style="bold"))
    for name in ("issuer", "not_before", "not_after", "key", "is_ca", "tn_auth_list"):
        console.print(Text(f"  {name:<13} {record[name]}"))
    for name, label in (("tn_auth_list_url", "and at"), ("claim_constraints", "constraints")):
        if record[name]:
            console.print(Text(f"  {label:<13} {record[name]}"))
    problems = record["problems"]
    assert isinstance(problems, list)
    if not problems:
        console.print(Text("  fit", style="green"))
    for code in problems:
        reason = Reason[code.upper()]
        console.print(Text(f"  {code}: {reason.prose} ({reason.clause})", style="bold red"))
        console.print(Text(f"    fix: {reason.fix}"))
