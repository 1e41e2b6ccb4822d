"""What `spingate directory check` finds out about the services beside a directory."""

from __future__ import annotations

import base64
import ipaddress
import json
import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

from cryptography import x509

from discovery.privacy.ohttp_keys import MEDIA_TYPE, parse_key_configurations
from discovery.privacy.reason import PrivacyError
from discovery.privacy.split_storage import parse_evaluation_keys
from discovery.privacy.token_key import TokenKey, parse_token_key
from gateway.config.discovery import Dns
from gateway.config.files import read_file, read_secret
from gateway.config.load import ConfigError
from gateway.config.oblivious_services import IssuerConfig, RelayConfig
from gateway.config.root import Admin
from gateway.config.split_storage import SplitStorageFilling
from gateway.config.split_storage_services import BucketsConfig, EvaluatorConfig
from gateway.directory.files import load_peers
from gateway.finding import Finding, until
from gateway.http.fetch import FetchFailed, client_context
from gateway.http.known_clients import read_clients
from gateway.http.service_client import ServiceClient
from gateway.keys import check_pair
from gateway.services import dns_resolver
from gateway.split_storage.evaluator import load_generations
from gateway.split_storage.paths import BUCKETS_WELL_KNOWN, EVALUATOR_WELL_KNOWN
from gateway.token_issuer.service import key_folder

_TIMEOUT: Final = 5.0
_SHORTEST_TOKEN: Final = 16


class IssuerKeyFile(Protocol):
    """An issuer whose tokens are taken, of whatever section."""

    @property
    def name(self) -> str: ...

    @property
    def key_file(self) -> Path: ...


async def examine_issuer(config: IssuerConfig) -> AsyncIterator[Finding]:
    """Yield the findings in order: keys, certificate, folder, clients, operator's listener."""
    section, now = config.issuer, time.time()
    for finding in _served(section.certificate, section.key, "issuer", section.name):
        yield finding
    yield folder_finding("state folder", section.state_directory)
    try:
        keys = key_folder(config).held(now)
        read_clients(config.client, "client")
    except ConfigError as error:
        yield Finding("keys", "failed", str(error), "correct the file the key names")
        return
    signing = [key for key in keys if key.not_before <= now]
    if not keys:
        hint = "spingate directory issuer-key makes one, for gateways to pin"
        yield Finding("signing key", "warning", "is made at the first start", hint)
    elif not signing:
        hint = "wait, or make one that begins now"
        yield Finding("signing key", "failed", "no key has begun yet", hint)
    else:
        name = base64.urlsafe_b64encode(signing[0].public.key_id).decode().rstrip("=")
        detail = f"{name} signs, {len(keys) - len(signing)} to come"
        yield Finding("signing key", "passed", detail)
    yield Finding("clients", "passed", f"{len(config.client)} may have tokens")
    for finding in admin_findings(config.admin):
        yield finding


async def examine_relay(config: RelayConfig) -> AsyncIterator[Finding]:
    """Yield the findings in order: keys, certificate, each target, operator's listener."""
    section = config.relay
    for finding in _served(section.certificate, section.key, "relay", None):
        yield finding
    try:
        async with _client(config.dns, section.trust_anchors, "relay.trust_anchors") as client:
            for target in config.target:
                yield await _target(client, target.name, target.url)
    except ConfigError as error:
        yield Finding("trust anchors", "failed", str(error), "correct the file the key names")
    for finding in admin_findings(config.admin):
        yield finding


async def examine_evaluator(config: EvaluatorConfig) -> AsyncIterator[Finding]:
    """Yield the findings in order: keys, certificate, folder, generations, peers, issuers."""
    section = config.evaluator
    host = section.url.split("/", 3)[2].partition(":")[0]
    for finding in _served(section.certificate, section.key, "evaluator", host):
        yield finding
    yield folder_finding("state folder", section.state_directory)
    try:
        generations = load_generations(section)
        load_peers(section.peer, "evaluator.peer")
    except ConfigError as error:
        yield Finding("keys", "failed", str(error), "correct the file the key names")
        return
    yield Finding("generations", "passed", ", ".join(generations))
    yield Finding("peers", "passed", f"{len(section.peer)} may ask")
    for finding in issuer_findings(section.issuer, "evaluator.issuer"):
        yield finding
    for finding in admin_findings(config.admin):
        yield finding


async def examine_buckets(config: BucketsConfig) -> AsyncIterator[Finding]:
    """Yield the findings in order: keys, certificate, folder, token, operator's listener."""
    section = config.buckets
    host = section.url.split("/", 3)[2].partition(":")[0]
    for finding in _served(section.certificate, section.key, "buckets", host):
        yield finding
    yield folder_finding("state folder", section.state_directory)
    try:
        token = read_secret(section.token, section.token_file, "buckets.token")
    except ConfigError as error:
        yield Finding("token", "failed", str(error), "correct the file the key names")
        return
    if len(token) < _SHORTEST_TOKEN:
        detail = f"buckets.token: needs {_SHORTEST_TOKEN} characters or more"
        yield Finding("token", "failed", detail, "openssl rand -base64 24 makes one")
    else:
        yield Finding("token", "passed", "one directory may fill it")
    for finding in admin_findings(config.admin):
        yield finding


async def examine_filling(section: SplitStorageFilling, dns: Dns) -> AsyncIterator[Finding]:
    """Yield whether evaluator and bucket store that a directory fills are there, and its keys."""
    name = "split storage"
    try:
        async with _client(dns, section.trust_anchors, "split_storage.trust_anchors") as client:
            evaluator = await _described(client, section.evaluator + EVALUATOR_WELL_KNOWN)
            await _described(client, section.buckets + BUCKETS_WELL_KNOWN)
    except ConfigError as error:
        yield Finding(name, "failed", str(error), "correct the file the key names")
    except FetchFailed as failed:
        yield Finding(name, "failed", str(failed), "check its url, trust_anchors, that it runs")
    except ValueError as error:
        yield Finding(name, "failed", str(error), "check the url")
    else:
        there = evaluator.get("generations")
        listed = there if isinstance(there, list) else []
        offered = {each.get("keys") for each in listed if isinstance(each, dict)}
        missing = [
            parse_evaluation_keys(keys).generation
            for keys in section.evaluator_keys
            if keys not in offered
        ]
        if missing:
            detail = f"the evaluator has no generation {missing[0]} as pinned"
            yield Finding(name, "failed", detail, "compare split_storage.evaluator_keys with it")
        else:
            yield Finding(name, "passed", "evaluator and bucket store are there")


def issuer_findings(issuers: tuple[IssuerKeyFile, ...], key: str) -> Iterator[Finding]:
    """Yield whether the keys of token issuers can be read."""
    for index, issuer in enumerate(issuers):
        name = f"issuer {issuer.name}"
        try:
            read = _token_key(issuer.key_file, f"{key}[{index}].key_file")
        except ConfigError as error:
            hint = "spingate directory issuer-key --out writes it, at the issuer"
            yield Finding(name, "failed", str(error), hint)
        else:
            digest = base64.urlsafe_b64encode(read.key_id).decode().rstrip("=")
            yield Finding(name, "passed", f"its key is {digest}")


def admin_findings(admin: Admin | None) -> Iterator[Finding]:
    """Yield whether the operator's listener can open, and whether it is for this machine only."""
    if admin is None:
        return
    try:
        read_secret(admin.token, admin.token_file, "admin.token")
    except ConfigError as error:
        yield Finding("admin", "failed", str(error), "openssl rand -base64 24 makes a token")
        return
    if not ipaddress.ip_address(admin.address).is_loopback:
        hint = "bind it to 127.0.0.1, or let nothing but the operator's network reach it"
        detail = f"{admin.address} is not this machine, and the token goes in clear"
        yield Finding("admin", "warning", detail, hint)
        return
    yield Finding("admin", "passed", f"metrics at {admin.address}:{admin.port}")


def certificate_finding(name: str, path: Path, host: str | None = None) -> Finding:
    """Return how long a certificate lives, and whether it has the name that others know us by."""
    certificate = x509.load_pem_x509_certificates(read_file(path, name))[0]
    if host is not None and not _has_name(certificate, host):
        detail = f"{path.name} has no name {host}"
        return Finding(name, "warning", detail, f"others connect to {host}: have it certified")
    end = certificate.not_valid_after_utc.timestamp()
    return until(name, f"{path.name} is valid", end, time.time(), f"renew {path}")


def folder_finding(name: str, path: Path) -> Finding:
    """Return whether a folder can be written, or made."""
    there = path if path.exists() else path.parent
    if not os.access(there, os.W_OK | os.X_OK):
        hint = "let the service's user write it"
        return Finding(name, "failed", f"{path} cannot be written", hint)
    return Finding(name, "passed", f"{path} can be written")


def _served(certificate: Path, key: Path, table: str, host: str | None) -> Iterator[Finding]:
    try:
        check_pair(certificate, key, table)
    except ConfigError as error:
        yield Finding("TLS key", "failed", str(error), "correct the file the key names")
        return
    yield certificate_finding("TLS certificate", certificate, host)


def _has_name(certificate: x509.Certificate, host: str) -> bool:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    try:
        return ipaddress.ip_address(host) in names.get_values_for_type(x509.IPAddress)
    except ValueError:
        known = {name.lower() for name in names.get_values_for_type(x509.DNSName)}
    return host.lower() in known or f"*.{host.lower().partition('.')[2]}" in known


def _token_key(path: Path, key: str) -> TokenKey:
    try:
        return parse_token_key(read_file(path, key))
    except PrivacyError as error:
        raise ConfigError(key, f"{path}: {error}") from None


async def _target(client: ServiceClient, name: str, url: str) -> Finding:
    shown = f"target {name}"
    hint = "check its url, and that it runs with [oblivious]"
    begun = time.monotonic()
    try:
        found = await client.request("GET", url, timeout=_TIMEOUT, headers={"Accept": MEDIA_TYPE})
        if found.status != 200:
            return Finding(shown, "failed", f"{url} answers {found.status}", hint)
        keys = parse_key_configurations(found.body)
    except FetchFailed as failed:
        return Finding(shown, "failed", str(failed), hint)
    except PrivacyError as error:
        return Finding(shown, "failed", f"{url} gives no key configurations ({error})", hint)
    took = 1_000 * (time.monotonic() - begun)
    return Finding(shown, "passed", f"gives {len(keys)} key configurations, in {took:.0f} ms")


async def _described(client: ServiceClient, url: str) -> Mapping[str, object]:
    """Return a service's description. Raises FetchFailed, ValueError."""
    found = await client.request("GET", url, timeout=_TIMEOUT)
    if found.status != 200:
        raise ValueError(f"{url} answers {found.status}")
    try:
        document = json.loads(found.body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise ValueError(f"{url} is no description")
    return document


@asynccontextmanager
async def _client(dns: Dns, anchors: Path | None, key: str) -> AsyncIterator[ServiceClient]:
    """Yield a client of the operator's own services. Raises ConfigError."""
    try:
        context = client_context(anchors)
    except OSError:
        raise ConfigError(key, "cannot be read as PEM certificates") from None
    resolver = dns_resolver(dns)
    client = ServiceClient(resolver, context)
    try:
        yield client
    finally:
        await client.close()
        await resolver.close()
