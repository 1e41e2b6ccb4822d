"""What an ACME procedure asks of its driver, and what it is answered.

A procedure is a generator: it yields one action at a time and is sent the reply to it. The driver
does the I/O; the procedure holds the protocol. Times are epoch seconds, taken from the answers.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from stir.acme.authority_token import AuthorityTokenRequest

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Send:
    """Make one HTTP request, without following redirections; the reply is an Answer."""

    method: Literal["GET", "POST"]
    url: str
    body: bytes | None = field(default=None, repr=False)
    accept: str = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response: any status, header names in lower case, when it came (epoch seconds)."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    received_at: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Let seconds pass; `what` says for people what is waited for. The reply is None."""

    seconds: float
    what: str


@dataclass(frozen=True, slots=True)
class AskToken:
    """Get an authority token from whoever gives it; the reply is the token as text."""

    request: AuthorityTokenRequest
    token_authority: str | None


@dataclass(frozen=True, slots=True)
class Remember:
    """Store that the order is at this URL before anything else is done; the reply is None."""

    order_url: str


Action = Send | Wait | AskToken | Remember
Reply = Answer | str | None
Procedure = Generator[Action, Reply, Result]


def exchange(action: Send) -> Procedure[Answer]:
    """Yield a request and return the answer to it."""
    reply = yield action
    assert isinstance(reply, Answer), "the driver answers a Send with an Answer"
    return reply


def ask_token(action: AskToken) -> Procedure[str]:
    """Yield the question for a token and return the token."""
    reply = yield action
    assert isinstance(reply, str), "the driver answers an AskToken with text"
    return reply
