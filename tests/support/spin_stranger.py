"""Strangers in SPIN: invitations sent to beta's numbers, answers posted to alpha's callback."""

from __future__ import annotations

import itertools
import json
import secrets
import time
from dataclasses import dataclass
from typing import Any

import aiohttp

from discovery.model import Service
from discovery.spin.carriage import invitation_token, to_text
from discovery.spin.compact import read_passport, token_digest
from discovery.spin.segments import split_text
from gateway.demo.handset import ShortMessage
from tests.support.stir_peer import Signer
from tests.support.troubled_scene import TroubledScene, eventually

MALLORY = "+14155550150"
_references = itertools.count(1)


def invitation(signer: Signer, number: str, callback: str, **changes: Any) -> str:
    """An invitation from MALLORY to a number, with claims changed."""
    now = int(time.time())
    claims = {
        "cb": callback,
        "dest": {"tn": [number.lstrip("+")]},
        "exp": now + 120,
        "iat": now,
        "jti": secrets.token_urlsafe(12),
        "orig": {"tn": MALLORY.lstrip("+")},
        "svc": ["voice"],
        "tok": secrets.token_urlsafe(16),
        **changes,
    }
    header = {"alg": "ES256", "ppt": "spin", "typ": "passport", "x5u": signer.x5u}
    return signer.sign(header, claims)


def send_text(scene: TroubledScene, number: str, text: str, *, sender: str = MALLORY) -> None:
    """Put a text into the SMS network, in as many parts as it needs."""
    for part in split_text(text, next(_references) & 0xFF):
        scene.smsc.submit(
            ShortMessage(
                source=sender.lstrip("+"),
                destination=number.lstrip("+"),
                user_data=part.octets,
                esm_class=0x40 if part.concatenation else 0,
            )
        )


def send_invitation(scene: TroubledScene, number: str, token: str) -> None:
    """Put an invitation into the SMS network."""
    send_text(scene, number, to_text(token, MALLORY.lstrip("+"), Service.VOICE))


@dataclass(frozen=True)
class Invited:
    """An invitation that alpha sent to a number outside of both providers."""

    number: str
    token: str
    callback: str
    bearer: str

    @property
    def digest(self) -> str:
        return token_digest(self.token)


async def invited(scene: TroubledScene, number: str) -> Invited:
    """Wait for alpha's latest invitation on a telephone."""

    def look() -> str | None:
        texts = [invitation_token(message.text) for message in scene.smsc.inbox(number)]
        return texts[-1] if texts else None

    token = await eventually(look, f"no invitation came to {number}")
    claims = read_passport(token, "spin").claims
    return Invited(number, token, str(claims["cb"]), str(claims["tok"]))


def answer(signer: Signer, to: Invited, caller: str, **changes: Any) -> str:
    """An answer to an invitation, with claims changed."""
    now = int(time.time())
    number = to.number.lstrip("+")
    claims = {
        "dest": {"tn": [caller.lstrip("+")]},
        "exp": now + 120,
        "iat": now,
        "inv": to.digest,
        "jti": secrets.token_urlsafe(12),
        "orig": {"tn": number},
        "st": "ok",
        "uris": [uri(number)],
        **changes,
    }
    header = {"alg": "ES256", "ppt": "spin-ans", "typ": "passport", "x5u": signer.x5u}
    return signer.sign(header, claims)


def uri(number: str, **changes: Any) -> dict[str, Any]:
    """One URI of an answer."""
    given = f"sip:+{number}@gamma.example;user=phone"
    return {"msp": "gamma.example", "prio": 10, "svc": "voice", "uri": given, **changes}


async def post(
    scene: TroubledScene,
    url: str,
    body: str,
    *bearers: str,
    media_type: str = "application/jose",
) -> tuple[int, str]:
    """Post to alpha's callback; return the status and the name of the problem, if any."""
    path = url.partition("://")[2].partition("/")[2]
    headers = [("Content-Type", media_type)]
    headers += [("Authorization", f"Bearer {bearer}") for bearer in bearers]
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"https://{scene.address(10)}:8443/{path}",
            data=body.encode(),
            headers=headers,
            ssl=scene.tls,
            server_hostname="spin.alpha.example",
        ) as response,
    ):
        text = await response.text()
        if not text:
            return response.status, ""
        assert response.content_type == "application/problem+json"
        return response.status, str(json.loads(text)["type"]).removeprefix("urn:spin:error:")
