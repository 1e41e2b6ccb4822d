"""One provider of the scene: its folder, its gateway process and its HTTP interfaces."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import aiohttp

from gateway.config import Config, load_config
from gateway.config.files import read_secret

_STARTING_SECONDS: Final = 60.0
_STOPPING_SECONDS: Final = 15.0
_POLL_SECONDS: Final = 0.05
_LOG_TAIL: Final = 5


class SceneError(Exception):
    """A part of the scene did not start or died; the text names it and where to look."""


class Provider:
    """A gateway in a process of its own, run as an operator runs it."""

    def __init__(self, name: str, config_file: Path) -> None:
        self.name = name
        self.config_file = config_file
        self.config: Config = load_config(config_file, {})
        self._process: asyncio.subprocess.Process | None = None

    @property
    def domain(self) -> str:
        """The provider's domain."""
        return self.config.provider.domain

    @property
    def log_file(self) -> Path:
        """Where the gateway's standard error goes."""
        return self.config_file.parent / "gateway.log"

    @property
    def process_id(self) -> int | None:
        """The gateway's process, for its CPU and memory to be measured."""
        return self._process.pid if self._process is not None else None

    @property
    def exit_code(self) -> int | None:
        """What the gateway ended with; None while it runs or before it was started."""
        return self._process.returncode if self._process is not None else None

    async def start(self) -> None:
        """Start the gateway and wait until it serves; raises SceneError."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SPINGATE_")}
        with self.log_file.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "gateway",
                "run",
                "-c",
                str(self.config_file),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(_STARTING_SECONDS):
                while not await self._healthy():
                    if self._process.returncode is not None:
                        raise SceneError(f"{self.domain}: the gateway ended: {self._last_words()}")
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            raise SceneError(
                f"{self.domain}: the gateway does not answer; see {self.log_file}"
            ) from None

    async def stop(self) -> None:
        """Tell the gateway to stop and wait for it."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        try:
            await asyncio.wait_for(process.wait(), _STOPPING_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()

    def _last_words(self) -> str:
        lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
        return " | ".join(lines[-_LOG_TAIL:]) or "without a word"

    async def _healthy(self) -> bool:
        admin = self.config.admin
        assert admin is not None
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(1.0)) as session,
                session.get(f"http://{admin.address}:{admin.port}/healthz") as answer,
            ):
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def admin(self, path: str, question: dict[str, str] | None = None) -> Any:
        """Return what the admin interface says at a path, or to a question posted there."""
        admin = self.config.admin
        assert admin is not None
        token = read_secret(admin.token, admin.token_file, "admin.token")
        url = f"http://{admin.address}:{admin.port}{path}"
        headers = {"Authorization": f"Bearer {token}"}
        method = "GET" if question is None else "POST"
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.request(method, url, json=question) as answer,
        ):
            if answer.status != 200:
                raise SceneError(f"{self.domain}: {path} answered {answer.status}")
            return await answer.json()

    async def discover(self, number: str, sender: str) -> dict[str, Any]:
        """Have the gateway look a number up for a voice call."""
        question = {"number": number, "service": "voice", "from": sender}
        resolution: dict[str, Any] = await self.admin("/v1/discover", question)
        return resolution

    async def register_handler(self, username: str, number: str) -> None:
        """Register the provider's app as the number's voice handler, and as its user's default."""
        agent = self.config.spin.agent if self.config.spin else None
        assert agent is not None
        operator = read_secret(agent.token, agent.token_file, "spin.agent.token")
        app_id = f"{self.name}-phone"
        grant = await self._agent("POST", "/apps", operator, {"app_id": app_id, "number": number})
        session = await self._agent("POST", "/sessions", operator, {"number": number})
        handler = {
            "app_id": app_id,
            "svc": ["voice"],
            "uri": f"sip:{{number}}@{self.domain};user=phone",
            "msp": self.domain,
        }
        made = await self._agent("POST", "/handlers", grant["token"], handler)
        await self._agent("PUT", "/defaults/voice", session["token"], {"handler": made["id"]})

    async def _agent(
        self, method: str, path: str, token: str, document: dict[str, Any]
    ) -> dict[str, Any]:
        agent = self.config.spin.agent if self.config.spin else None
        assert agent is not None
        url = f"http://{agent.address}:{agent.port}/os/v1{path}"
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.request(method, url, json=document) as answer,
        ):
            body = await answer.text()
            if answer.status not in (200, 201, 204):
                raise SceneError(f"{self.domain}: {method} {path} answered {answer.status}: {body}")
            found: dict[str, Any] = json.loads(body) if body else {}
            return found

    def call_record(self, call_id: str) -> dict[str, Any] | None:
        """Return the record of a call that has ended, or None."""
        path = self.config.log.call_record_file
        if path is None or not path.exists():
            return None
        # The last line may be on its way still.
        for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
            record: dict[str, Any] = json.loads(line)
            if record["call_id"] == call_id:
                return record
        return None
