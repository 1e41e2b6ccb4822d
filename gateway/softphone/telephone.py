"""PJSIP as one telephone with one account: only the softphone's child process imports this.

Callbacks of PJSIP note what happened; objects are made and deleted in `poll` and `do`,
never inside a callback, where PJSIP still holds them.
"""

import functools
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pjsua2 as pj

from gateway.softphone.nameserver import use_nameserver
from gateway.softphone.pjsip_settings import (
    TRANSPORT_TYPE,
    account_settings,
    choose_codecs,
    library_settings,
    transport_settings,
)
from gateway.softphone.protocol import SoftphoneSettings, StreamStatistics
from gateway.softphone.streams import active_audio, is_complete, stream_statistics

Emit = Callable[[dict[str, Any]], None]
CLOSE_SECONDS = 2.0
CALL_STATES = {
    pj.PJSIP_INV_STATE_CALLING: "calling",
    pj.PJSIP_INV_STATE_INCOMING: "incoming",
    pj.PJSIP_INV_STATE_EARLY: "early",
    pj.PJSIP_INV_STATE_CONNECTING: "connecting",
    pj.PJSIP_INV_STATE_CONFIRMED: "confirmed",
    pj.PJSIP_INV_STATE_DISCONNECTED: "disconnected",
}


Callback = Callable[[Any, Any], None]


def told(callback: Callback) -> Callback:
    """Tell the parent of an exception in a callback: PJSIP's C++ would swallow it."""

    @functools.wraps(callback)
    def guarded(self: Any, prm: Any) -> None:
        try:
            callback(self, prm)
        except Exception as error:  # noqa: BLE001  (the outermost Python frame)
            detail = f"{callback.__name__}: {type(error).__name__}: {error}"
            self.emit({"event": "error", "detail": detail})

    return guarded


class TelephoneError(Exception):
    """A command that could not be carried out; the text says why."""


class _Endpoint(pj.Endpoint):  # type: ignore[misc]  # pjsua2 has no types
    def __init__(self, emit: Emit) -> None:
        super().__init__()
        self.emit = emit

    @told
    def onTransportState(self, prm: Any) -> None:  # noqa: N802  (PJSIP's name)
        """Tell of connections that failed, and why a certificate was refused."""
        if prm.lastError == 0:
            return
        try:
            reasons = list(prm.tlsInfo.verifyMsgs)
        except (AttributeError, TypeError):
            reasons = []
        self.emit(
            {
                "event": "transport",
                "state": "failed",
                "detail": self.utilStrError(prm.lastError),
                "tls": [str(reason) for reason in reasons if str(reason) != "OK"],
                "at": time.time(),
            }
        )


class _Account(pj.Account):  # type: ignore[misc]
    def __init__(self, telephone: "Telephone") -> None:
        super().__init__()
        self._telephone = telephone
        self.emit = telephone.emit

    @told
    def onRegState(self, prm: Any) -> None:  # noqa: N802
        self._telephone.registration(prm)

    @told
    def onIncomingCall(self, prm: Any) -> None:  # noqa: N802
        self._telephone.incoming(prm.callId)


class _Call(pj.Call):  # type: ignore[misc]
    def __init__(self, telephone: "Telephone", account: _Account, call_id: int = -1) -> None:
        super().__init__(account, call_id)
        self._telephone = telephone
        self.emit = telephone.emit
        self.number = 0
        self.answer_at: float | None = None
        self.player: Any = None
        self.recorder: Any = None
        self.recording: Path | None = None
        self.over = False
        self.streams: list[StreamStatistics] = []

    @told
    def onCallState(self, prm: Any) -> None:  # noqa: N802
        self._telephone.call_state(self)

    @told
    def onCallMediaState(self, prm: Any) -> None:  # noqa: N802
        self._telephone.media_state(self)

    @told
    def onStreamDestroyed(self, prm: Any) -> None:  # noqa: N802
        """Read the counters while they exist: by the end of the call they do not."""
        self.streams = stream_statistics(self)


class Telephone:
    """PJSIP's library, one account, its calls; everything is told to `emit`."""

    def __init__(self, emit: Emit) -> None:
        self.emit = emit
        self._endpoint: Any = None
        self._account: Any = None
        self._settings: SoftphoneSettings | None = None
        self._calls: dict[int, _Call] = {}
        self._unfinished: list[tuple[int, Path | None, float]] = []
        self._count = 0
        self._registering = False
        self.quitting = False

    # -- the child's loop -------------------------------------------------------------------

    def do(self, command: dict[str, Any]) -> dict[str, Any]:
        """Carry out one command; raises TelephoneError."""
        action = getattr(self, f"_do_{command.get('do')}", None)
        if action is None:
            raise TelephoneError(f"unknown command {command.get('do')!r}")
        try:
            result: dict[str, Any] = action(command)
        except pj.Error as error:
            raise TelephoneError(f"PJSIP: {error.title}: {error.reason}") from None
        except (OSError, TypeError, ValueError, KeyError) as error:
            raise TelephoneError(f"{type(error).__name__}: {error}") from None
        return result

    def poll(self, milliseconds: int) -> None:
        """Let PJSIP work for a moment, answer calls that are due, forget those that ended."""
        if self._endpoint is None:
            time.sleep(milliseconds / 1000)
            return
        self._endpoint.libHandleEvents(milliseconds)
        for call in list(self._calls.values()):
            if call.over:
                self._release(call)
            elif call.answer_at is not None and time.time() >= call.answer_at:
                call.answer_at = None
                self._answer(call, pj.PJSIP_SC_OK)
        self._finish()

    def close(self) -> None:
        """Hang up, unregister, delete every object, then end the library."""
        if self._endpoint is None:
            return
        try:
            self._endpoint.hangupAllCalls()
            if self._account is not None and self._account.getInfo().regIsActive:
                self._set_registration(active=False)
        except pj.Error:
            pass
        until = time.time() + CLOSE_SECONDS
        while time.time() < until and self._is_busy():
            self.poll(10)
        for call in list(self._calls.values()):
            self._release(call)
        if self._account is not None:
            self._account.shutdown()
            self._account = None
        # Everything was said: without this PJSIP waits a second for answers that came.
        self._endpoint.libDestroy(pj.PJSUA_DESTROY_NO_NETWORK)
        self._endpoint = None

    # -- commands ---------------------------------------------------------------------------

    def _do_start(self, command: dict[str, Any]) -> dict[str, Any]:
        settings = SoftphoneSettings.from_json(command["settings"])
        self._settings = settings
        self._endpoint = _Endpoint(self.emit)
        self._endpoint.libCreate()
        self._endpoint.libInit(library_settings(settings))
        if settings.nameserver:
            library = Path(pj.__file__).parent
            binary = next(library.glob("_pjsua2*.so"))
            use_nameserver(binary, *settings.nameserver)
        transport = self._endpoint.transportCreate(
            TRANSPORT_TYPE[settings.transport], transport_settings(settings)
        )
        self._endpoint.libStart()
        self._endpoint.audDevManager().setNullDev()
        choose_codecs(self._endpoint, settings.codecs)
        self._account = _Account(self)
        self._account.create(account_settings(settings, transport))
        return {"contact": self._endpoint.transportGetInfo(transport).localAddress}

    def _do_register(self, command: dict[str, Any]) -> dict[str, Any]:
        self._set_registration(active=True)
        return {}

    def _do_unregister(self, command: dict[str, Any]) -> dict[str, Any]:
        self._set_registration(active=False)
        return {}

    def _do_call(self, command: dict[str, Any]) -> dict[str, Any]:
        call = self._add(_Call(self, self._account))
        options = pj.CallOpParam(True)
        options.opt.audioCount, options.opt.videoCount = 1, 0
        for name, value in command.get("headers", {}).items():
            header = pj.SipHeader()
            header.hName, header.hValue = name, value
            options.txOption.headers.append(header)
        try:
            call.makeCall(command["uri"], options)
        except pj.Error:
            del self._calls[call.number]
            raise
        return {"call": call.number}

    def _do_answer(self, command: dict[str, Any]) -> dict[str, Any]:
        call = self._find(command)
        call.answer_at = None
        self._answer(call, int(command.get("status", 200)))
        return {}

    def _do_hangup(self, command: dict[str, Any]) -> dict[str, Any]:
        options = pj.CallOpParam()
        options.statusCode = int(command.get("status", 0))
        self._find(command).hangup(options)
        return {}

    def _do_play(self, command: dict[str, Any]) -> dict[str, Any]:
        self._play(self._find(command), Path(command["file"]))
        return {}

    def _do_record(self, command: dict[str, Any]) -> dict[str, Any]:
        self._record(self._find(command), Path(command["file"]))
        return {}

    def _do_statistics(self, command: dict[str, Any]) -> dict[str, Any]:
        call = self._find(command)
        return {"streams": [asdict(stream) for stream in stream_statistics(call)]}

    def _do_quit(self, command: dict[str, Any]) -> dict[str, Any]:
        self.quitting = True
        return {}

    # -- what PJSIP tells -------------------------------------------------------------------

    def registration(self, prm: Any) -> None:
        """A REGISTER was answered, or could not be sent."""
        self._registering = False
        self.emit(
            {
                "event": "registration",
                "active": bool(prm.expiration) and prm.code // 100 == 2,
                "status": prm.code,
                "reason": prm.reason,
                "expires": prm.expiration,
                "at": time.time(),
            }
        )

    def incoming(self, call_id: int) -> None:
        """An INVITE came: ring, and answer later if so configured."""
        assert self._settings is not None
        call = self._add(_Call(self, self._account, call_id))
        info = call.getInfo()
        self.emit(
            {
                "event": "incoming",
                "call": call.number,
                "remote_uri": info.remoteUri,
                "call_id": info.callIdString,
                "at": time.time(),
            }
        )
        if self._settings.answer_after is not None:
            self._answer(call, pj.PJSIP_SC_RINGING)
            call.answer_at = time.time() + self._settings.answer_after

    def call_state(self, call: _Call) -> None:
        """The INVITE session moved on."""
        info = call.getInfo()
        over = info.state == pj.PJSIP_INV_STATE_DISCONNECTED
        event = {
            "event": "call",
            "call": call.number,
            "state": CALL_STATES.get(info.state, "null"),
            "status": info.lastStatusCode,
            "reason": info.lastReason,
            "call_id": info.callIdString,
            "at": time.time(),
        }
        if over:
            call.over = True
            event["seconds"] = info.connectDuration.sec + info.connectDuration.msec / 1000
            event["streams"] = [asdict(stream) for stream in call.streams]
        self.emit(event)

    def media_state(self, call: _Call) -> None:
        """Audio became active (or changed): join the files to it."""
        assert self._settings is not None
        audio = active_audio(call)
        if audio is None:
            return
        if self._settings.play and call.player is None:
            self._play(call, self._settings.play)
        elif call.player is not None:
            call.player.startTransmit(audio)
        if self._settings.record and call.recorder is None:
            name = str(self._settings.record).replace("{call}", str(call.number))
            self._record(call, Path(name))
        elif call.recorder is not None:
            audio.startTransmit(call.recorder)
        streams = [asdict(stream) for stream in stream_statistics(call)]
        self.emit({"event": "media", "call": call.number, "streams": streams, "at": time.time()})

    # -- parts ------------------------------------------------------------------------------

    def _is_busy(self) -> bool:
        return bool(self._calls or self._unfinished or self._registering)

    def _set_registration(self, *, active: bool) -> None:
        self._account.setRegistration(active)
        self._registering = True

    def _add(self, call: _Call) -> _Call:
        self._count += 1
        call.number = self._count
        self._calls[call.number] = call
        return call

    def _find(self, command: dict[str, Any]) -> _Call:
        call = self._calls.get(command.get("call", 0))
        if call is None or call.over:
            raise TelephoneError(f"there is no call {command.get('call')}")
        return call

    def _answer(self, call: _Call, status: int) -> None:
        options = pj.CallOpParam(True)
        options.opt.audioCount, options.opt.videoCount = 1, 0
        options.statusCode = status
        try:
            call.answer(options)
        except pj.Error as error:
            self.emit({"event": "error", "call": call.number, "detail": error.reason})

    def _play(self, call: _Call, file: Path) -> None:
        player = pj.AudioMediaPlayer()
        player.createPlayer(str(file))
        call.player = player
        audio = active_audio(call)
        if audio is not None:
            player.startTransmit(audio)

    def _record(self, call: _Call, file: Path) -> None:
        recorder = pj.AudioMediaRecorder()
        recorder.createRecorder(str(file))
        call.recorder, call.recording = recorder, file
        audio = active_audio(call)
        if audio is not None:
            audio.startTransmit(recorder)

    def _release(self, call: _Call) -> None:
        """Delete the files' media, then the call; the recording is complete a moment later."""
        call.player = call.recorder = None
        self._calls.pop(call.number, None)
        self._unfinished.append((call.number, call.recording, time.time() + CLOSE_SECONDS))

    def _finish(self) -> None:
        """Tell of calls that left nothing behind: PJSIP closes recordings in its media thread."""
        waiting, self._unfinished = self._unfinished, []
        for number, recording, until in waiting:
            if recording is None or is_complete(recording) or time.time() >= until:
                self.emit({"event": "released", "call": number, "at": time.time()})
            else:
                self._unfinished.append((number, recording, until))
