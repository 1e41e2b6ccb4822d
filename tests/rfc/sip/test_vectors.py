"""SIP messages of other projects' collections, judged as a proxy must."""

import json
from pathlib import Path

import pytest
import yaml

from sip.flow import Transport
from sip.parser import parse_datagram
from sip.validate import assess_bytes
from tests.support.vectors import files, needs_vectors

RFC4475 = files("01-sip-torture/rfc4475", "*.dat")
RFC5118 = files("01-sip-torture/rfc5118/wire", "*.sip")
FLOWS = files("01-sip-torture/valid-flows", "**/*.yaml")

# What the collection says in prose, as status codes: 400 unless named here.
INVALID_STATUS = {"badvers.dat": 505, "bext01.dat": 420, "zeromf.dat": 483}


def category(path: Path) -> str:
    folder = path.parent if path.parent.name != "wire" else path.parent.parent
    rows = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    return str(next(row["category"] for row in rows if row["file"] == path.name))


@needs_vectors
@pytest.mark.parametrize("path", RFC4475 + RFC5118, ids=lambda path: path.name)
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_torture_messages_get_the_verdict_of_their_rfc(path: Path, transport: Transport) -> None:
    kind, assessment = assess_bytes(path.read_bytes(), transport)
    assert kind == ("response" if path.name == "noreason.dat" else "request")
    if category(path) == "valid":
        assert assessment.outcome == "forward", assessment
    else:
        expected = INVALID_STATUS.get(path.name, 400)
        assert (assessment.outcome, assessment.status) == ("answer", expected), assessment


@needs_vectors
@pytest.mark.parametrize("path", files("01-sip-torture/rfc5118", "*.sip"), ids=lambda p: p.name)
def test_bare_line_feeds_end_no_lines(path: Path) -> None:
    """The archive's files have LF line ends; RFC 3261 section 7 knows CRLF only."""
    _, assessment = assess_bytes(path.read_bytes(), "udp")
    assert assessment.outcome != "forward"


def flow_messages() -> list[tuple[str, bytes]]:
    found = []
    for path in FLOWS:
        for at, text in enumerate(yaml.safe_load(path.read_text(encoding="utf-8"))):
            found.append((f"{path.stem}-{at}", text.replace("\n", "\r\n").encode()))
    return found


# Disputable: RFC 5626 9.4 prints a REGISTER without its Via. It parses, but RFC 3261 8.1.1 makes
# Via mandatory, so a proxy answers 400.
WITHOUT_VIA = {"9.4_re-registration-0"}


@needs_vectors
@pytest.mark.parametrize(("name", "data"), flow_messages(), ids=[n for n, _ in flow_messages()])
def test_valid_flows_are_forwarded_and_survive_a_round_trip(name: str, data: bytes) -> None:
    message = parse_datagram(data)
    assert parse_datagram(message.to_bytes()).to_bytes() == message.to_bytes()
    _, assessment = assess_bytes(data, "udp")
    if name in WITHOUT_VIA:
        assert (assessment.status, assessment.reason) == (400, "Via: absent")
    else:
        assert assessment.outcome == "forward", assessment
