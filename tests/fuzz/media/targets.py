"""Fuzz targets of the media room: octets in, nothing but the declared errors out.

With atheris installed: `python -m tests.fuzz.media.targets sdp [CORPUS] [libFuzzer options]`.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable
from random import Random
from typing import Final

from media.ice import IceAgent, IceCredentials, IceParameters
from media.local_media import LocalMedia
from media.offer_answer import make_offer
from media.refusal import Unacceptable
from media.remote_media import describe
from media.sdp import MalformedSdp, parse_sdp
from media.sdp_check import problems
from media.stun import MalformedStun, parse_stun
from tests.unit.media.sdp_samples import ORIGIN, POLICY

READ: Final = (
    "username",
    "priority",
    "ice_controlling",
    "ice_controlled",
    "use_candidate",
    "error_code",
    "mapped_address",
    "unknown_required",
)
OURS: Final = LocalMedia("203.0.113.1", 30000, rtcp_port=30001)


def sdp(data: bytes) -> None:
    """Parse, judge and rewrite a description."""
    with contextlib.suppress(MalformedSdp, Unacceptable):
        description = parse_sdp(data)
        problems(description)
        written = description.to_bytes()
        assert parse_sdp(written).to_bytes() == written
        remotes = describe(description, POLICY)
        locals_ = [None if remote is None else OURS for remote in remotes]
        made = make_offer(description, remotes, locals_, kind="rtp", origin=ORIGIN)
        parse_sdp(made.to_bytes())


def stun(data: bytes) -> None:
    """Parse a message and read all of it."""
    with contextlib.suppress(MalformedStun):
        message = parse_stun(data)
        message.integrity_valid(b"key")
        assert (
            message.username is None
            or message.priority is None
            or message.use_candidate
            in (
                True,
                False,
            )
        )
        _ = (message.ice_controlling, message.ice_controlled, message.mapped_address)
        _ = (message.error_code, message.unknown_required)


def ice(data: bytes) -> None:
    """Give an agent a datagram; it must not trust the sender."""
    agent = IceAgent(
        IceCredentials("bob", "a password nobody guesses"),
        ("192.0.2.1", 4000),
        controlling=True,
        lite=False,
        rand=Random(1),
    )
    agent.start(IceParameters(IceCredentials("eve", "another password, longer")), 0.0)
    agent.receive(data, ("198.51.100.1", 5000), 0.0)
    assert not agent.is_validated(("198.51.100.1", 5000))


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {"sdp": sdp, "stun": stun, "ice": ice}


def main() -> None:
    """Fuzz the target named by the first argument."""
    atheris = importlib.import_module("atheris")
    target = TARGETS[sys.argv.pop(1)]
    atheris.instrument_all()
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
