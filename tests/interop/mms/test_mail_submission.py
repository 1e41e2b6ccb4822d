"""Invitations by mail to an MMSC: who to whom, in what form, and what is sure when it fails."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from discovery.spin.mms import MEDIA_TYPE, read_content
from discovery.spin.networks import Carriage, Network, Networks
from gateway.config import Config, ConfigError
from gateway.config.discovery import Spin
from gateway.discovery_checks import discovery
from gateway.dns import DnsResolver, DnsSettings
from gateway.http.fetch import client_context
from gateway.keys import load_keys
from gateway.mail.submission import MailSettings, MailSubmission
from gateway.mms.mail import MmscMail
from gateway.sms.failure import SmsFailed, SmsFailure
from gateway.spin.carriers import Carriers
from gateway.spin.making import make_mmsc
from tests.support.call_scene import make_config
from tests.support.mail_server import PASSWORD, MailServer, Mood, serving_mail
from tests.support.spin_passports import ALICE, BOB, NOW
from tests.unit.gateway.spin.test_carriers import FakeSms, sending

pytestmark = pytest.mark.real
SENDER = "+{number}/TYPE=PLMN@edge.example"
RECIPIENT = "+{number}/TYPE=PLMN@mms.example"
TOKEN = "aaa.bbb." + "c" * 1700  # as long as one with its certificates
TEXT = (
    "+33 6 12 34 56 78 souhaite vous appeler. Si vous voyez ce message, rappelez simplement : été"
)


def mmsc(server: MailServer, **changes: object) -> MmscMail:
    settings = MailSettings(
        "127.0.0.1", server.port, "starttls", SENDER, "directory", PASSWORD, 5.0
    )
    settings = replace(settings, **changes)  # type: ignore[arg-type]
    submission = MailSubmission(settings, client_context(server.trust_file))
    return MmscMail(submission, SENDER, RECIPIENT)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[MailServer]:
    async with serving_mail(tmp_path, now=time.time()) as server:
        yield server


async def test_an_invitation_arrives_whole_from_number_to_number(server: MailServer) -> None:
    await mmsc(server).send(ALICE, BOB, TEXT, TOKEN)
    mailbox = server.mailbox
    assert (mailbox.logins, mailbox.secured) == (["directory"], [True])
    sender, recipients, _ = mailbox.taken[0]
    assert sender == f"+{ALICE}/TYPE=PLMN@edge.example"
    assert recipients == [f"+{BOB}/TYPE=PLMN@mms.example"]
    message = mailbox.only()
    assert (message["From"], message["To"]) == (sender, recipients[0])
    plain, invitation = message.iter_parts()
    assert plain.get_content_type() == "text/plain"
    assert plain.get_content().strip() == TEXT
    assert invitation.get_content_type() == MEDIA_TYPE
    octets = message.as_bytes()
    assert read_content(octets).token == TOKEN
    assert octets.isascii()
    assert max(map(len, octets.split(b"\n"))) <= 998


@pytest.mark.parametrize(
    ("mood", "failure", "definite"),
    [
        ("no such mailbox", SmsFailure.REJECTED, True),
        ("busy", SmsFailure.THROTTLED, True),
        ("slow", SmsFailure.TIMEOUT, True),
        ("drops", SmsFailure.LINK_LOST, True),
        ("full", SmsFailure.REJECTED, True),
        ("slow to take it", SmsFailure.TIMEOUT, False),
        ("drops at the end", SmsFailure.LINK_LOST, False),
    ],
)
async def test_only_what_nobody_answered_after_its_last_octet_is_in_doubt(
    server: MailServer, mood: Mood, failure: SmsFailure, definite: bool
) -> None:
    server.mailbox.mood = mood
    client = mmsc(server, timeout=0.5)
    with pytest.raises(SmsFailed) as caught:
        await client.send(ALICE, BOB, TEXT, TOKEN)
    assert (caught.value.failure, caught.value.definite) == (failure, definite)
    assert caught.value.culprit == f"mail server 127.0.0.1:{server.port}"
    assert BOB not in str(caught.value)
    sms = FakeSms()
    ways = Carriers(sms, Networks([Network("1", (Carriage.MMS,))]), mms=client)
    if definite:  # text goes out instead; else it would be the second
        assert await ways.send(sending(), NOW) is Carriage.TEXT
    else:
        with pytest.raises(SmsFailed):
            await ways.send(sending(), NOW)
        assert sms.sent == []


async def test_a_server_that_does_not_let_us_in_took_nothing(server: MailServer) -> None:
    for client in (mmsc(server, password="wrong"), mmsc(server, port=1)):
        with pytest.raises(SmsFailed) as caught:
            await client.send(ALICE, BOB, TEXT, TOKEN)
        assert (caught.value.failure, caught.value.definite) == (SmsFailure.NOT_BOUND, True)
        assert PASSWORD not in str(caught.value)
    assert server.mailbox.taken == []


async def test_too_many_at_once_are_refused_before_they_wait(server: MailServer) -> None:
    client = mmsc(server)
    client._submission._under_way = 100
    with pytest.raises(SmsFailed) as caught:
        await client.send(ALICE, BOB, TEXT, TOKEN)
    assert (caught.value.failure, caught.value.definite) == (SmsFailure.BUSY, True)


async def test_a_name_shown_beside_short_messages_is_no_number(server: MailServer) -> None:
    ways = Carriers(FakeSms(), Networks([Network("1", (Carriage.MMS,))]), mms=mmsc(server))
    assert await ways.send(replace(sending(), source="Edge"), NOW) is Carriage.MMS
    assert server.mailbox.taken[0][0] == f"+{ALICE}/TYPE=PLMN@edge.example"


def configured(folder: Path, **mail: object) -> Config:
    spin = {
        "callback_url": "https://spin.alpha.example",
        "address": "127.0.0.1",
        "certificate": folder / "mail.pem",
        "key": folder / "mail.key",
        "mms": {
            "deliver_password": "theirs",
            "mail": {
                "host": "127.0.0.1",
                "user": "directory",
                "password": PASSWORD,
                "trust_anchors": folder / "mail-root.pem",
                "sender": SENDER,
                "recipient": RECIPIENT,
                **mail,
            },
        },
    }
    base = make_config()
    update = {
        "spin": Spin.model_validate(spin),
        "listen": base.listen[:2],
        "stir": base.stir.model_copy(update={"authentication": None, "verification": None}),
    }
    return base.model_copy(update=update)


async def test_the_configuration_says_where_how_and_as_whom(
    server: MailServer, tmp_path: Path
) -> None:
    config = configured(tmp_path, port=server.port)
    keys = load_keys(config)
    assert keys.carriages.mms_deliver_password == "theirs"
    assert PASSWORD not in repr(keys)
    assert config.spin is not None
    made = make_mmsc(config, config.spin, keys)
    assert isinstance(made, MmscMail)
    await made.send(ALICE, BOB, TEXT, TOKEN)
    assert server.mailbox.logins == ["directory"]
    assert server.mailbox.taken[0][1] == [f"+{BOB}/TYPE=PLMN@mms.example"]
    with pytest.raises(ConfigError, match=r"spin\.mms\.mail\.trust_anchors"):
        load_keys(configured(tmp_path, trust_anchors=tmp_path / "mail.key"))


async def test_a_check_tries_to_be_let_in_and_sends_nothing(
    server: MailServer, tmp_path: Path
) -> None:
    cases: tuple[tuple[dict[str, object], str, str], ...] = (
        ({}, "passed", "lets us in"),
        ({"password": "wrong"}, "failed", "SMTP 535"),
        ({"port": 1}, "failed", "mail server 127.0.0.1:1"),
        ({"trust_anchors": tmp_path / "absent.pem"}, "failed", "trust_anchors"),
        (
            {"password": None, "password_file": tmp_path / "absent"},
            "failed",
            "spin.mms.mail.password_file",
        ),
    )
    for changes, outcome, detail in cases:
        config = configured(tmp_path, **{"port": server.port, **changes})
        resolver = DnsResolver(DnsSettings(nameservers=(("127.0.0.1", 9),)))
        found = [each async for each in discovery(config, resolver) if each.name == "MMSC"]
        await resolver.close()
        assert [each.outcome for each in found] == [outcome]
        assert detail in found[0].detail
        assert (found[0].hint == "") is (outcome == "passed")
    assert server.mailbox.taken == []
