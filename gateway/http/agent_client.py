"""The client of an agent over aiohttp, for applications: requests, and waiting for an answer."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Final

import aiohttp

from discovery.client import agent
from discovery.client.agent import (
    MAX_ANSWER,
    AgentProblem,
    EventReader,
    MalformedAnswer,
    Question,
    Request,
    question,
    read_answer,
    read_question,
)
from discovery.model import Service

_PAUSE: Final = 0.2


class AgentUnreachable(Exception):
    """The agent did not answer; the message names it and why."""


class AgentClient:
    """Speaks to one agent with one token; close it, or use it as a context.

    url: such as http://127.0.0.1:8087; timeout: seconds for one request. socket: the agent's Unix
    socket, beside any http URL such as http://agent. tls: for an https URL, with the trust anchors
    and our client certificate.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout: float = 10.0,
        socket: Path | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._url = url.rstrip("/")
        self._timeout = timeout
        connector: aiohttp.BaseConnector
        if socket is not None:
            connector = aiohttp.UnixConnector(str(socket))
        else:
            connector = aiohttp.TCPConnector(ssl=tls or True)
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers={"Authorization": f"Bearer {token}"},
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=None),
        )

    async def __aenter__(self) -> AgentClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End all connections."""
        await self._session.close()

    async def send(self, request: Request) -> dict[str, object]:
        """Send any request; raises AgentProblem, MalformedAnswer, AgentUnreachable."""
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._session.request(
                    request.method,
                    self._url + request.path,
                    data=request.body,
                    headers=request.headers,
                    allow_redirects=False,
                ) as response,
            ):
                body = await response.content.read(MAX_ANSWER + 1)
                while not response.content.at_eof() and len(body) <= MAX_ANSWER:
                    body += await response.content.read(MAX_ANSWER + 1)
                return read_answer(response.status, response.content_type, body)
        except TimeoutError:
            raise AgentUnreachable(f"{self._url}: nothing within {self._timeout:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise AgentUnreachable(f"{self._url}: {type(error).__name__}") from None

    async def resolve(
        self,
        number: str,
        service: Service,
        *,
        caller: str | None = None,
        mode: agent.Mode | None = None,
        timeout: float = 30.0,
        omsp: str | None = None,
        tag: str | None = None,
    ) -> Question:
        """Ask for a number's URIs and wait for the answer.

        Raises what `send` does; a question that nobody answered is `done` without URIs.
        """
        request = agent.resolve(
            number, service, caller=caller, mode=mode, timeout=timeout, omsp=omsp, tag=tag
        )
        asked = read_question(await self.send(request))
        try:
            async with asyncio.timeout(timeout + self._timeout):
                return await self._wait(asked.question_id)
        except TimeoutError:
            raise AgentUnreachable(f"{self._url}: no answer within {timeout:g} s") from None

    async def _wait(self, question_id: str) -> Question:
        """Listen for events, and again where the connection ends before the answer comes."""
        while True:
            done = await self._listen(question(question_id))
            if done is not None:
                return done
            await asyncio.sleep(_PAUSE)

    async def _listen(self, request: Request) -> Question | None:
        reader = EventReader()
        try:
            async with self._session.get(
                self._url + request.path, headers={"Accept": "text/event-stream"}
            ) as response:
                if response.status != 200:
                    body = await response.content.read(MAX_ANSWER)
                    read_answer(response.status, response.content_type, body)
                    raise MalformedAnswer(f"HTTP status {response.status}")
                async for chunk in response.content.iter_any():
                    for name, document in reader.feed(chunk):
                        if name == "done":
                            return read_question(document)
        except aiohttp.ClientError:
            return None
        return None


__all__ = ["AgentClient", "AgentProblem", "AgentUnreachable", "MalformedAnswer"]
