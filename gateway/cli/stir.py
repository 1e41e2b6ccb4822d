"""`spingate stir`: sign, verify and explain PASSporTs."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from gateway.cli.output import EXIT_FAILED, console, emit_json, usage_error
from gateway.cli.stir_input import (
    Subject,
    guess_subject,
    read_anchors,
    read_credential,
    read_file,
    read_subject,
    read_time,
    with_numbers,
)
from gateway.cli.stir_report import (
    call_record,
    finding_records,
    show_checks,
    show_findings,
)
from stir.authentication import AuthenticationService, CannotSign, SigningRequest
from stir.certificates.certificate import KeyMismatch, MalformedCredential
from stir.checks.inspection import AnyCredential
from stir.media_keys import Fingerprint
from stir.passport import parse_passport
from stir.reason import Reason
from stir.telephone_number import canonicalise
from stir.verdict import CallVerdict, decide
from stir.verification import VerificationPolicy, verify_token

app = typer.Typer(no_args_is_help=True, help="Sign, verify and explain PASSporTs (RFC 8224).")

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


@app.command()
def verify(
    identity: Annotated[
        Path | None, typer.Option("--identity", metavar="FILE", help="An Identity header value.")
    ] = None,
    token: Annotated[str | None, typer.Option("--token", help="A bare PASSporT.")] = None,
    message: Message = None,
    orig: Orig = None,
    dest: Dest = None,
    cert: Cert = None,
    key: Key = None,
    trust_anchor: Anchors = None,
    at: At = None,
    freshness: Freshness = 60,
    accept_spc: Codes = None,
    spc_number: CodeNumbers = None,
    json: Json = False,
) -> None:
    """Check a PASSporT step by step; what is not given is skipped, and says so."""
    subject = read_subject(token, identity, message)
    policy = _policy(freshness, accept_spc, spc_number)
    credential = read_credential(cert, key)
    call = _verify(_with(subject, orig, dest), credential, trust_anchor, at, policy)
    if json:
        emit_json(call_record(call))
    else:
        show_checks(call)
    raise typer.Exit(0 if call.outcome == "valid" else EXIT_FAILED)


@app.command()
def explain(
    subject: Annotated[
        str,
        typer.Argument(help="A PASSporT, an Identity value, a SIP message file, or - for stdin."),
    ],
    orig: Orig = None,
    dest: Dest = None,
    cert: Cert = None,
    key: Key = None,
    trust_anchor: Anchors = None,
    at: At = None,
    freshness: Freshness = 60,
    accept_spc: Codes = None,
    spc_number: CodeNumbers = None,
    json: Json = False,
) -> None:
    """Say in plain words what is wrong with a PASSporT, the clause, and the likely fix."""
    policy = _policy(freshness, accept_spc, spc_number)
    credential = read_credential(cert, key)
    call = _verify(_with(guess_subject(subject), orig, dest), credential, trust_anchor, at, policy)
    if json:
        emit_json({**call_record(call), "findings": finding_records(call)})
    else:
        show_checks(call)
        show_findings(call)
    raise typer.Exit(0 if call.outcome == "valid" else EXIT_FAILED)


def _with(subject: Subject, orig: str | None, dest: str | None) -> Subject:
    return replace(subject, facts=with_numbers(subject.facts, orig, dest))


def _policy(
    freshness: float, codes: list[str] | None, numbers: list[str] | None
) -> VerificationPolicy:
    if not 0 <= freshness < 1e12:
        usage_error("--freshness: seconds, not negative")
    known: dict[str, frozenset[str]] = {}
    for text in numbers or ():
        code, equals, number = text.partition("=")
        digits = canonicalise(number)
        if not equals or digits is None:
            usage_error(f"--spc-number {text}: write CODE=TN")
        known[code] = known.get(code, frozenset()) | {digits}
    return VerificationPolicy(
        freshness=freshness,
        accept_service_provider_codes=None if codes is None else frozenset(codes),
        service_provider_numbers=known,
        exhaustive=True,
    )


def _verify(
    subject: Subject,
    credential: AnyCredential | None,
    anchors: list[Path] | None,
    at: str | None,
    policy: VerificationPolicy,
) -> CallVerdict:
    if len(subject.values) > policy.max_identities or any(
        len(value) > policy.max_header for value in subject.values
    ):
        return CallVerdict((), "invalid", Reason.TOO_MANY_IDENTITIES, None)
    roots, now = read_anchors(anchors or ()), read_time(at)
    verdicts = tuple(
        verify_token(
            value,
            form=subject.form,
            now=now,
            facts=subject.facts,
            policy=policy,
            credential=credential,
            anchors=roots,
        )
        for value in subject.values
    )
    if not any(verdict.proves_caller for verdict in verdicts):
        # nobody asks here who calls: a token of such a type is looked at for its own sake
        verdicts = tuple(replace(verdict, proves_caller=True) for verdict in verdicts)
    return decide(verdicts)


@app.command()
def sign(
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="The private key, PEM.")],
    x5u: Annotated[str, typer.Option("--x5u", metavar="URL", help="Where the chain is served.")],
    orig: Annotated[str, typer.Option("--orig", metavar="TN", help="The calling number.")],
    dest: Annotated[
        list[str], typer.Option("--dest", metavar="TN", help="A called number or URI; repeatable.")
    ],
    cert: Annotated[
        Path | None,
        typer.Option("--cert", metavar="FILE", help="The chain, to check the key against."),
    ] = None,
    attest: Annotated[
        Literal["A", "B", "C"] | None,
        typer.Option("--attest", help="Make a shaken PASSporT; without it, a plain one."),
    ] = None,
    origid: Annotated[
        str | None, typer.Option("--origid", metavar="UUID", help="Random where not given.")
    ] = None,
    iat: Annotated[
        int | None,
        typer.Option("--iat", metavar="SECONDS", help="Epoch seconds; now if not given."),
    ] = None,
    mky: Annotated[
        list[str] | None,
        typer.Option("--mky", metavar="'sha-256 AB:..'", help="An SDP fingerprint; repeatable."),
    ] = None,
    json: Json = False,
) -> None:
    """Sign an Identity header value with a key file; the key itself is never shown."""
    certificate = None if cert is None else read_file(cert)
    try:
        service = AuthenticationService(read_file(key), certificate, x5u)
        value = service.sign(
            SigningRequest(
                orig_tn=orig,
                dest_tns=tuple(text for text in dest if ":" not in text),
                dest_uris=tuple(text for text in dest if ":" in text),
                iat=int(time.time()) if iat is None else iat,
                attest=attest,
                origid=str(uuid.uuid4()) if attest is not None and origid is None else origid,
                fingerprints=tuple(_fingerprint(text) for text in mky or ()),
            )
        )
    except (MalformedCredential, KeyMismatch) as error:
        usage_error(f"{key}: {error}")
    except CannotSign as error:
        usage_error(str(error))
    if json:
        token = value.partition(";")[0]
        passport = parse_passport(token)
        emit_json(
            {
                "identity": value,
                "token": token,
                "header": dict(passport.header),
                "payload": dict(passport.payload),
            }
        )
    else:
        console.out(value, highlight=False)


def _fingerprint(text: str) -> Fingerprint:
    algorithm, space, value = text.strip().partition(" ")
    if not space:
        usage_error("--mky: a hash name and a fingerprint, as in an a=fingerprint line")
    return algorithm, value.strip()
