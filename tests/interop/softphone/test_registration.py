import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.demo.dns import NameServer, Record, Zones, sip_records
from gateway.softphone.phone import RegistrationError, Softphone
from gateway.softphone.protocol import SoftphoneSettings
from tests.support.certificates import TestAuthority
from tests.support.toy_registrar import ToyRegistrar

pytest.importorskip("pjsua2", reason="the softphone extra is not installed")
pytestmark = pytest.mark.real

SERVER = "127.30.1.1"
PHONE = "127.30.1.9"


def server_tls(authority: TestAuthority, *names: str) -> ssl.SSLContext:
    files = authority.issue(*names)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    return context


@pytest.fixture
def authority(tmp_path: Path) -> TestAuthority:
    return TestAuthority(tmp_path)


@pytest.fixture
async def names() -> AsyncIterator[NameServer]:
    server = NameServer(Zones(["alpha.example"]), SERVER, 0)
    await server.start()
    yield server
    await server.stop()


def settings(authority: TestAuthority, names: NameServer) -> SoftphoneSettings:
    return SoftphoneSettings(
        "sip:+14155550100@alpha.example",
        bind_address=PHONE,
        username="alice",
        password="not a secret",
        nameserver=(names.host, names.port),
        trust_anchor_file=authority.root_file,
    )


def publish(names: NameServer, port: int) -> None:
    for record in sip_records("alpha.example", [("sip1.alpha.example", SERVER, port)]):
        names.zones.add(record)


@pytest.mark.parametrize(
    ("algorithms", "expected"),
    [
        (("SHA-256", "MD5"), "SHA-256"),
        (("MD5", "SHA-256"), "MD5"),
        (("SHA-256",), "SHA-256"),
        (("MD5",), "MD5"),
    ],
)
async def test_it_registers_over_tls_with_the_first_digest_it_is_offered(
    authority: TestAuthority, names: NameServer, algorithms: tuple[str, ...], expected: str
) -> None:
    tls = server_tls(authority, "alpha.example")
    async with ToyRegistrar(SERVER, tls, algorithms) as registrar:
        publish(names, registrar.port)
        async with Softphone(settings(authority, names)) as phone:
            assert await phone.register() > 0
            assert registrar.used == [expected]
            assert PHONE in registrar.contacts[0]
            await phone.unregister()
            assert registrar.contacts == []
    assert "_sips._tcp.alpha.example. SRV" in names.queries


async def test_closing_a_registered_phone_removes_its_binding(
    authority: TestAuthority, names: NameServer
) -> None:
    async with ToyRegistrar(SERVER, server_tls(authority, "alpha.example")) as registrar:
        publish(names, registrar.port)
        async with Softphone(settings(authority, names)) as phone:
            await phone.register()
        assert registrar.contacts == []
        assert phone.exit_status == 0


async def test_a_wrong_password_is_reported_with_the_registrars_status(
    authority: TestAuthority, names: NameServer
) -> None:
    async with ToyRegistrar(SERVER, server_tls(authority, "alpha.example")) as registrar:
        publish(names, registrar.port)
        wrong = replace(settings(authority, names), password="wrong")
        async with Softphone(wrong) as phone:
            with pytest.raises(RegistrationError) as refused:
                await phone.register()
    assert refused.value.status == 403


@pytest.mark.parametrize("names_in_certificate", [("beta.example",), (SERVER,)])
async def test_a_certificate_for_another_name_is_refused(
    authority: TestAuthority, names: NameServer, names_in_certificate: tuple[str, ...]
) -> None:
    tls = server_tls(authority, *names_in_certificate)
    async with ToyRegistrar(SERVER, tls) as registrar:
        publish(names, registrar.port)
        async with Softphone(settings(authority, names)) as phone:
            with pytest.raises(RegistrationError):
                await phone.register()
            assert registrar.requests == []
            assert any("identity" in trouble.lower() for trouble in phone.troubles), phone.troubles


async def test_a_certificate_of_an_unknown_authority_is_refused(
    authority: TestAuthority, names: NameServer, tmp_path: Path
) -> None:
    stranger = TestAuthority(tmp_path, "Stranger")
    async with ToyRegistrar(SERVER, server_tls(stranger, "alpha.example")) as registrar:
        publish(names, registrar.port)
        async with Softphone(settings(authority, names)) as phone:
            with pytest.raises(RegistrationError):
                await phone.register()
            assert registrar.requests == []
            assert phone.troubles


async def test_a_numeric_proxy_has_to_prove_its_address(
    authority: TestAuthority, names: NameServer
) -> None:
    tls = server_tls(authority, "alpha.example", SERVER)
    async with ToyRegistrar(SERVER, tls) as registrar:
        numeric = replace(
            settings(authority, names), proxy=f"sip:{SERVER}:{registrar.port};transport=tls"
        )
        async with Softphone(numeric) as phone:
            await phone.register()
            assert registrar.contacts


async def test_a_named_proxy_with_a_port_needs_only_an_address_record(
    authority: TestAuthority, names: NameServer
) -> None:
    names.zones.add(Record("edge.alpha.example", "A", SERVER))
    tls = server_tls(authority, "edge.alpha.example")
    async with ToyRegistrar(SERVER, tls) as registrar:
        proxy = f"sip:edge.alpha.example:{registrar.port};transport=tls"
        async with Softphone(replace(settings(authority, names), proxy=proxy)) as phone:
            await phone.register()
            assert registrar.contacts


async def test_it_registers_over_tcp_too(authority: TestAuthority, names: NameServer) -> None:
    async with ToyRegistrar(SERVER) as registrar:
        plain = replace(
            settings(authority, names),
            transport="tcp",
            proxy=f"sip:{SERVER}:{registrar.port};transport=tcp",
        )
        async with Softphone(plain) as phone:
            assert await phone.register() > 0


async def test_a_registrar_that_is_not_there_is_an_error_with_a_status(
    authority: TestAuthority, names: NameServer
) -> None:
    publish(names, 9)
    async with Softphone(settings(authority, names)) as phone:
        with pytest.raises(RegistrationError) as refused:
            await phone.register()
    assert refused.value.status >= 500
