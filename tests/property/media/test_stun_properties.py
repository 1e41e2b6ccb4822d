"""Whatever the octets: a STUN message, or MalformedStun, and an agent that only drops."""

from __future__ import annotations

import contextlib
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from media.ice import IceAgent, IceCredentials, IceParameters, SendStun
from media.stun import (
    AttributeType,
    MalformedStun,
    MessageClass,
    StunMessage,
    build_stun,
    parse_stun,
)

ATTRIBUTES = st.lists(
    st.tuples(
        st.one_of(
            st.sampled_from([int(kind) for kind in AttributeType]), st.integers(0, 0xFFFF)
        ).filter(
            lambda kind: kind not in (AttributeType.MESSAGE_INTEGRITY, AttributeType.FINGERPRINT)
        ),
        st.binary(max_size=40),
    ),
    max_size=10,
)
MESSAGES = st.builds(
    StunMessage,
    st.sampled_from(MessageClass),
    st.binary(min_size=12, max_size=12),
    ATTRIBUTES.map(tuple),
)
PROPERTIES = (
    "username",
    "priority",
    "ice_controlling",
    "ice_controlled",
    "use_candidate",
    "error_code",
    "mapped_address",
    "unknown_required",
)


@st.composite
def octets(draw: st.DrawFn) -> bytes:
    """Random octets, or a sound message with some octets changed."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=200))
    key = draw(st.sampled_from([None, b"pwd-of-bob-pwd-of-bob-00"]))
    data = bytearray(build_stun(draw(MESSAGES), key=key, fingerprint=draw(st.booleans())))
    for _ in range(draw(st.integers(0, 3))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data)


@given(octets())
def test_any_octets_parse_or_are_malformed(data: bytes) -> None:
    with contextlib.suppress(MalformedStun):
        message = parse_stun(data)
        message.integrity_valid(b"key")
        for name in PROPERTIES:
            with contextlib.suppress(MalformedStun):
                getattr(message, name)


@given(MESSAGES, st.booleans())
def test_what_is_written_is_read_back(message: StunMessage, sealed: bool) -> None:
    key = b"key" if sealed else None
    parsed = parse_stun(build_stun(message, key=key))
    kept = [item for item in parsed.attributes if item[0] not in (0x0008, 0x8028)]
    assert tuple(kept) == message.attributes
    assert parsed.integrity_valid(b"key") is sealed


@given(st.lists(octets(), max_size=20), st.booleans(), st.booleans())
def test_no_octets_make_an_agent_raise_or_trust(
    datagrams: list[bytes], lite: bool, started: bool
) -> None:
    agent = IceAgent(
        IceCredentials("bob", "pwd-of-bob-but-longer-than-that"),
        ("192.0.2.1", 4000),
        controlling=False,
        lite=lite,
        rand=Random(1),
    )
    source = ("198.51.100.1", 5000)
    if started:
        agent.start(IceParameters(IceCredentials("eve", "x" * 24)), 0.0)
    for data in datagrams:
        for action in agent.receive(data, source, 0.0):
            assert isinstance(action, SendStun)
            assert action.destination == source
            assert len(action.data) <= len(data)
    assert not agent.is_validated(source)
    assert agent.selected is None
