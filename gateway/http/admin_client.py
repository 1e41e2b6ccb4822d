"""Asking a running gateway over the admin interface its configuration names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp

from gateway.config import Config, ConfigError
from gateway.config.files import read_secret


class NoGateway(Exception):
    """No gateway of this configuration answers; the text says what to do."""


class WrongQuestion(ValueError):
    """The gateway says that the question was wrong; the text is its own."""


async def ask_admin(
    config: Config, path: str, question: Mapping[str, Any] | None = None, *, timeout: float = 10.0
) -> dict[str, Any]:
    """Return what the gateway answers to a GET, or to a POST with a question.

    Raises ConfigError without [admin], NoGateway where nothing (or something else) answers, and
    WrongQuestion.
    """
    admin = config.admin
    if admin is None:
        raise ConfigError("admin", "is missing: a gateway is asked over its admin interface")
    token = read_secret(admin.token, admin.token_file, "admin.token")
    place = f"{admin.address}:{admin.port}"
    method = "GET" if question is None else "POST"
    try:
        async with (
            aiohttp.ClientSession(
                headers={"Authorization": f"Bearer {token}"},
                timeout=aiohttp.ClientTimeout(timeout),
            ) as session,
            session.request(method, f"http://{place}{path}", json=question) as answer,
        ):
            if answer.status == 400:
                raise WrongQuestion((await answer.json()).get("detail", "wrong question"))
            if answer.status != 200:
                raise NoGateway(f"{place} answers {answer.status}: is that another gateway?")
            answered: dict[str, Any] = await answer.json()
            return answered
    except (aiohttp.ClientError, TimeoutError) as error:
        cause = error.os_error.strerror if isinstance(error, aiohttp.ClientConnectorError) else ""
        raise NoGateway(
            f"no gateway answers at {place} ({cause or 'it took too long'}); "
            "start it with 'spingate run -c FILE'"
        ) from None


async def is_running(config: Config) -> bool:
    """Whether a gateway of this very configuration answers: it knows the token."""
    try:
        await ask_admin(config, "/v1/transactions", timeout=2.0)
    except (ConfigError, NoGateway):
        return False
    return True
