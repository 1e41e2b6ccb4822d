"""Where authority tokens come from: a file, a command, or a token authority's HTTPS interface."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from gateway.config.acme import TokenSource as TokenSettings
from gateway.config.files import read_secret
from gateway.config.load import ConfigError
from gateway.http.acme_client import network_error
from gateway.http.fetch import FetchFailed, FetchRefused, GuardedClient
from stir.acme.authority_token import MAX_TOKEN, AuthorityTokenRequest
from stir.acme.problem import AcmeError, Fault
from stir.reason import printable
from stir.strict_json import MalformedJson, parse_object

_KEY: Final = "stir.acme.token"
_MAX_OUTPUT: Final = 65_536
_ENDING_SECONDS: Final = 2.0
_JSON: Final = {"Content-Type": "application/json", "Accept": "application/json"}


class TokenSource(Protocol):
    """Gives an authority token for a request; raises AcmeError."""

    async def token(self, request: AuthorityTokenRequest) -> str: ...


def make_token_source(
    settings: TokenSettings, make_client: Callable[[], GuardedClient]
) -> TokenSource:
    """Return the source that is configured; the client is made only where one is needed."""
    if settings.file is not None:
        return FileTokens(settings.file)
    if settings.command:
        return CommandTokens(settings.command, settings.timeout_seconds)
    return ApiTokens(settings, make_client())


class FileTokens:
    """Reads the token that somebody put into a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def token(self, request: AuthorityTokenRequest) -> str:
        try:
            octets = await asyncio.to_thread(self._read)
        except OSError as error:
            raise AcmeError(
                f"{_KEY}.file: {self._path} cannot be read ({error.strerror})",
                fault=Fault.CONFIGURATION,
                advice=f"put an authority token for {request.fingerprint} there",
            ) from None
        return _token_in(octets, f"{_KEY}.file")

    def _read(self) -> bytes:
        with self._path.open("rb") as file:
            return file.read(_MAX_OUTPUT)


class CommandTokens:
    """Asks a program: the claim as JSON on its standard input, the token on its output."""

    def __init__(self, command: tuple[str, ...], timeout: float) -> None:
        self._command = command
        self._timeout = timeout

    async def token(self, request: AuthorityTokenRequest) -> str:
        asked = json.dumps({"atc": request.claim()}).encode()
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise self._failed(f"cannot be run ({error})") from None
        try:
            async with asyncio.timeout(self._timeout):
                output = await self._converse(process, asked)
                status = await process.wait()
        except TimeoutError:
            raise self._failed(f"gave nothing within {self._timeout:g} s") from None
        finally:
            await _end(process)
        if status != 0:
            raise self._failed(f"ended with status {status}")
        return _token_in(output, f"{_KEY}.command")

    async def _converse(self, process: asyncio.subprocess.Process, asked: bytes) -> bytes:
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(ConnectionError):
            process.stdin.write(asked)
            await process.stdin.drain()
            process.stdin.close()
        output = bytearray()
        while len(output) <= _MAX_OUTPUT and (chunk := await process.stdout.read(_MAX_OUTPUT)):
            output += chunk
        return bytes(output[:_MAX_OUTPUT])

    def _failed(self, why: str) -> AcmeError:
        return AcmeError(
            f"{_KEY}.command: {self._command[0]} {why}",
            fault=Fault.CONFIGURATION,
            advice='run it by hand with {"atc": ...} on its standard input',
        )


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a program and its children, which would hold our pipe open, and empty the pipe."""
    assert process.stdout is not None
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(TimeoutError):
        async with asyncio.timeout(_ENDING_SECONDS):
            while await process.stdout.read(_MAX_OUTPUT):
                continue
            await process.wait()


class ApiTokens:
    """Asks a token authority as the STI-PA (ATIS-1000080) wants it: log in, post the claim."""

    def __init__(self, settings: TokenSettings, client: GuardedClient) -> None:
        assert settings.url is not None
        self._settings = settings
        self._url = settings.url
        self._client = client

    async def token(self, request: AuthorityTokenRequest) -> str:
        headers = dict(_JSON)
        authorization = await self._authorization()
        if authorization is not None:
            headers["Authorization"] = authorization
        body = await self._post(self._url, {"atc": request.claim()}, headers, "the token request")
        return _token_in(body, f"{_KEY}.url")

    async def _authorization(self) -> str | None:
        settings = self._settings
        if settings.bearer_token_file is not None:
            return f"Bearer {_secret(settings.bearer_token_file, 'bearer_token')}"
        if settings.login_url is None:
            return None
        assert settings.password_file is not None
        asked: dict[str, object] = {
            "userId": settings.user,
            "password": _secret(settings.password_file, "password"),
        }
        body = await self._post(settings.login_url, asked, dict(_JSON), "the login")
        token = _object(body, "the login").get("accessToken")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise _unusable("the login", "it has no 'accessToken'")
        return token

    async def _post(
        self, url: str, asked: dict[str, object], headers: dict[str, str], what: str
    ) -> bytes:
        try:
            answer = await self._client.post(url, json.dumps(asked).encode(), headers)
        except (FetchRefused, FetchFailed) as error:
            raise network_error(error, "the token authority") from None
        if not 200 <= answer.status < 300:
            raise AcmeError(
                f"{what} was refused by the token authority: HTTP status {answer.status}"
                f"{_message(answer.body)}",
                fault=Fault.TOKEN_AUTHORITY,
                advice="check user, password and account at the token authority, and that it "
                "lets your address in",
            )
        return answer.body


def _token_in(octets: bytes, where: str) -> str:
    """Read the token: alone, or as member `token` of a JSON object that may say it failed."""
    text = octets.decode("ascii", errors="replace").strip()
    if text.startswith("{"):
        document = _object(text.encode(), where)
        token = document.get("token")
        if not isinstance(token, str):
            raise _unusable(where, f"it has no 'token'{_message(octets)}")
        text = token.strip()
    if not text or len(text) > MAX_TOKEN:
        raise _unusable(where, "there is no authority token in it")
    return text


def _object(octets: bytes, what: str) -> dict[str, object]:
    try:
        return parse_object(octets)
    except MalformedJson as error:
        raise _unusable(what, f"it is {error}") from None


def _message(body: bytes) -> str:
    """What an error answer says for people, if it is JSON that does."""
    try:
        message = parse_object(body).get("message")
    except MalformedJson:
        return ""
    return f": {printable(message, 200)}" if isinstance(message, str) else ""


def _unusable(what: str, why: str) -> AcmeError:
    return AcmeError(
        f"the answer to {what} cannot be used: {why}",
        fault=Fault.TOKEN_AUTHORITY,
        advice="see what the token authority gives by its own means",
    )


def _secret(path: Path, name: str) -> str:
    try:
        return read_secret(None, path, f"{_KEY}.{name}")
    except ConfigError as error:
        raise AcmeError(str(error), fault=Fault.CONFIGURATION, advice="correct the file") from None
