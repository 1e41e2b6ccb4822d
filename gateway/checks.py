"""What `spingate check` finds out about a configuration and the world it will run in."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from random import SystemRandom
from typing import Final, Literal

from cryptography import x509

from gateway.caller_data import CallerDataPolicy
from gateway.config.files import read_file
from gateway.config.load import ConfigError
from gateway.config.root import Config
from gateway.dns import DnsResolver
from gateway.http.admin_client import is_running
from gateway.http.fetch import Fetched, FetchFailed, FetchRefused, GuardedClient
from gateway.keys import load_keys
from gateway.own_numbers import not_covered
from gateway.ports import check_ports
from gateway.renewal.credential import OwnCredential, certificate_store, own_credential
from gateway.renewal.store import CertificateStore
from gateway.services import make_fetch_client, make_resolver
from sip.dns import DnsUnavailable
from sip.locate import NotLocated, locate
from sip.uri import SipUri
from stir.acme.problem import AcmeError
from stir.certificates.certificate import MalformedCredential, load_credential, unfitness
from stir.certificates.grant import granted_by

Outcome = Literal["passed", "failed", "skipped"]

_CLOCK_TOLERANCE: Final = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's name, outcome and what was seen; `hint` says what to do where it failed."""

    name: str
    outcome: Outcome
    detail: str
    hint: str = ""


async def examine(config: Config) -> AsyncIterator[Finding]:
    """Yield the findings in order: files, authority over numbers, ports, DNS, x5u, clock."""
    try:
        load_keys(config)
        CallerDataPolicy(config)
        signing = own_credential(config)
    except ConfigError as error:
        yield Finding("keys", "failed", str(error), "correct the file the key names")
        return
    yield Finding("keys", "passed", "every key belongs to its certificate")
    for finding in _certificate(config, signing):
        yield finding
    yield await _ports(config)
    resolver = make_resolver(config)
    try:
        yield await _own_domain(config, resolver)
        client = make_fetch_client(config, resolver)
        async for finding in _x5u(signing, client):
            yield finding
        async for finding in _icons(config, client):
            yield finding
    finally:
        await resolver.close()


def _certificate(config: Config, signing: OwnCredential | None) -> Iterable[Finding]:
    if signing is None:
        yield Finding("STI certificate", "skipped", "no [stir.authentication]")
        return
    try:
        credential = load_credential(signing.chain_pem)
    except MalformedCredential as error:
        yield Finding("STI certificate", "failed", str(error), "request it again from the STI-CA")
        return
    problems = unfitness(credential.leaf, time.time())
    if problems:
        text = "; ".join(str(problem.reason.prose) for problem in problems)
        yield Finding("STI certificate", "failed", text, "renew it at the STI-CA")
    else:
        until = credential.leaf.not_valid_after_utc.date().isoformat()
        yield Finding("STI certificate", "passed", f"fit to sign, valid until {until}")
    yield _authority(config, credential.leaf)
    if config.stir.acme is not None:
        yield _renewal(certificate_store(config))


def _renewal(store: CertificateStore) -> Finding:
    try:
        failure = store.failure()
    except AcmeError as error:
        return Finding("renewal", "failed", error.text, error.advice)
    if failure is None:
        return Finding("renewal", "passed", "the last renewal went well, or none was due")
    text = f"{failure.text} (attempt {failure.count}; fault: {failure.fault})"
    return Finding("renewal", "failed", text, failure.advice)


def _authority(config: Config, leaf: x509.Certificate) -> Finding:
    grant = granted_by(leaf)
    listed = grant.tn_auth_list
    if grant.pending:
        return Finding("TNAuthList", "skipped", f"by reference: {grant.reference}")
    if listed is None:
        return Finding(
            "TNAuthList", "failed", "the certificate has none", "request an STI certificate"
        )
    if not listed.names_numbers:
        codes = ", ".join(sorted(listed.codes))
        return Finding("TNAuthList", "passed", f"service provider codes {codes}, no numbers")
    missing = not_covered(config.provider.numbers, listed)
    if missing:
        return Finding(
            "TNAuthList",
            "failed",
            f"does not cover all of {', '.join(missing)}",
            "request a certificate for the numbers of [provider]",
        )
    return Finding("TNAuthList", "passed", f"covers {', '.join(config.provider.numbers)}")


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


async def _x5u(signing: OwnCredential | None, client: GuardedClient) -> AsyncIterator[Finding]:
    if signing is None:
        yield Finding("x5u", "skipped", "no [stir.authentication]")
        return
    try:
        answer = await client.get(signing.x5u)
    except (FetchRefused, FetchFailed, DnsUnavailable) as error:
        yield Finding("x5u", "failed", str(error), "publish the certificate chain at x5u")
        return
    yield _published(answer, signing.chain_pem)
    yield _clock(answer, time.time)


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
