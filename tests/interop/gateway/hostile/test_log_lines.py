"""What strangers write into their messages cannot forge a line of the log or of the records."""

from __future__ import annotations

import json
import re

import pytest

from tests.support.stir_peer import Handset, caller, pbx
from tests.support.troubled_scene import TroubledScene, admin_text, metrics_text

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

SETTINGS = {"log": {"format": "console"}}
FORGED = "2026-11-21T00:00:00.000000Z [info     ] serving"
LINE = re.compile(r"[0-9-]{10}T[0-9:.]{15}Z \[[a-z]+ *\] .*")
# Line ends of Unicode and of C1, colours, a title, right-to-left: all may stand in a header field.
EVIL = [
    f"a\u2028{FORGED}",
    f"b\u0085{FORGED}",
    f"c\u2029{FORGED}",
    "d\u202egnp.exe",
    "e%0d%0aforged",
    "f\\r\\nforged",
]
CONTROL = ["\x1b[31mred", "\x1b]0;title\x07", "\x00", "\x08\x08\x08", "\r" + FORGED]


def headers(text: str) -> tuple[str, ...]:
    return (f"User-Agent: {text}", f'P-Asserted-Identity: "{text}" <sip:+14155550100@a.example>')


@pytest.mark.parametrize("text", EVIL + CONTROL, ids=range(len(EVIL) + len(CONTROL)))
async def test_no_header_field_starts_a_line(scene: TroubledScene, bob: Handset, text: str) -> None:
    name = text.replace(" ", "")
    for call_id, more in ((f"{name}@evil", ()), ("plain@evil", headers(text))):
        async with caller(scene) as stranger:
            octets = stranger.invite(call_id="PLACE", headers=more).replace(
                b"PLACE", call_id.encode()
            )
            stranger.writer.write(octets)
            # Answered, or dropped with its connection; either way in order before the next.
            await stranger.writer.drain()
    async with caller(scene) as stranger:
        assert (await stranger.call()).status_code == 428
    for provider in (scene.alpha, scene.beta):
        for line in provider.log_file.read_bytes().split(b"\n")[:-1]:
            shown = line.decode("ascii")
            assert LINE.fullmatch(shown), shown
            assert not shown.startswith(FORGED)
            assert shown.isprintable(), shown


async def test_a_dialled_text_does_not_reach_the_log_as_it_is(
    scene: TroubledScene, bob: Handset
) -> None:
    async with pbx(scene) as trunk:
        octets = trunk.invite(domain="alpha.example").replace(
            b"INVITE sip:+12125550123@", "INVITE sip:%1b[31m%0a\u2028@".encode()
        )
        trunk.writer.write(octets)
    async with pbx(scene) as trunk:
        assert (await trunk.call(to="nobody", domain="alpha.example")).status_code == 404
    assert b"\x1b" not in scene.alpha.log_file.read_bytes()


async def test_what_may_stand_in_a_call_id_is_shown_and_the_rest_was_answered_400(
    scene: TroubledScene,
) -> None:
    text = scene.beta.log_file.read_text("ascii")
    assert "call_id=e%0d%0aforged@evil" in text
    assert "answered 400: Call-ID" in text


async def test_records_and_traces_stay_one_json_object_a_line(scene: TroubledScene) -> None:
    for provider in (scene.alpha, scene.beta):
        for path in (provider.config.log.trace_file, provider.config.log.call_record_file):
            assert path is not None
            for line in path.read_text("ascii").splitlines():
                assert isinstance(json.loads(line), dict)


async def test_the_operator_sees_no_strangers_text_as_a_label(scene: TroubledScene) -> None:
    assert "forged" not in await metrics_text(scene.beta)
    calls = json.loads(await admin_text(scene.beta, "/v1/calls"))
    assert calls == {"calls": []}
