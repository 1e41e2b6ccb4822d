"""One call of the scene, placed, measured and reported."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

from gateway.demo.handset import read
from gateway.demo.ladder import ladder
from gateway.demo.provider import Provider
from gateway.demo.report import CallReport, MediaResult
from gateway.demo.scene import ALICE, BOB, TONES, Scene
from gateway.softphone.phone import PhoneCall, SoftphoneError
from gateway.softphone.tone import RecordingError, measure_file

PARTIES: Final = ("alice's phone", "alpha.example", "beta.example", "bob's phone")
# Four seconds of G.711 with 20 ms a packet.
_TALK_PACKETS: Final = 200
_RECORD_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.05
_INVITATION_MARK: Final = " spin:1:"


async def verified_call(scene: Scene) -> CallReport:
    """Call Bob from Alice's phone by his number alone; raises SoftphoneError where it fails."""
    messages_before = len(scene.smsc.history)
    call = await scene.phones["alice"].call(f"sip:{BOB}@alpha.example")
    try:
        answered = await scene.phones["bob"].next_call()
        await call.reached("confirmed")
        await call.media()
    except SoftphoneError:
        return await _report(scene, call, None, messages_before)
    try:
        await call.received(_TALK_PACKETS)
        await answered.received(_TALK_PACKETS)
        await call.hang_up()
        await call.over()
        await answered.over()
    except SoftphoneError:
        return await _report(scene, call, None, messages_before)
    return await _report(scene, call, answered, messages_before)


async def _report(
    scene: Scene, call: PhoneCall, answered: PhoneCall | None, messages_before: int
) -> CallReport:
    outbound = await ended_call(scene.alpha, call.sip_call_id)
    inbound = await ended_call(scene.beta, call.sip_call_id)
    media: tuple[MediaResult, ...] = ()
    if answered is not None:
        media = (_heard(scene, "alice", "bob", call), _heard(scene, "bob", "alice", answered))
    verdict = inbound.get("verdict")
    sms = _sms(scene, messages_before)
    again = await scene.alpha.discover(BOB, ALICE)
    discovery = outbound.get("discovery") or {"asked": [], "uris": []}
    freed = [await _all_freed(scene, name) for name in ("alpha", "beta")]
    rung = outbound.get("ringing")
    return CallReport(
        discovery=discovery,
        again=again,
        sms=sms,
        passport=inbound.get("passport"),
        verdict=verdict,
        setup_seconds=None if rung is None else rung - outbound["started"],
        next_hop=outbound.get("next_hop"),
        media=media,
        ladder=tuple(_ladder(scene, call)),
        parts={
            "both softphones registered over TLS": len(scene.phones) == 2,
            "number found": bool(discovery["uris"]),
            "found again without an SMS": again["asked"][0]["outcome"] == "found"
            and sms == _sms(scene, messages_before),
            "routed past a server that is down": scene.serves(outbound.get("next_hop")),
            "call signed": outbound.get("passport") is not None,
            "call verified": (verdict or {}).get("outcome") == "valid",
            "call answered": outbound.get("status") == 200,
            "tone heard on both sides": len(media) == 2 and all(each.ok for each in media),
            "call ended on both sides": bool(outbound.get("ended") and inbound.get("ended")),
            "every port free again": all(freed),
        },
    )


async def ended_call(provider: Provider, call_id: str) -> dict[str, Any]:
    """Return the call's record; it is written once media is closed, a moment after the BYE."""
    for _ in range(int(_RECORD_SECONDS / _POLL_SECONDS)):
        record = provider.call_record(call_id)
        if record is not None:
            return record
        await asyncio.sleep(_POLL_SECONDS)
    return {}


async def _all_freed(scene: Scene, name: str) -> bool:
    provider = scene.alpha if name == "alpha" else scene.beta
    state = (await provider.admin("/v1/media"))["media"][0]
    return bool(state["sessions"] == 0 and state["ports_in_use"] == 0)


def _ladder(scene: Scene, call: PhoneCall) -> list[Any]:
    traces: list[tuple[str, Path]] = []
    for provider in (scene.alpha, scene.beta):
        path = provider.config.log.trace_file
        assert path is not None
        traces.append((provider.domain, path))
    return ladder(traces, PARTIES, call.sip_call_id)


def _sms(scene: Scene, before: int) -> dict[str, Any] | None:
    sent = [each for each in list(scene.smsc.history)[before:] if each.destination == BOB[1:]]
    if not sent:
        return None
    parts = [read(message) for message in sent]
    ordered = sorted(parts, key=lambda part: part[0].number if part[0] is not None else 0)
    text = "".join(part for _, part in ordered)
    return {
        "parts": len(sent),
        "characters": len(text),
        "fallback": text.partition(_INVITATION_MARK)[0],
    }


def _heard(scene: Scene, name: str, other: str, call: PhoneCall) -> MediaResult:
    stream = call.streams[0] if call.streams else None
    tone, seconds, loss = None, 0.0, 1.0
    try:
        measured = measure_file(scene.folder / f"{name}-heard-{call.number}.wav")
        tone, seconds, loss = measured.frequency, measured.tone_seconds, measured.loss
    except (OSError, RecordingError):
        pass  # nothing was recorded: nothing was heard
    return MediaResult(
        phone=name,
        protection="SDES-SRTP" if stream is not None and stream.srtp else "RTP",
        codec=stream.codec if stream is not None else "none",
        packets_sent=stream.packets_sent if stream is not None else 0,
        packets_received=stream.packets_received if stream is not None else 0,
        packets_lost=stream.packets_lost if stream is not None else 0,
        tone_expected=TONES[other],
        tone_heard=tone,
        tone_seconds=seconds,
        loss=loss,
    )
