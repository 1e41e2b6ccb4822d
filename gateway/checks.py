"""What `spingate check` finds out about a configuration and the world it will run in."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable
from email.utils import parsedate_to_datetime
from random import SystemRandom
from typing import Final

from gateway.caller_data import CallerDataPolicy
from gateway.certificate_checks import (
    own_certificate,
    own_chain,
    repository,
    revocation,
    served_certificates,
    trust_anchors,
)
from gateway.config.files import read_file
from gateway.config.load import ConfigError
from gateway.config.root import Config
from gateway.discovery_checks import discovery
from gateway.dns import DnsResolver
from gateway.finding import Finding, until
from gateway.http.admin_client import is_running
from gateway.http.fetch import Fetched, FetchFailed, FetchRefused, GuardedClient
from gateway.keys import Keys, load_keys
from gateway.ports import check_ports
from gateway.renewal.credential import OwnCredential, certificate_store, own_credential
from gateway.renewal.store import CertificateStore
from gateway.server_certificate import NoServerCertificate, server_certificate_end
from gateway.services import make_fetch_client, make_resolver
from gateway.trust_list_check import kept_trust_list
from sip.dns import DnsUnavailable
from sip.locate import NotLocated, locate
from sip.uri import SipUri
from stir.acme.problem import AcmeError
from stir.certificates.certificate import MalformedCredential, load_credential
from stir.certificates.chain import Path as CertificationPath

__all__ = ["Finding", "examine"]

_CLOCK_TOLERANCE: Final = 5.0
_LARGEST_LIST: Final = 16_777_216
_LIST_SECONDS: Final = 10.0


async def examine(config: Config) -> AsyncIterator[Finding]:
    """Yield the findings in order: files, certificates, ports, DNS, x5u, clock, revocation."""
    try:
        keys = load_keys(config)
        CallerDataPolicy(config)
        signing = own_credential(config)
    except ConfigError as error:
        yield Finding("keys", "failed", str(error), "correct the file the key names")
        return
    yield Finding("keys", "passed", "every key belongs to its certificate")
    path = None
    for finding, path in _certificates(config, signing, keys):  # noqa: B007 - the last path counts
        yield finding
    yield await _ports(config)
    resolver = make_resolver(config)
    try:
        yield await _own_domain(config, resolver)
        client = make_fetch_client(config, resolver)
        async for finding in _x5u(config, signing, client, resolver):
            yield finding
        async for finding in _icons(config, client):
            yield finding
        async for finding in discovery(config, resolver):
            yield finding
        lists = make_fetch_client(_for_lists(config), resolver)
        async for finding in revocation(path, keys.policy_administrators, lists):
            yield finding
    finally:
        await resolver.close()


def _for_lists(config: Config) -> Config:
    """The same with room for a revocation list, which is longer than a certificate chain."""
    limits = {"max_body_bytes": _LARGEST_LIST, "timeout_seconds": _LIST_SECONDS}
    return config.model_copy(update={"fetch": config.fetch.model_copy(update=limits)})


def _certificates(
    config: Config, signing: OwnCredential | None, keys: Keys
) -> Iterable[tuple[Finding, CertificationPath | None]]:
    """What the files say; with the path of the own certificate, once it is known."""
    path = None
    listed, roots = kept_trust_list(config, keys)
    if listed is not None:
        yield listed, path
    anchors = (*keys.sti_trust_anchors, *roots)
    for finding in trust_anchors(keys.sti_trust_anchors):
        yield finding, path
    for finding in (*served_certificates(config), *repository(config)):
        yield finding, path
    if signing is None:
        yield Finding("STI certificate", "skipped", "no [stir.authentication]"), path
        return
    try:
        credential = load_credential(signing.chain_pem)
    except MalformedCredential as error:
        hint = "request it again from the STI-CA"
        yield Finding("STI certificate", "failed", str(error), hint), path
        return
    for finding in own_certificate(config, credential):
        yield finding, path
    finding, path = own_chain(config, credential, anchors)
    yield finding, path
    if config.stir.acme is not None:
        yield _renewal(certificate_store(config)), path


def _renewal(store: CertificateStore) -> Finding:
    try:
        failure = store.failure()
    except AcmeError as error:
        return Finding("renewal", "failed", error.text, error.advice)
    if failure is None:
        return Finding("renewal", "passed", "the last renewal went well, or none was due")
    text = f"{failure.text} (attempt {failure.count}; fault: {failure.fault})"
    return Finding("renewal", "failed", text, failure.advice)


async def _ports(config: Config) -> Finding:
    try:
        check_ports(config)
    except ConfigError as error:
        if await is_running(config):
            return Finding("ports", "passed", "in use by the gateway that runs here")
        hint = "another program has the port: stop it, or give the gateway another one"
        return Finding("ports", "failed", str(error), hint)
    return Finding("ports", "passed", "every port can be bound")


async def _own_domain(config: Config, resolver: DnsResolver) -> Finding:
    uri = SipUri("sip", None, None, config.provider.domain)
    try:
        hops = await locate(uri, resolver, transports=frozenset({"tls"}), rand=SystemRandom())
    except NotLocated as error:
        return Finding(
            "DNS",
            "failed",
            f"{config.provider.domain}: {error.detail}",
            "publish NAPTR and SRV records (RFC 3263) so that peers find this gateway",
        )
    return Finding("DNS", "passed", f"peers reach {', '.join(str(hop.address) for hop in hops)}")


async def _x5u(
    config: Config, signing: OwnCredential | None, client: GuardedClient, resolver: DnsResolver
) -> AsyncIterator[Finding]:
    if signing is None:
        yield Finding("x5u", "skipped", "no [stir.authentication]")
        return
    try:
        answer = await client.get(signing.x5u)
    except (FetchRefused, FetchFailed, DnsUnavailable) as error:
        yield Finding("x5u", "failed", str(error), "publish the certificate chain at x5u")
        return
    yield _published(answer, signing.chain_pem)
    yield await _x5u_server(config, signing.x5u, resolver)
    yield _clock(answer, time.time)


async def _x5u_server(config: Config, url: str, resolver: DnsResolver) -> Finding:
    name, hint = "x5u server", "renew the TLS certificate of the x5u server"
    try:
        end = await server_certificate_end(url, resolver, config.fetch.trust_anchors)
    except NoServerCertificate as error:
        return Finding(name, "failed", str(error), hint)
    return until(name, "its TLS certificate is valid", end, time.time(), hint)


async def _icons(config: Config, client: GuardedClient) -> AsyncIterator[Finding]:
    """Whether each icon is served as it is signed: another one is shown by nobody (RFC 9795)."""
    for entry in config.stir.rich_call_data:
        if entry.icon_url is None or entry.icon_file is None:
            continue
        hint = "publish the very file of icon_file at icon_url"
        try:
            answer = await client.get(entry.icon_url)
        except (FetchRefused, FetchFailed, DnsUnavailable) as error:
            yield Finding("icon", "failed", str(error), hint)
            continue
        if answer.status != 200 or answer.body != read_file(entry.icon_file, "icon_file"):
            detail = f"{entry.icon_url} does not serve the picture that is signed"
            yield Finding("icon", "failed", detail, hint)
        else:
            yield Finding("icon", "passed", f"{entry.icon_url} serves what is signed")


def _published(answer: Fetched, own: bytes) -> Finding:
    if b"PRIVATE KEY" in answer.body:
        return Finding(
            "x5u",
            "failed",
            "a private key is published there",
            "take it down, revoke the certificate and make a new key",
        )
    try:
        served = load_credential(answer.body).leaf
    except MalformedCredential as error:
        return Finding("x5u", "failed", f"status {answer.status}: {error}", "serve the PEM chain")
    if served != load_credential(own).leaf:
        return Finding(
            "x5u",
            "failed",
            "serves another certificate than the one that signs",
            "publish the current chain, at best under a new URL",
        )
    return Finding("x5u", "passed", "serves the certificate that signs")


def _clock(answer: Fetched, now: Callable[[], float]) -> Finding:
    try:
        theirs = parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
    except ValueError:
        return Finding("clock", "skipped", "the x5u server sent no Date to compare with")
    off = now() - theirs
    if abs(off) > _CLOCK_TOLERANCE:
        return Finding(
            "clock", "failed", f"{off:+.0f} s against the x5u server", "set the clock by NTP"
        )
    return Finding("clock", "passed", f"within {_CLOCK_TOLERANCE:.0f} s of the x5u server")
