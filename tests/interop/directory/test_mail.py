"""Codes by mail, over a real submission server: TLS, authentication, and every way it fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from discovery.directory.identifier import parse_identifier
from discovery.directory.reason import Refused
from gateway.directory.authority import NotSent
from gateway.directory.couriers import Couriers
from gateway.http.fetch import client_context
from gateway.mail.submission import MailFailed, MailSettings, MailSubmission
from tests.support.mail_server import PASSWORD, MailServer, Mood, serving_mail

pytestmark = pytest.mark.real
MAIL = parse_identifier("mailto:bob@mail.example")


def settings(server: MailServer) -> MailSettings:
    return MailSettings(
        "127.0.0.1", server.port, "starttls", "challenge@dp.example", "directory", PASSWORD, 5.0
    )


def submission(server: MailServer, **changes: object) -> MailSubmission:
    made = replace(settings(server), **changes)  # type: ignore[arg-type]
    return MailSubmission(made, client_context(server.trust_file))


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[MailServer]:
    async with serving_mail(tmp_path, now=time.time()) as server:
        yield server


async def test_a_code_arrives_as_a_proper_mail(server: MailServer) -> None:
    couriers = Couriers((), (), submission(server))
    await couriers.deliver(MAIL, ("CodeCodeCodeCodeCodeCo",))
    mailbox = server.mailbox
    assert (mailbox.logins, mailbox.secured) == (["directory"], [True])
    sender, recipients, _ = mailbox.taken[0]
    assert (sender, recipients) == ("challenge@dp.example", ["bob@mail.example"])
    message = mailbox.only()
    assert message["From"] == "challenge@dp.example"
    assert message["To"] == "bob@mail.example"
    assert message["Auto-Submitted"] == "auto-generated"
    assert abs(parsedate_to_datetime(message["Date"]).timestamp() - time.time()) < 60
    assert message["Message-ID"].endswith("@dp.example>")
    assert message.get_content_type() == "text/plain"
    assert "Code: CodeCodeCodeCodeCodeCo\r\n" in message.get_content()
    assert set(message.keys()) >= {"Subject", "MIME-Version", "Content-Transfer-Encoding"}
    assert couriers.outcomes == {("mail", "sent"): 1}


@pytest.mark.parametrize("address", ["o'neil+x@mail.example", "a!$*+_~-b.c@mail.example"])
async def test_odd_but_lawful_addresses_arrive_as_they_are(
    server: MailServer, address: str
) -> None:
    await Couriers((), (), submission(server)).deliver(
        parse_identifier(f"mailto:{address}"), ("c",)
    )
    assert server.mailbox.taken[0][1] == [address]
    assert server.mailbox.only()["To"] == address


@pytest.mark.parametrize(
    ("address", "subject"),
    [("bob@mail.example\r\nBcc: eve@x.example", "s"), ("bob@mail.example", "s\r\nX: y")],
)
async def test_no_header_can_be_smuggled_in(server: MailServer, address: str, subject: str) -> None:
    with pytest.raises(ValueError, match=r"linefeed|newline|CR|header"):
        await submission(server).send(address, subject, "text")
    assert server.mailbox.taken == []


async def test_dots_and_ends_of_mail_in_the_text_stay_text(server: MailServer) -> None:
    await submission(server).send("bob@mail.example", "s", "one\n.\nMAIL FROM:<x@y>\n")
    assert "one\r\n.\r\nMAIL FROM:<x@y>" in server.mailbox.only().get_content()


@pytest.mark.parametrize(
    ("mood", "ours", "outcome"),
    [
        ("no such mailbox", False, "refused"),
        ("busy", True, "delayed"),
        ("slow", True, "delayed"),
        ("drops", True, "delayed"),
    ],
)
async def test_a_server_that_does_not_take_it_is_one_refusal(
    server: MailServer, mood: Mood, ours: bool, outcome: str
) -> None:
    server.mailbox.mood = mood
    couriers = Couriers((), (), submission(server, timeout=0.5))
    begun = time.monotonic()
    with pytest.raises(Refused) as caught:
        await couriers.deliver(MAIL, ("code",))
    assert time.monotonic() - begun < 3.0
    assert isinstance(caught.value, NotSent) is ours
    assert "bob" not in caught.value.detail
    assert couriers.outcomes == {("mail", outcome): 1}


async def test_what_the_server_says_after_taking_it_changes_nothing(server: MailServer) -> None:
    server.mailbox.mood = "rude goodbye"
    await submission(server).send("bob@mail.example", "s", "text")
    assert len(server.mailbox.taken) == 1


async def test_a_wrong_password_an_unknown_authority_and_nobody_there(
    server: MailServer, tmp_path: Path
) -> None:
    with pytest.raises(MailFailed, match="SMTP 535"):
        await submission(server, password="wrong").check()
    tries = len(server.mailbox.logins)
    strange = MailSubmission(settings(server), client_context(None))
    with pytest.raises(MailFailed):
        await strange.check()
    assert len(server.mailbox.logins) == tries  # no password without proof of who asks for it
    with pytest.raises(MailFailed):
        await submission(server, port=1).check()
    await submission(server).check()


async def test_a_server_without_starttls_gets_no_password(tmp_path: Path) -> None:
    async with serving_mail(tmp_path, now=time.time(), starttls=False) as server:
        with pytest.raises(MailFailed):
            await submission(server).send("bob@mail.example", "s", "text")
        assert (server.mailbox.logins, server.mailbox.taken) == ([], [])


async def test_tls_from_the_first_octet(tmp_path: Path) -> None:
    async with serving_mail(tmp_path, now=time.time(), implicit_tls=True) as server:
        await submission(server, tls="tls").send("bob@mail.example", "s", "text")
        assert server.mailbox.only()["To"] == "bob@mail.example"


async def test_a_slow_server_does_not_hold_up_others_for_ever(server: MailServer) -> None:
    server.mailbox.mood = "slow"
    slow = submission(server, timeout=0.5)
    sending = [slow.send("bob@mail.example", "s", "text") for _ in range(20)]
    results = await asyncio.gather(*sending, return_exceptions=True)
    assert all(isinstance(each, MailFailed) for each in results)
    server.mailbox.mood = "good"
    await slow.send("bob@mail.example", "s", "text")
    assert len(server.mailbox.taken) == 1
