"""What PJSIP tells of a call's audio: the active stream, its counters, its recording."""

from pathlib import Path
from typing import Any

import pjsua2 as pj

from gateway.softphone.protocol import StreamStatistics


def active_audio(call: Any) -> Any:
    # The members of `info` are pointers into it: it has to live as long as they are read.
    info = call.getInfo()
    for index, media in enumerate(info.media):
        if (
            media.type == pj.PJMEDIA_TYPE_AUDIO
            and media.status == pj.PJSUA_CALL_MEDIA_ACTIVE
            and call.getMedia(index)
        ):
            return call.getAudioMedia(index)
    return None


def is_complete(recording: Path) -> bool:
    """Whether the WAV header, which PJSIP writes last, is there."""
    try:
        with recording.open("rb") as file:
            header = file.read(44)
    except OSError:
        return True  # nothing to wait for
    return header[:4] == b"RIFF" and int.from_bytes(header[40:44], "little") > 0


def stream_statistics(call: Any) -> list[StreamStatistics]:
    found = []
    call_info = call.getInfo()
    for index, media in enumerate(call_info.media):
        if media.type != pj.PJMEDIA_TYPE_AUDIO:
            continue
        try:
            info, stat = call.getStreamInfo(index), call.getStreamStat(index)
        except pj.Error:
            continue  # the stream never started
        sent, received = stat.rtcp.txStat, stat.rtcp.rxStat
        found.append(
            StreamStatistics(
                codec=f"{info.codecName}/{info.codecClockRate}",
                srtp=info.proto & pj.PJMEDIA_TP_PROFILE_SRTP != 0,
                packets_sent=sent.pkt,
                packets_received=received.pkt,
                packets_lost=received.loss,
                packets_reordered=received.reorder,
                packets_duplicated=received.dup,
                packets_discarded=received.discard,
                bytes_sent=sent.bytes,
                bytes_received=received.bytes,
                jitter_ms=received.jitterUsec.mean / 1000,
                remote_address=info.remoteRtpAddress,
            )
        )
    return found
