"""The scene of two providers for tests: both gateways as processes, and raw phones around them.

    alpha .10 peers, .11 access (tls 5061, tcp and udp 5060); users alice and carol; trunks
    beta  .20 peers, .21 access, the same; users bob and dave

Numbers ...0130 to 0139 of either provider are routed to a UDP user agent at .70 (alpha) and .80
(beta), media untouched; ...0140 to 0149 likewise with plain RTP from the gateway. Beta's PBXs may
forward what they are called for: that of 0130 from .80, that of 0140 from .81.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from gateway.config.files import read_secret
from gateway.demo.provider import Provider
from gateway.demo.scene import ALICE, BOB, Scene
from sip.flow import Address, Transport
from tests.support.raw_dialog import Dialog, rtp_sdp, sdes_sdp
from tests.support.raw_phone import RawPhone
from tests.support.raw_wire import DatagramWire, StreamWire, Wire
from tests.support.tls_certificates import Authority

T = TypeVar("T")

CAROL: Final = "+14155550101"
DAVE: Final = "+12125550124"
SHIPPED: Final = "127.61.0"  # the scene puts its own prefix in the place of this one
PHONE_HOST: Final = 150

_LISTENERS: Final = """
[registrar]
min_expires_seconds = 2

[[listen]]
name = "access-tcp"
role = "access"
transport = "tcp"
address = "{access}"
port = 5060

[[listen]]
name = "access-udp"
role = "access"
transport = "udp"
address = "{access}"
port = 5060
"""

_ALPHA: Final = (
    _LISTENERS.format(access=f"{SHIPPED}.11")
    + f"""
[[user]]
username = "carol"
password = "carol's secret"
numbers = ["{CAROL}", "+14155550102"]
media = "rtp"
max_calls = 2

[[stir.rich_call_data]]
users = ["carol"]
name = "Alpha Parcels"
call_reason = "Your parcel"

[[trunk]]
name = "pbx"
sources = ["{SHIPPED}.60/32"]
numbers = ["+14155550110-+14155550119"]
allow_prefixes = ["+1212", "+1415"]
max_calls = 2

[[trunk]]
name = "sipp"
sources = ["{SHIPPED}.61/32"]
numbers = ["+14155550120-+14155550129"]

[[trunk]]
name = "agents"
sources = ["{SHIPPED}.62/32"]
numbers = ["+14155550150-+14155550159"]
media = "pass"

[[trunk]]
name = "redirected"
sources = ["{SHIPPED}.63/32"]
numbers = ["+14155550170-+14155550179"]
mode = "redirect"
redirect_identity = "both"
redirect_host = "switch.example:5080"

[[route]]
numbers = ["+14155550130-+14155550139"]
uri = "sip:{{number}}@{SHIPPED}.70:5060;transport=udp"
media = "pass"

[[route]]
numbers = ["+14155550140-+14155550149"]
uri = "sip:{{number}}@{SHIPPED}.70:5060;transport=udp"

[[route]]
numbers = ["+14155550160"]
uri = "sip:{{number}}@misnamed.alpha.example;transport=tls"
media = "pass"

[[route]]
numbers = ["+14155550161"]
uri = "sip:{{number}}@mute.alpha.example;transport=tls"
media = "pass"

[[route]]
numbers = ["+14155550162"]
uri = "sip:{{number}}@dead.alpha.example;transport=tls"
media = "pass"
"""
)

_BETA: Final = (
    _LISTENERS.format(access=f"{SHIPPED}.21")
    + f"""
[[user]]
username = "dave"
password = "dave's secret"
numbers = ["{DAVE}"]
media = "rtp"

[[trunk]]
name = "branch"
sources = ["{SHIPPED}.80/32"]
numbers = ["+12125550130-+12125550139"]
may_divert = true
media = "pass"

[[trunk]]
name = "exchange"
sources = ["{SHIPPED}.81/32"]
numbers = ["+12125550140-+12125550149"]
may_divert = true

[[route]]
numbers = ["+12125550130-+12125550139"]
uri = "sip:{{number}}@{SHIPPED}.80:5060;transport=udp"
media = "pass"

[[route]]
numbers = ["+12125550140-+12125550149"]
uri = "sip:{{number}}@{SHIPPED}.80:5060;transport=udp"
"""
)

QUICK: Final = {"sip": "invite_timeout_seconds = 4.0", "spin": "answer_timeout_seconds = 3.0"}
ADDITIONS: Final = {"alpha": _ALPHA, "beta": _BETA}
PASSWORDS: Final = {"carol": "carol's secret", "dave": "dave's secret"}


class QuickScene(Scene):
    """The scene with its times shortened, so that time-outs can be waited for, and one more
    authority for TLS servers: the tests'."""

    tests_authority: Authority

    def _make_keys(self) -> None:
        super()._make_keys()
        self.tests_authority = Authority.make(self.folder / "tests-ca")

    def _configure(self, name: str) -> Path:
        path = super()._configure(name)
        text = path.read_text(encoding="utf-8")
        for table, keys in QUICK.items():
            assert f"\n[{table}]\n" in text
            text = text.replace(f"\n[{table}]\n", f"\n[{table}]\n{keys}\n", 1)
        path.write_text(text, encoding="utf-8")
        anchors = path.parent / "keys" / "tls-root.pem"
        anchors.write_bytes(
            anchors.read_bytes() + Path(self.tests_authority.anchor_file).read_bytes()
        )
        return path


class TwoProviders:
    """The running scene, and what a test does to it."""

    def __init__(self, scene: QuickScene) -> None:
        self.scene = scene
        self.alpha = scene.alpha
        self.beta = scene.beta
        self._phones: list[RawPhone] = []
        self._hosts = iter(range(PHONE_HOST, 250))

    def address(self, host: int, port: int = 5060) -> Address:
        """An address of the scene's network."""
        return Address(f"{self.scene.prefix}.{host}", port)

    def provider(self, name: str) -> Provider:
        return self.alpha if name == "alpha" else self.beta

    # --- phones ------------------------------------------------------------------------------

    async def alice(self, transport: Transport = "tls") -> RawPhone:
        """A phone of alpha's user with SRTP."""
        return await self.user(self.alpha, "alice", ALICE, transport)

    async def carol(self, transport: Transport = "tls") -> RawPhone:
        """A phone of alpha's second user, with plain RTP and two calls at once."""
        return await self.user(self.alpha, "carol", CAROL, transport)

    async def bob(self, transport: Transport = "tls") -> RawPhone:
        """A phone of beta's user with plain RTP."""
        return await self.user(self.beta, "bob", BOB, transport)

    async def dave(self, transport: Transport = "tls") -> RawPhone:
        """A phone of beta's second user."""
        return await self.user(self.beta, "dave", DAVE, transport)

    async def user(
        self, provider: Provider, username: str, number: str, transport: Transport = "tls"
    ) -> RawPhone:
        """A phone at a provider's access listener; not registered yet."""
        access = 11 if provider is self.alpha else 21
        wire = await self.wire(
            self.address(access, 5061 if transport == "tls" else 5060), transport
        )
        password = PASSWORDS.get(username) or self._password(provider, username)
        return self.keep(RawPhone(wire, number, provider.domain, username, password))

    async def trunk(
        self, host: int = 60, number: str = "+14155550110", transport: Transport = "udp"
    ) -> RawPhone:
        """A phone at the address of one of alpha's trunks: no digest."""
        to = self.address(11, 5061 if transport == "tls" else 5060)
        wire = await self.wire(to, transport, f"{self.scene.prefix}.{host}")
        return self.keep(RawPhone(wire, number, self.alpha.domain))

    async def agent(self, host: int) -> RawPhone:
        """The user agent that routes lead to: .70 at alpha, .80 at beta."""
        at = self.alpha if host == 70 else self.beta
        wire = await DatagramWire.open(self.address(host), self._udp_of(at))
        return self.keep(RawPhone(wire, "+12125550130", at.domain))

    async def exchange(self) -> RawPhone:
        """Beta's PBX at .81, which forwards calls to 0140 with its media bridged."""
        wire = await self.wire(self.address(21), "udp", f"{self.scene.prefix}.81")
        return self.keep(RawPhone(wire, "+12125550140", self.beta.domain))

    async def peer(self, provider: Provider) -> RawPhone:
        """A stranger at a provider's peers listener."""
        wire = await self.wire(self.address(10 if provider is self.alpha else 20, 5061), "tls")
        return self.keep(RawPhone(wire, "+13035550155", "stranger.example"))

    async def wire(self, to: Address, transport: Transport, host: str = "") -> Wire:
        """A socket of an address of ours; of one that nobody else has where none is given."""
        host = host or f"{self.scene.prefix}.{next(self._hosts)}"
        if transport == "udp":
            return await DatagramWire.open(Address(host, 0), to)
        if transport == "tcp":
            return await StreamWire.open(to, host)
        names = {11: "sip.alpha.example", 21: "sip.beta.example", 10: "gw1.alpha.example"}
        name = names.get(int(to.host.rpartition(".")[2]), "gw1.beta.example")
        return await StreamWire.open(to, host, tls=self.trusting(), name=name)

    def serving(self, *names: str) -> ssl.SSLContext:
        """A server context with a certificate for these names that the gateways trust."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.scene.tests_authority.issue(names[0], dns=names))
        return context

    def trusting(self) -> ssl.SSLContext:
        """A client context that trusts the scene's TLS root."""
        return ssl.create_default_context(
            cafile=str(self.scene.folder / "alpha" / "keys" / "tls-root.pem")
        )

    def keep(self, phone: RawPhone) -> RawPhone:
        """Close this phone when the test is over."""
        self._phones.append(phone)
        return phone

    async def close_phones(self) -> None:
        """Close what the test opened, and remove what it registered."""
        for phone in self._phones:
            with suppress(OSError, AssertionError):
                if not phone.wire.closed_by_peer.is_set():
                    await phone.unregister()
                await phone.close()
        self._phones.clear()
        self._hosts = iter(range(PHONE_HOST, 250))

    def _udp_of(self, provider: Provider) -> Address:
        return self.address(11 if provider is self.alpha else 21)

    def _password(self, provider: Provider, username: str) -> str:
        user = next(user for user in provider.config.user if user.username == username)
        return read_secret(user.password, user.password_file, "user.password")

    # --- what the gateways say ---------------------------------------------------------------

    def log(self, provider: Provider) -> str:
        """Everything a gateway has logged."""
        return provider.log_file.read_text(encoding="utf-8", errors="replace")

    async def idle(self, *providers: Provider) -> None:
        """Wait until gateways hold no call, no media and no transaction."""
        for provider in providers or (self.alpha, self.beta):
            await eventually(partial(is_idle, provider), f"{provider.domain} is idle")

    async def record(self, provider: Provider, call_id: str) -> dict[str, Any]:
        """Wait for the record of a call."""

        async def found() -> dict[str, Any] | None:
            return provider.call_record(call_id)

        record = await eventually(found, f"{provider.domain} wrote the record")
        assert record is not None
        return record


async def is_idle(provider: Provider) -> bool:
    """Whether a gateway holds nothing."""
    calls = (await provider.admin("/v1/calls"))["calls"]
    media = (await provider.admin("/v1/media"))["media"]
    transactions = (await provider.admin("/v1/transactions"))["transactions"]
    return bool(
        calls == []
        and media == [{"sessions": 0, "ports_in_use": 0}]
        and transactions == [{"unfinished": 0, "pending": 0}]
    )


async def eventually(question: Callable[[], Awaitable[T]], what: str, timeout: float = 20.0) -> T:
    """Ask until the answer is true; fails saying `what` never came to be."""
    deadline = asyncio.get_running_loop().time() + timeout
    while True:
        answer = await question()
        if answer:
            return answer
        assert asyncio.get_running_loop().time() < deadline, f"never: {what} ({answer})"
        await asyncio.sleep(0.05)


async def talking(
    caller: RawPhone, callee: RawPhone, number: str, *, srtp: bool = False
) -> tuple[Dialog, Dialog]:
    """Set a call up between two phones; returns the caller's and the callee's dialog."""
    describe = sdes_sdp if srtp else rtp_sdp
    call = await caller.call(number, describe(caller.wire.local.host))
    incoming = await callee.incoming()
    incoming.respond(180)
    await call.response(180)
    at_callee = incoming.answer(rtp_sdp(callee.wire.local.host, 32000))
    at_caller = await call.answered()
    await at_callee.acknowledged()
    return at_caller, at_callee


async def hang_up(by: Dialog, other: Dialog) -> None:
    """End a call from one side; the other confirms."""
    _, bye = await asyncio.gather(by.hang_up(), other.hung_up())
    assert bye.call_id == by.call_id


def open_files(provider: Provider) -> int:
    """How many files and sockets a gateway has open, but for its pool of database connections."""
    count = 0
    for link in Path(f"/proc/{provider.process_id}/fd").iterdir():
        with suppress(FileNotFoundError):
            count += ".db" not in str(link.readlink())
    return count


@asynccontextmanager
async def two_providers(folder: Path) -> AsyncIterator[TwoProviders]:
    """Start the scene, and stop it."""
    async with QuickScene(folder, lambda _: None, with_phones=False, additions=ADDITIONS) as scene:
        yield TwoProviders(scene)
