"""What `spingate conformance` needs before the first case: certificates, a way to the target."""

from __future__ import annotations

import secrets
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import SystemRandom
from tempfile import TemporaryDirectory
from typing import Final

import aiohttp

from gateway.cli.cert import write_private, write_public
from gateway.cli.output import failure, usage_error
from gateway.cli.stir_input import read_file
from gateway.config.base import split_endpoint
from gateway.conformance.case import Outcome, Workshop
from gateway.conformance.credentials import Credentials, Signer
from gateway.conformance.http_target import HttpTarget
from gateway.conformance.repository import repository
from gateway.conformance.signing import run_signing
from gateway.conformance.sip_target import (
    Calling,
    Receiver,
    SipTarget,
    calling_from,
    contact_of,
    listener,
)
from gateway.conformance.suite import run
from gateway.dns import DnsResolver, DnsSettings, system_nameservers
from gateway.services import server_context
from sip.flow import Address, Hop, Transport
from sip.locate import NotLocated, locate
from sip.transport.settings import ListenerSettings, TlsSettings
from sip.uri import MalformedUri, SipUri, parse_uri, telephone_number
from stir.certificates.certificate import (
    KeyMismatch,
    MalformedCredential,
    load_certificates,
    load_private_key,
    match_key,
)
from stir.certificates.issuing import (
    Authority,
    issue_tls_certificate,
    load_authority,
    make_root,
)
from stir.telephone_number import canonicalise

_NOWHERE: Final = "https://not-served.invalid"


@dataclass(frozen=True, slots=True)
class Setup:
    """A run of the suite: the target, the numbers, and what `prepare` adds."""

    target: str
    caller: str
    called: str | None
    bind: str | None
    domain: str
    ca: Path | None
    timeout: float
    pause: float
    chosen: tuple[str, ...]
    workshop: Workshop | None = None
    serve: tuple[str, int] | None = None
    tls: ssl.SSLContext | None = None
    receiver: tuple[str, int] | None = None
    uri: SipUri | None = None
    token: str | None = field(default=None, repr=False)


def prepare(
    setup: Setup,
    *,
    serve: str | None,
    base_url: str | None,
    tls: tuple[Path | None, Path | None],
    authority: Path | None,
    own: tuple[Path | None, Path | None, str | None],
    receiver: str | None,
    export_root: Path | None,
    token_file: Path | None,
) -> Setup:
    """Hold the options against each other and load what they name; wrong ones end with 2."""
    if (serve is None) != (base_url is None):
        usage_error("--serve and --base-url go together")
    orig = canonicalise(setup.caller)
    uri, dest = _target(setup)
    if orig is None or dest is None:
        usage_error("--from and --to: telephone numbers, such as +14155550100")
    if serve is None and not all(own):
        usage_error("give --serve and --base-url, or --cert, --key and --x5u: else nothing is good")
    base = (base_url or _NOWHERE).rstrip("/")
    if not base.startswith(("https://", "http://")):
        usage_error("--base-url: an https URL, or for a laboratory http")
    credentials = Credentials(base, orig, authority=_authority(authority), good=_own_signer(own))
    if export_root is not None:
        write_public(export_root, credentials.root_pem)
    return replace(
        setup,
        workshop=Workshop(credentials, orig, dest, int(time.time())),
        serve=_endpoint("--serve", serve),
        tls=_server_tls(tls) if serve is not None and base.startswith("https:") else None,
        receiver=_endpoint("--receiver", receiver),
        uri=uri,
        token=None if token_file is None else _token(token_file),
    )


async def conduct(setup: Setup) -> AsyncIterator[Outcome]:
    """Run the suite as it was prepared; raises OSError where an address cannot be used."""
    assert setup.workshop is not None
    async with AsyncExitStack() as stack:
        if setup.serve is not None:
            credentials = setup.workshop.credentials
            await stack.enter_async_context(repository(credentials, *setup.serve, setup.tls))
        if setup.uri is not None:
            target: SipTarget | HttpTarget = await _sip(setup, setup.uri, stack)
        else:
            session = await stack.enter_async_context(_session(setup))
            if setup.target.rstrip("/").endswith("/signing"):
                shop = setup.workshop
                async for outcome in run_signing(session, setup.target, shop.orig, shop.dest):
                    yield outcome
                return
            target = HttpTarget(session, setup.target, setup.workshop.orig, setup.workshop.dest)
        outcomes = run(
            target,
            setup.workshop,
            served=setup.serve is not None,
            pause=setup.pause,
            chosen=setup.chosen,
        )
        async for outcome in outcomes:
            yield outcome


def _target(setup: Setup) -> tuple[SipUri | None, str | None]:
    """The SIP URI, None for a URL, and the called number in digits."""
    if setup.target.startswith(("https://", "http://")):
        return None, canonicalise(setup.called or "")
    try:
        uri = parse_uri(setup.target)
    except MalformedUri as error:
        usage_error(f"{setup.target}: {error}")
    if not isinstance(uri, SipUri):
        usage_error(f"{setup.target}: a sip: URI, or the URL of an HTTP service")
    return uri, canonicalise(setup.called or telephone_number(uri) or uri.user or "")


def _endpoint(option: str, text: str | None) -> tuple[str, int] | None:
    if text is None:
        return None
    try:
        return split_endpoint(text)
    except ValueError:
        usage_error(f"{option} {text}: write ADDRESS:PORT")


def _authority(folder: Path | None) -> Authority | None:
    if folder is None:
        return None
    try:
        return load_authority(
            read_file(folder / "authority.pem"), read_file(folder / "authority-key.pem")
        )
    except (MalformedCredential, KeyMismatch) as error:
        usage_error(f"{folder}: {error}")


def _own_signer(own: tuple[Path | None, Path | None, str | None]) -> Signer | None:
    certificate, key, x5u = own
    if certificate is None or key is None or x5u is None:
        if any(own):
            usage_error("--cert, --key and --x5u go together")
        return None
    try:
        private = load_private_key(read_file(key))
        match_key(private, load_certificates(read_file(certificate))[0])
    except (MalformedCredential, KeyMismatch) as error:
        usage_error(f"{key}: {error}")
    return Signer(private, x5u)


def _server_tls(files: tuple[Path | None, Path | None]) -> ssl.SSLContext:
    certificate, key = files
    if certificate is None or key is None:
        usage_error("an https --base-url needs --tls-cert and --tls-key, which the target trusts")
    try:
        return server_context(certificate, key)
    except (OSError, ssl.SSLError) as error:
        usage_error(f"{certificate}: {error.strerror or error}")


def _token(path: Path) -> str:
    token = read_file(path).strip().decode("ascii", "replace")
    if not token or not token.isascii() or not token.isprintable():
        usage_error(f"{path}: no bearer token")
    return token


def _session(setup: Setup) -> aiohttp.ClientSession:
    try:
        context = ssl.create_default_context(cafile=str(setup.ca) if setup.ca else None)
    except (OSError, ssl.SSLError) as error:
        usage_error(f"{setup.ca}: {error.strerror or error}")
    headers = {} if setup.token is None else {"Authorization": f"Bearer {setup.token}"}
    return aiohttp.ClientSession(
        headers=headers,
        connector=aiohttp.TCPConnector(ssl=context, limit=1),
        timeout=aiohttp.ClientTimeout(total=setup.timeout),
    )


# --- SIP -----------------------------------------------------------------------------------------


async def _sip(setup: Setup, uri: SipUri, stack: AsyncExitStack) -> SipTarget:
    assert setup.workshop is not None
    transport = _transport(uri)
    hops = await _locate(uri, transport)
    host = setup.bind or _own_address(hops[0].address)
    listeners = [
        _tls_listener(stack, host, setup.ca)
        if transport == "tls"
        else listener("calls", transport, host)
    ]
    if setup.receiver is not None:
        listeners += [
            listener(f"receiver-{each}", each, *setup.receiver) for each in ("udp", "tcp")
        ]
    receiver = Receiver()
    endpoint = await stack.enter_async_context(calling_from(listeners, receiver))
    port = endpoint.transports.bound("calls").port
    calling = Calling(
        request_uri=str(replace(uri, user=f"+{setup.workshop.dest}")),
        hops=[replace(hop, listener="calls") for hop in hops],
        caller=f"+{setup.workshop.orig}",
        domain=setup.domain,
        contact=contact_of(host, port, transport),
        timeout=setup.timeout,
    )
    return SipTarget(endpoint, receiver if setup.receiver is not None else None, calling)


def _transport(uri: SipUri) -> Transport:
    named = (uri.params.text("transport") or "").lower()
    if uri.scheme == "sips" or named == "tls":
        return "tls"
    if named not in ("", "udp", "tcp"):
        usage_error(f"transport={named}: udp, tcp or tls")
    return "tcp" if named == "tcp" else "udp"


async def _locate(uri: SipUri, transport: Transport) -> tuple[Hop, ...]:
    resolver = DnsResolver(DnsSettings(nameservers=system_nameservers()))
    try:
        return await locate(uri, resolver, transports=frozenset({transport}), rand=SystemRandom())
    except NotLocated as error:
        failure(f"{uri.host}: {error.detail}")
    finally:
        await resolver.close()


def _own_address(target: Address) -> str:
    """The address this machine would send from; nothing is sent to find out."""
    family = socket.AF_INET6 if ":" in target.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((target.host, target.port))
        return str(probe.getsockname()[0])


def _tls_listener(stack: AsyncExitStack, host: str, ca: Path | None) -> ListenerSettings:
    """A listener whose certificate proves nothing: targets that ask for one refuse the call."""
    folder = Path(
        stack.enter_context(TemporaryDirectory(prefix=f"spingate-{secrets.token_hex(3)}"))
    )
    now = time.time()
    issued = issue_tls_certificate(make_root("Conformance TLS", now), now, addresses=[host])
    assert issued.key_pem is not None
    certificate, key = folder / "tls.pem", folder / "tls.key"
    write_public(certificate, issued.chain_pem)
    write_private(key, issued.key_pem)
    return ListenerSettings(
        name="calls",
        transport="tls",
        bind=Address(host, 0),
        sent_by=Address(host, 0),
        tls=TlsSettings(str(certificate), str(key), None if ca is None else str(ca)),
    )
