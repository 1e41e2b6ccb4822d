"""Ten thousand postings of one peer: nearly all get 429, and none leaves anything behind."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from discovery.model import Service
from discovery.spin.limits import RateLimit
from discovery.spin.pending import PendingInvitations
from discovery.spin.reason import Refusal
from gateway.http.callback import CallbackServer
from gateway.http.listener import HttpListener, ListenerLimits
from gateway.http.mm7 import Mm7Receiver
from gateway.http.sms_webhook import SmsWebhook
from tests.support.spin_passports import ALICE, BOB, NOW, KeySigner, KeyVerifier

pytestmark = pytest.mark.real
POSTINGS = 10_000
BETA = KeySigner(BOB)


class Callback:
    """The callback server with everything strangers reach there, and one invitation waiting."""

    def __init__(self) -> None:
        self.pending = PendingInvitations(lambda count: b"\x07" * count)
        self.waiting = self.pending.open(BOB, ALICE, (Service.VOICE,), lifetime=60, now=NOW)
        self.pending.bind(self.waiting.invitation_id, "the.signed.invitation")
        self.taken: list[object] = []
        self.verifier = KeyVerifier(BETA)
        self.server = CallbackServer(
            self.pending,
            self.verifier,
            lambda *each: self.taken.append(each),
            lambda: NOW,
            per_source=RateLimit(120, 60.0),
        )
        self.webhook = SmsWebhook(b"k" * 16, self.taken.append, lambda: NOW)
        self.mm7 = Mm7Receiver("mmsc", "p", lambda *each: self.taken.append(each), lambda: NOW)


async def statuses(listener: HttpListener, request: bytes) -> Counter[int]:
    """Send one request ten thousand times on one connection, and count the answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)

    async def send() -> None:
        for _ in range(POSTINGS // 100):
            writer.write(request * 100)
            await writer.drain()

    sending = asyncio.create_task(send())
    found: Counter[int] = Counter()
    try:
        for _ in range(POSTINGS):
            head = await reader.readuntil(b"\r\n\r\n")
            found[int(head.split(b" ", 2)[1])] += 1
            length = next(
                line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
            )
            await reader.readexactly(int(length.partition(b":")[2]))
        await sending
    finally:
        sending.cancel()
        writer.close()
    return found


def posting(path: str, headers: str, body: str) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: spin\r\n{headers}\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n{body}".encode()


@pytest.mark.parametrize(
    ("path", "headers", "let_through"),
    [
        ("/s/unknown", "Authorization: Bearer wrong\r\nContent-Type: application/jose", 120),
        (
            "/sms",
            f"X-Spingate-Timestamp: {int(NOW)}\r\nX-Spingate-Signature: v1={'0' * 64}\r\n"
            "Content-Type: application/json",
            20,
        ),
        ("/mm7", "Authorization: Basic bW1zYzp4\r\nContent-Type: text/xml", 20),
    ],
)
async def test_ten_thousand_postings_of_one_peer_leave_nothing_behind(
    path: str, headers: str, let_through: int
) -> None:
    scene = Callback()
    application = scene.server.application(scene.webhook, scene.mm7)
    limits = ListenerLimits(lifetime=120.0)
    listener = HttpListener(application, "127.0.0.1", 0, tls=None, limits=limits)
    await listener.start()
    try:
        found = await statuses(listener, posting(path, headers, "a.b.c"))
    finally:
        await listener.stop()
    assert found == {401: let_through, 429: POSTINGS - let_through}
    assert scene.taken == []
    assert scene.verifier.asked == 0
    # What is kept of them: one source, with the times of those that were let through.
    windows = (scene.server._sources, scene.webhook._failures, scene.mm7._failures)
    kept = [len(events) for window in windows for events in window._events.values()]
    assert kept == [let_through]
    assert len(scene.webhook._seen) == 0
    assert set(scene.server.refused) <= {Refusal.RATE_LIMITED, Refusal.BAD_TOKEN}
    # The invitation is still there for who has its token.
    token = scene.waiting.token
    assert scene.pending.authorise(scene.waiting.invitation_id, token, NOW) == scene.waiting
