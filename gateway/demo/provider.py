"""One provider of the scene: its folder, its gateway process and its HTTP interfaces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp

from gateway.config import Config, load_config
from gateway.config.files import read_secret
from gateway.demo.process import SceneError, ServerProcess

__all__ = ["Provider", "SceneError"]


class Provider(ServerProcess):
    """A gateway in a process of its own, run as an operator runs it."""

    def __init__(self, name: str, config_file: Path) -> None:
        self.name = name
        self.config_file = config_file
        self.config: Config = load_config(config_file, {})
        super().__init__(
            f"gateway {self.domain}",
            ("run", "-c", str(config_file)),
            config_file.parent / "gateway.log",
        )

    @property
    def domain(self) -> str:
        """The provider's domain."""
        return self.config.provider.domain

    async def start(self) -> None:
        """Start the gateway and wait until it serves; raises SceneError."""
        await self.launch(self._healthy)

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

    async def metric(self, name: str) -> float:
        """Return the value of a metric (with its labels, as it is shown); 0 where there is none."""
        admin = self.config.admin
        assert admin is not None
        token = read_secret(admin.token, admin.token_file, "admin.token")
        url = f"http://{admin.address}:{admin.port}/metrics"
        headers = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession(headers=headers) as session, session.get(url) as answer:
            for line in (await answer.text()).splitlines():
                shown, _, value = line.rpartition(" ")
                if shown == name:
                    return float(value)
        return 0.0

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
