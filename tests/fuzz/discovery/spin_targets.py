"""Fuzz targets of SPIN: what strangers send by text message, by MMS and over HTTPS.

With atheris installed: `python -m tests.fuzz.discovery.spin_targets text [CORPUS] [options]`.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable
from typing import Final

from discovery.client.agent import EventReader, MalformedAnswer
from discovery.number import NumberRanges
from discovery.spin import gsm7
from discovery.spin.agent import Agent, AgentPolicy, Candidate, Ignored, Ordinary, Referenced
from discovery.spin.answer import parse_answer
from discovery.spin.limits import RateLimit
from discovery.spin.mms import read_content
from discovery.spin.reason import Refused
from discovery.spin.rules import MalformedRules, parse_rules
from discovery.spin.segments import MalformedUserData, application_port, split_header
from discovery.spin.strict_json import MalformedJson, parse_json_object
from gateway.mms.mm7 import MalformedMm7, read_delivery, read_submit_answer
from gateway.sms.message import incoming_sms, received_part
from gateway.sms.receipt import read_receipt
from tests.support.spin_passports import ALICE, BOB, NOW

_ENOUGH: Final = RateLimit(1 << 30, 1.0)
_POLICY: Final = AgentPolicy(
    numbers=NumberRanges(["+12125550100-+12125550199"]),
    reference_hosts=frozenset({"a.example"}),
    per_sender=_ENOUGH,
    per_target=_ENOUGH,
    per_prefix=_ENOUGH,
)
_DECISIONS: Final = (Ordinary, Ignored, Referenced, Candidate)


def text(data: bytes) -> None:
    """Have the agent look at a text; it decides, whatever it is."""
    agent = Agent(_POLICY, bytes, max_limit_keys=10)
    for form in (data.decode("utf-8", "replace"), gsm7.decode(data)):
        decision = agent.examine(form, sender=ALICE, recipient=BOB, now=NOW)
        assert isinstance(decision, _DECISIONS)


def token(data: bytes) -> None:
    """Have the agent look at an attachment, and read the same as an answer."""
    agent = Agent(_POLICY, bytes, max_limit_keys=10)
    form = data.decode("latin-1")
    assert isinstance(
        agent.examine_token(form, sender=ALICE, recipient=BOB, now=NOW), (Ignored, Candidate)
    )
    with contextlib.suppress(Refused):
        parse_answer(form)


def short_message(data: bytes) -> None:
    """Read user data with a header, in every coding, and as a receipt."""
    for coding in (0, 1, 3, 4, 8, 0xF5):
        for esm_class in (0, 0x40, 0x04):
            sms = incoming_sms(
                source=ALICE,
                destination=BOB,
                short_message=data,
                esm_class=esm_class,
                data_coding=coding,
                parameters=[(0x020C, data[:2]), (0x001E, data), (0x0427, data[:1])],
            )
            received_part(sms)
            read_receipt(sms)
    for read in (split_header, application_port):
        with contextlib.suppress(MalformedUserData):
            read(data)


def multimedia(data: bytes) -> None:
    """Read MIME content, an MM7 delivery, and an MMSC's answer."""
    read_content(data)
    for kind in ("text/xml", 'multipart/related; boundary="bb"'):
        for read in (read_delivery, read_submit_answer):
            with contextlib.suppress(MalformedMm7):
                read(kind, data)


def rules(data: bytes) -> None:
    """Read rules; what is read is written as it means."""
    with contextlib.suppress(MalformedJson, MalformedRules):
        found = parse_rules(parse_json_object(data).get("rules"))
        assert parse_rules([rule.document() for rule in found]) == found


def events(data: bytes) -> None:
    """Read server-sent events as they come in pieces."""
    reader = EventReader()
    with contextlib.suppress(MalformedAnswer):
        for start in range(0, len(data), 7):
            reader.feed(data[start : start + 7])


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "text": text,
    "token": token,
    "short_message": short_message,
    "multimedia": multimedia,
    "rules": rules,
    "events": events,
}


def main() -> None:
    """Fuzz the target named by the first argument."""
    atheris = importlib.import_module("atheris")
    target = TARGETS[sys.argv.pop(1)]
    atheris.instrument_all()
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
