"""`spingate stir explain`: what is wrong with a PASSporT, a message or a whole capture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.capture.sip import CaptureContents, CapturedRequest
from gateway.cli.gateway_options import read_config
from gateway.cli.output import EXIT_FAILED, emit_json
from gateway.cli.stir_capture import capture_record, show_capture, show_request
from gateway.cli.stir_fetch import fetch_credentials
from gateway.cli.stir_input import (
    Subject,
    guess_subject,
    message_subject,
    read_anchors,
    read_credential,
    read_time,
    with_numbers,
)
from gateway.cli.stir_judge import Judge, make_policy, urls
from gateway.cli.stir_options import (
    Anchors,
    At,
    Cert,
    CodeNumbers,
    Codes,
    Dest,
    Fetch,
    Freshness,
    GatewayConfig,
    Json,
    Key,
    Orig,
)
from gateway.cli.stir_report import (
    call_record,
    certificate_records,
    finding_records,
    show_advice,
    show_call,
    show_findings,
)
from stir.verdict import CallVerdict


def explain(
    subject: Annotated[
        str,
        typer.Argument(
            help="A PASSporT, an Identity value or a SIP message, pasted or in a file; a pcap or "
            "pcapng capture; - for standard input."
        ),
    ],
    orig: Orig = None,
    dest: Dest = None,
    cert: Cert = None,
    key: Key = None,
    fetch: Fetch = False,
    trust_anchor: Anchors = None,
    config: GatewayConfig = None,
    at: At = None,
    freshness: Freshness = 60,
    accept_spc: Codes = None,
    spc_number: CodeNumbers = None,
    json: Json = False,
) -> None:
    """Say in plain words what is wrong with a PASSporT, the clause, and the likely fix.

    Every request of a capture is judged at the time it was captured.
    """
    given = guess_subject(subject)
    captured, subjects = _requests(given)
    subjects = [with_numbers(each, orig, dest) for each in subjects]
    judge = _judge(
        subjects, cert, key, fetch, trust_anchor, config, freshness, accept_spc, spc_number
    )
    calls = [
        judge.verdict(each, _time(at, request))
        for each, request in zip(subjects, captured, strict=True)
    ]
    if json:
        _emit(calls, captured, judge)
    else:
        _show(given, calls, judge, at)
    well = bool(calls) and all(call.outcome == "valid" for call in calls)
    raise typer.Exit(0 if well else EXIT_FAILED)


def _requests(
    given: CaptureContents | Subject,
) -> tuple[list[CapturedRequest | None], list[Subject]]:
    """What is to be judged, and beside each how it was captured, None where it was not."""
    if isinstance(given, CaptureContents):
        return list(given.signed), [message_subject(each.request) for each in given.signed]
    return [None], [given]


def _judge(
    subjects: list[Subject],
    cert: Path | None,
    key: Path | None,
    fetch: bool,
    trust_anchor: list[Path] | None,
    config: Path | None,
    freshness: float,
    codes: list[str] | None,
    numbers: list[str] | None,
) -> Judge:
    policy = make_policy(freshness, codes, numbers)
    settings = None if config is None else read_config(config)
    anchors = read_anchors(trust_anchor or (), settings)
    credential = read_credential(cert, key)
    named = [url for subject in subjects for url in urls(subject, policy)]
    fetched = fetch_credentials(named, settings) if fetch and credential is None else {}
    return Judge(policy, anchors, credential, fetched)


def _time(at: str | None, request: CapturedRequest | None) -> float:
    """What --at says, else when the request was captured, else now."""
    return request.time if at is None and request is not None and request.time else read_time(at)


def _show(
    given: CaptureContents | Subject, calls: list[CallVerdict], judge: Judge, at: str | None
) -> None:
    if isinstance(given, CaptureContents):
        for call, request in zip(calls, given.signed, strict=True):
            show_request(request)
            show_call(call, judge, request.time or read_time(None))
            show_findings(call)
        show_capture(given, calls)
    else:
        show_call(calls[0], judge, read_time(at))
        show_findings(calls[0])
    show_advice(calls, judge)


def _emit(calls: list[CallVerdict], captured: list[CapturedRequest | None], judge: Judge) -> None:
    for call, request in zip(calls, captured, strict=True):
        record = {} if request is None else capture_record(request)
        emit_json(
            {
                **record,
                **call_record(call),
                "findings": finding_records(call),
                "certificates": certificate_records(call, judge),
            }
        )
