"""Fuzz targets: each takes octets, and must let nothing but its declared error escape.

Run one under atheris (`pip install atheris`), which a normal test run does not need:

    python -m tests.fuzz.sip.targets message tests/fuzz/sip/corpus/message
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module

from sip.fields import parse_name_addrs, parse_vias
from sip.headers import MalformedHeader
from sip.message import response_to
from sip.parser import MalformedMessage, parse_datagram
from sip.stream import StreamFramer
from sip.uri import MalformedUri, parse_uri, uris_equal
from sip.validate import assess_bytes


def message(data: bytes) -> None:
    """Parse, judge, write again, and answer."""
    assess_bytes(data, "udp")
    try:
        parsed = parse_datagram(data)
    except MalformedMessage as problem:
        if problem.partial is not None:
            response_to(problem.partial, 400, to_tag="t").to_bytes()
        return
    written = parsed.to_bytes()
    if parse_datagram(written).to_bytes() != written:
        raise AssertionError("not what was written")


def stream(data: bytes) -> None:
    """Frame the octets whole and in two parts, cut where the first octet says."""
    assess_bytes(data, "tcp")
    cut = data[0] if data else 0
    parts = StreamFramer()
    found = parts.feed(data[:cut]) + parts.feed(data[cut:])
    if len(found) != len(StreamFramer().feed(data)):
        raise AssertionError("chunks matter")


def uri(data: bytes) -> None:
    """Parse a URI, write it, and compare it with itself."""
    try:
        parsed = parse_uri(data.decode("utf-8", "surrogateescape"))
    except MalformedUri:
        return
    if parse_uri(str(parsed)) != parsed or not uris_equal(parsed, parse_uri(parsed.canonical())):
        raise AssertionError("not what was written")


def fields(data: bytes) -> None:
    """Parse Via and address lists."""
    text = data.decode("utf-8", "surrogateescape")
    with suppress(MalformedHeader):
        parse_vias([text])
    try:
        written = [str(address) for address in parse_name_addrs("Contact", [text])]
    except MalformedHeader:
        return
    parse_name_addrs("Contact", written)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "message": message,
    "stream": stream,
    "uri": uri,
    "fields": fields,
}


def main() -> None:
    """Run the target named first on the command line under atheris."""
    atheris = import_module("atheris")

    name = sys.argv.pop(1)
    atheris.instrument_all()
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
