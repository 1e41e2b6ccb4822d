"""What `spingate check` finds out about discovery: directories, their logs, ENUM trees, policy."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final

import dns.name
import dns.rdatatype

from discovery.directory.reason import Refused
from discovery.enum.dnssec.anchor import trust_anchor
from discovery.enum.dnssec.chain import KeyStore, validate
from discovery.enum.dnssec.limits import Limits
from discovery.enum.dnssec.outcome import Status
from discovery.log.checkpoint import parse_checkpoint
from discovery.log.logged import LogPolicy, verify_checkpoint
from discovery.log.reason import LogRefused
from discovery.spin.strict_json import MalformedJson, parse_json_object
from gateway.config.base import split_endpoint
from gateway.config.carriages import MmsMail
from gateway.config.directory_client import DirectoryClientSection, DirectoryServer
from gateway.config.enum_trees import EnumTree
from gateway.config.files import read_secret
from gateway.config.load import ConfigError
from gateway.config.root import Config
from gateway.directory_client import read_keys
from gateway.directory_log.kept import PREFIX
from gateway.directory_log.trust import log_policy
from gateway.dns import DnsResolver
from gateway.finding import Finding
from gateway.http.fetch import FetchFailed, client_context
from gateway.http.service_client import ServiceClient
from gateway.mail.making import mail_settings
from gateway.mail.submission import MailFailed, MailSubmission
from gateway.oblivious_checks import oblivious_way
from sip.dns import DnsUnavailable

_TIMEOUT: Final = 5.0


async def discovery(
    config: Config, resolver: DnsResolver, wall_clock: Callable[[], float] = time.time
) -> AsyncIterator[Finding]:
    """Yield what there is to say of [discovery]; nothing where it names no directory or tree."""
    for finding in _policy(config):
        yield finding
    section = config.discovery.directory
    if section is not None:
        try:
            client = ServiceClient(resolver, client_context(section.trust_anchors))
        except OSError:
            hint = "name a file of PEM certificates in discovery.directory.trust_anchors"
            yield Finding("directories", "failed", "trust_anchors cannot be read", hint)
            return
        try:
            for server in section.server:
                async for finding in _directory(server, client, wall_clock()):
                    yield finding
        finally:
            await client.close()
    for tree in config.discovery.enum.tree if config.discovery.enum is not None else ():
        yield await _tree(tree, resolver, wall_clock())
    mms = config.spin.mms if config.spin is not None else None
    if mms is not None and mms.mail is not None:
        yield await _mmsc(mms.mail)


async def _mmsc(mail: MmsMail) -> Finding:
    key = "spin.mms.mail"
    try:
        password = None
        if mail.user is not None:
            password = read_secret(mail.password, mail.password_file, f"{key}.password")
        settings = mail_settings(mail, mail.sender, password)
        await MailSubmission(settings, client_context(mail.trust_anchors)).check()
    except ConfigError as error:
        return Finding("MMSC", "failed", str(error), "correct the file the key names")
    except OSError:
        hint = f"name a file of PEM certificates in {key}.trust_anchors"
        return Finding("MMSC", "failed", "trust_anchors cannot be read", hint)
    except MailFailed as failed:
        hint = f"check host, port, tls, trust_anchors, user and password of [{key}]"
        return Finding("MMSC", "failed", str(failed), hint)
    return Finding("MMSC", "passed", f"{mail.host}:{mail.port} lets us in")


def _policy(config: Config) -> Iterator[Finding]:
    """What can be told without asking anybody: assurance that no source can give, order."""
    settings = config.discovery
    directory, enum = settings.directory, settings.enum
    given = {
        "signed": directory is not None or enum is not None or config.spin is not None,
        "dnssec": enum is not None or _logs(directory),
        "logged": _logs(directory),
    }
    missing = {
        "signed": "there is no [discovery.directory], [discovery.enum] or [spin]",
        "dnssec": "there is no [[discovery.enum.tree]], nor a directory with log_keys",
        "logged": "no [[discovery.directory.server]] has log_keys",
    }
    configured = any(given.values())
    for service in ("voice", "video", "message"):
        wanted = getattr(settings.required_assurance, service)
        if configured and not given[wanted]:
            yield Finding(
                "assurance",
                "failed",
                f"{service} needs '{wanted}', which nothing here can give: {missing[wanted]}",
                f"add the source, or lower discovery.required_assurance.{service}",
            )
    sections = {"directory": directory, "enum": enum, "spin": config.spin}
    named = "order" in settings.model_fields_set
    for name, section in sections.items():
        if section is None and name in settings.order and named:
            detail = f"'{name}' is in discovery.order, but has no section: it is left out"
            yield Finding("order", "warning", detail, f"add its section, or take {name} out")
        if section is not None and name not in settings.order:
            detail = f"'{name}' has a section, but is not in discovery.order: it is never asked"
            yield Finding("order", "warning", detail, f"add '{name}' to discovery.order")


def _logs(directory: DirectoryClientSection | None) -> bool:
    if directory is None:
        return False
    return directory.prefix_map is not None or any(each.log_keys for each in directory.server)


async def _directory(
    server: DirectoryServer, client: ServiceClient, now: float
) -> AsyncIterator[Finding]:
    name = f"directory {server.url.partition('://')[2]}"
    try:
        answer = await client.request("GET", f"{server.url}/.well-known/spin-dp", timeout=_TIMEOUT)
    except FetchFailed as failed:
        hint = "check url and discovery.directory.trust_anchors, and that it runs"
        yield Finding(name, "failed", str(failed), hint)
        return
    if answer.status != 200:
        yield Finding(name, "failed", f"HTTP status {answer.status}", "is the url a directory's?")
        return
    try:
        keys = read_keys(answer.body)
        described = parse_json_object(answer.body)
    except (Refused, MalformedJson) as error:
        yield Finding(name, "failed", str(error), "is the url a directory's?")
        return
    yield _key(name, server, {key.thumbprint for key in keys})
    if described.get("url") != server.url:
        detail = f"it calls itself {described.get('url')!r}: its answers are refused"
        yield Finding(name, "failed", detail, "use the url it calls itself by")
    if server.oblivious is not None:
        believed = described.get("token_issuers")
        async for finding in oblivious_way(server.oblivious, client, believed):
            yield finding
    if server.log_keys:
        yield _log_key(name, server, described.get("log"), described.get("log_labels"))
        yield await _checkpoint(name, server, client, now)


def _key(name: str, server: DirectoryServer, published: set[str]) -> Finding:
    if server.key is None:
        thumbprint = min(published)
        hint = f'pin it, once its operator confirms it: key = "{thumbprint}"'
        return Finding(name, "warning", "reached; its key is not pinned", hint)
    if server.key not in published:
        hint = "ask its operator whether the key was changed"
        return Finding(name, "failed", "it does not publish the key that is pinned", hint)
    return Finding(name, "passed", "reached, and its key is the pinned one")


def _log_key(name: str, server: DirectoryServer, key: object, labels: object) -> Finding:
    if key not in server.log_keys:
        hint = "ask its operator whether the log's key was changed"
        return Finding(name, "failed", "its log's key is not among log_keys", hint)
    if server.log_labels is not None and labels != server.log_labels:
        hint = "ask its operator whether the key of labels was changed"
        return Finding(name, "failed", "its key of labels is not log_labels", hint)
    return Finding(name, "passed", "its log's key is the pinned one")


async def _checkpoint(
    name: str, server: DirectoryServer, client: ServiceClient, now: float
) -> Finding:
    hint = "its operator has to see to the log or its witnesses"
    try:
        policy: LogPolicy = log_policy(server, "discovery.directory.server")
        answer = await client.request("GET", f"{server.url}{PREFIX}/checkpoint", timeout=_TIMEOUT)
        signed = parse_checkpoint(answer.body)
        verify_checkpoint(signed, policy, now)
    except ConfigError as error:
        return Finding(name, "failed", str(error), "correct the keys of the log")
    except (FetchFailed, LogRefused) as error:
        return Finding(name, "failed", f"its log's checkpoint does not hold: {error}", hint)
    detail = f"its log has {signed.checkpoint.size} entries, cosigned as demanded"
    if not policy.quorum:
        detail = f"its log has {signed.checkpoint.size} entries; no witness is demanded"
    return Finding(name, "passed", detail)


async def _tree(tree: EnumTree, resolver: DnsResolver, now: float) -> Finding:
    """Ask for the keys of the tree's top: its DS has to fit them."""
    name = f"ENUM {tree.suffix}"
    asked = dns.name.from_text(tree.suffix)
    anchor = trust_anchor(tree.suffix, tree.ds)
    servers = tuple(split_endpoint(server) for server in tree.nameservers)
    asking = validate(asked, dns.rdatatype.SOA, anchor, KeyStore(), now, Limits())
    try:
        question = next(asking)
        while True:
            message = await resolver.signed_message(question.name, question.kind, servers)
            question = asking.send(message)
    except StopIteration as end:
        verdict = end.value
    except DnsUnavailable as error:
        return Finding(name, "failed", str(error), "check its nameservers, and that they run")
    finally:
        asking.close()
    if verdict.status is not Status.SECURE:
        detail = f"does not validate: {verdict.status}, {verdict.fault}"
        return Finding(name, "failed", detail, "compare ds with what the tree's operator publishes")
    return Finding(name, "passed", "validates from the pinned DS")
