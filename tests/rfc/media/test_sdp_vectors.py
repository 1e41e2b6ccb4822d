"""Other people's session descriptions: browsers, phones, gateways, edge cases (shared vectors).

`parsed/*.json` is what the npm package sdp-transform makes of the same file: an independent
parse to compare facts with. It skips what it does not know, an `m=` port with a count included.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from media.codec import RtpMap
from media.sdp import MalformedSdp, MediaDescription, SessionDescription, parse_sdp
from media.sdp_check import problems
from tests.support.vectors import files, needs_vectors, rows

ROWS = rows("05-sdp/index.json")
ACCEPTED = [row for row in ROWS if row["expected"].startswith(("parse", "accept", "contains"))]
REJECTED = [row for row in ROWS if row["expected"] == "reject"]
FILES = files("05-sdp", "*/*.sdp")


def _name(row: dict[str, Any]) -> str:
    return str(row["file"])


def _data(row: dict[str, Any]) -> bytes:
    (path,) = files("05-sdp", row["file"])
    return path.read_bytes()


@needs_vectors
@pytest.mark.parametrize("row", ACCEPTED, ids=_name)
def test_what_others_send_parses_and_is_written_back_unchanged(row: dict[str, Any]) -> None:
    data = _data(row)
    description = parse_sdp(data)
    assert description.to_bytes() == data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    problems(description)


@needs_vectors
@pytest.mark.parametrize("row", REJECTED, ids=_name)
def test_what_must_be_rejected_is_with_its_line(row: dict[str, Any]) -> None:
    with pytest.raises(MalformedSdp) as caught:
        parse_sdp(_data(row))
    assert caught.value.line > 0


@needs_vectors
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_vector_raises_anything_undeclared(path: Path) -> None:
    with contextlib.suppress(MalformedSdp):
        problems(parse_sdp(path.read_bytes()))


def test_the_lines_that_sdp_transform_only_skips_are_named() -> None:
    # RFC 8866 section 5 lets a parser ignore or reject an unknown type; the index keeps going.
    for row in ROWS:
        if row["file"].endswith("invalid.sdp"):
            found = [problem.line for problem in problems(parse_sdp(_data(row)))]
            assert found == [7, 10]


def _facts(description: SessionDescription) -> list[dict[str, Any]]:
    return [_section_facts(description, media) for media in description.media]


def _section_facts(description: SessionDescription, media: MediaDescription) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "type": media.kind,
        "port": media.port,
        "protocol": media.proto,
        "payloads": " ".join(media.formats),
        "rtp": [_rtp(found) for found in media.rtpmap().values()],
    }
    if media.direction is not None:
        facts["direction"] = media.direction
    if media.connection is not None:
        facts["connection"] = {
            "version": int(media.connection.address_type[2]),
            "ip": media.connection.address,
        }
    fingerprint = media.attribute("fingerprint")
    optional = {
        "setup": media.setup(),
        "iceUfrag": media.ice_ufrag(),
        "icePwd": media.ice_pwd(),
        "mid": media.mid,
        "rtcpMux": "rtcp-mux" if media.has("rtcp-mux") else None,
        "ptime": media.attribute("ptime"),
        "fingerprint": fingerprint
        and dict(zip(("type", "hash"), fingerprint.split(), strict=True)),
    }
    facts |= {name: value for name, value in optional.items() if value is not None}
    candidates = [
        {
            "foundation": found.foundation,
            "component": found.component,
            "transport": found.transport,
            "priority": found.priority,
            "ip": found.address,
            "port": found.port,
            "type": found.type,
        }
        for found in media.candidates()
    ]
    if candidates:
        facts["candidates"] = candidates
    if media.crypto():
        facts["crypto"] = [{"id": crypto.tag, "suite": crypto.suite} for crypto in media.crypto()]
    return facts


def _rtp(rtpmap: RtpMap) -> dict[str, Any]:
    facts: dict[str, Any] = {"payload": rtpmap.payload_type, "codec": rtpmap.encoding}
    if rtpmap.clock_rate is not None:
        facts["rate"] = rtpmap.clock_rate
    if rtpmap.parameters is not None:
        facts["encoding"] = rtpmap.parameters
    return facts


def _alike(ours: object, theirs: object) -> bool:
    """sdp-transform makes numbers of whatever looks like one."""
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(_alike, ours, theirs))
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return all(name in theirs and _alike(ours[name], theirs[name]) for name in ours)
    return str(ours) == str(theirs)


PARSED = [
    path
    for path in files("05-sdp/parsed", "*/*.json")
    if not any(path.name == Path(row["file"]).name + ".json" for row in REJECTED)
    and path.name != "message-1.sdp.json"
]


@needs_vectors
@pytest.mark.parametrize("path", PARSED, ids=lambda path: path.name)
def test_the_facts_agree_with_an_independent_parser(path: Path) -> None:
    expected = json.loads(path.read_text(encoding="utf-8"))
    source = path.parents[2] / path.parent.name / path.name.removesuffix(".json")
    description = parse_sdp(source.read_bytes())
    assert str(expected["origin"]["sessionId"]) == description.origin.session_id
    assert str(expected["origin"]["address"]) == description.origin.address
    assert len(expected["media"]) == len(description.media)
    for ours, theirs in zip(_facts(description), expected["media"], strict=True):
        if "type" in theirs:
            different = {
                name: (value, theirs.get(name))
                for name, value in ours.items()
                if not _alike(value, theirs.get(name))
            }
            assert different == {}
