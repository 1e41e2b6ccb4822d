"""Reading what `spingate stir` is given: tokens, messages, keys, times."""

from __future__ import annotations

import datetime
import io
import sys
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final

from cryptography import x509

from gateway.call_facts import call_facts, identity_values
from gateway.capture.file import MalformedCapture, is_capture
from gateway.capture.sip import CaptureContents, read_capture
from gateway.cli.output import usage_error
from gateway.config import Config
from sip.message import Request
from sip.parser import MalformedMessage, parse_datagram
from stir.authentication import msg_claims
from stir.certificates.certificate import (
    CredentialUnavailable,
    MalformedCredential,
    load_certificates,
    load_credential,
    load_public_key,
)
from stir.checks.inspection import AnyCredential, Form
from stir.reason import Reason
from stir.strict_json import MalformedJson, parse_object
from stir.verification import CallFacts

_MAX_TEXT: Final = 1_048_576
_GZIP: Final = b"\x1f\x8b"
_ODD_OCTETS: Final = "surrogateescape"


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be verified: values of one form, and what the request around them says."""

    values: tuple[str, ...]
    form: Form
    facts: CallFacts


def read_file(path: Path) -> bytes:
    """Read a file, or standard input for ``-``; a file that cannot be read is wrong usage."""
    if str(path) == "-":
        return sys.stdin.buffer.read()
    try:
        return path.read_bytes()
    except OSError as error:
        usage_error(f"{path}: {error.strerror}")


def read_subject(token: str | None, identity: Path | None, message: Path | None) -> Subject:
    """Combine --token, --identity and --message; the message alone brings its own Identity."""
    if (token is not None) and (identity is not None):
        usage_error("give --identity or --token, not both")
    facts, values = CallFacts(), tuple[str, ...]()
    if message is not None:
        from_message = message_subject(read_message(message))
        facts, values = from_message.facts, from_message.values
    if token is not None:
        return Subject((token.strip(),), token_form(token), facts)
    if identity is not None:
        return Subject((identity_value(read_file(identity)),), "header", facts)
    if message is None:
        usage_error("give --identity FILE, --token TOKEN or --message FILE")
    return Subject(values, "header", facts)


def guess_subject(text: str) -> Subject | CaptureContents:
    """Read what a person hands to `explain`: a token, an Identity value, a message or a capture.

    It stands in the text itself, in the file of that name, or with ``-`` on standard input.
    """
    if text == "-":
        data = sys.stdin.buffer.read()
        return _capture(io.BytesIO(data)) if is_capture(data) else _subject(data)
    if not _is_file(text):
        return _subject(text.encode("utf-8", "replace"))
    try:
        with Path(text).open("rb") as file:
            data = file.read(_MAX_TEXT)
            if not is_capture(data) and not data.startswith(_GZIP):
                return _subject(data)
            file.seek(0)
            return _capture(file)
    except OSError as error:
        usage_error(f"{text}: {error.strerror}")


def _capture(file: BinaryIO) -> CaptureContents:
    try:
        return read_capture(file)
    except MalformedCapture as error:
        usage_error(f"the capture cannot be read: {error}")


def _subject(data: bytes) -> Subject:
    data = data.lstrip(b"\r\n")
    if data[:1] in (b" ", b"\t"):  # pasted, and indented as a whole
        text = textwrap.dedent(data.decode("utf-8", _ODD_OCTETS))
        data = text.encode("utf-8", _ODD_OCTETS)
    if b"SIP/2.0" in data[:8_192]:
        return message_subject(parse_message(data, "the message"))
    value = identity_value(data)
    return Subject((value,), token_form(value), CallFacts())


def message_subject(request: Request) -> Subject:
    """Return what a request brings itself: its Identity values, and the facts around them."""
    return Subject(identity_values(request), "header", call_facts(request))


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # a token is longer than any file name
        return False


def token_form(value: str) -> Form:
    """Tell an Identity value, which has parameters, from a bare token."""
    return "header" if ";" in value else "token"


def identity_value(data: bytes) -> str:
    """Return an Identity value from a file: header name, folds and the last line end dropped."""
    text = data.decode("utf-8", "replace").strip()
    lines = text.splitlines()
    name, colon, rest = text.partition(":")
    if colon and name.strip().lower() in ("identity", "y"):
        text, lines = rest, rest.splitlines()
    if len(lines) > 1 and all(line[:1] in (" ", "\t") for line in lines[1:]):
        text = " ".join(line.strip() for line in lines)
    return text.strip()


def read_message(path: Path) -> Request:
    """Read a SIP request from a file; anything else is wrong usage."""
    return parse_message(read_file(path), str(path))


def parse_message(data: bytes, name: str) -> Request:
    """Parse a request whose file may have lost its carriage returns in an editor."""
    if b"\r\n" not in data:
        data = data.replace(b"\n", b"\r\n")
    if b"\r\n\r\n" not in data:
        data = data.rstrip(b"\r\n") + b"\r\n\r\n"
    try:
        message = parse_datagram(data)
    except MalformedMessage as error:
        usage_error(f"{name} is not a SIP message: {error.reason}")
    if not isinstance(message, Request):
        usage_error(f"{name} is a SIP response; only requests are signed")
    return message


def with_numbers(subject: Subject, orig: str | None, dest: str | None) -> Subject:
    """Let --orig and --dest stand for what the message says."""
    facts = subject.facts
    if orig is not None:
        facts = replace(facts, orig_candidates=(orig,))
    if dest is not None:
        facts = replace(facts, dest_candidates=(dest,))
    return replace(subject, facts=facts)


def read_credential(certificate: Path | None, key: Path | None) -> AnyCredential | None:
    """Load --cert or --key; a file that is no certificate is a finding, not wrong usage."""
    if certificate is not None and key is not None:
        usage_error("give --cert or --key, not both")
    if certificate is not None:
        try:
            return load_credential(read_file(certificate))
        except MalformedCredential as error:
            return CredentialUnavailable(str(error), str(certificate), Reason.CREDENTIAL_MALFORMED)
    if key is not None:
        try:
            return load_public_key(read_file(key))
        except MalformedCredential as error:
            usage_error(f"{key}: {error}")
    return None


def read_claims(claims: Path | None, body: Path | None) -> dict[str, object] | None:
    """Read the claims to sign beside the base ones; the body of a MESSAGE gives its digest."""
    found: dict[str, object] = {}
    if claims is not None:
        try:
            found = parse_object(read_file(claims))
        except MalformedJson as error:
            usage_error(f"{claims}: {error}")
    if body is not None:
        found.update(msg_claims(read_file(body)))
    return found if claims is not None or body is not None else None


def read_anchors(
    paths: Sequence[Path], config: Config | None = None
) -> tuple[x509.Certificate, ...] | None:
    """Load every --trust-anchor file, else those of a gateway; None where neither was given."""
    if not paths and config is not None and config.stir.verification is not None:
        paths = config.stir.verification.trust_anchors
    anchors: list[x509.Certificate] = []
    for path in paths:
        try:
            anchors.extend(load_certificates(read_file(path)))
        except MalformedCredential as error:
            usage_error(f"{path}: {error}")
    return tuple(anchors) if paths else None


def read_time(text: str | None) -> float:
    """Read --at as RFC 3339 or epoch seconds; without it, now. Epoch seconds."""
    if text is None:
        return time.time()
    if text.isascii() and text.isdigit() and len(text) <= 12:
        return float(text)
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        usage_error(f"--at {text}: not a time such as 2026-01-31T12:00:00Z")
    if moment.tzinfo is None:
        usage_error(f"--at {text}: say the time zone, such as 2026-01-31T12:00:00Z")
    return moment.timestamp()
