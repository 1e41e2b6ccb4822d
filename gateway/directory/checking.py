"""What `spingate directory check` finds out about a directory's configuration and its world."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from sqlalchemy import text

from gateway.config.directory import DirectoryConfig
from gateway.config.discovery import Smpp
from gateway.config.load import ConfigError
from gateway.config.transparency_log import LogWitness
from gateway.directory.database import Database, DirectoryUnavailable
from gateway.directory.files import load_directory_keys
from gateway.directory.making import database_url, mail_submission, sms_transceiver
from gateway.directory.oblivious import host_of
from gateway.directory.service_checking import (
    admin_findings,
    certificate_finding,
    examine_filling,
    folder_finding,
    issuer_findings,
)
from gateway.finding import Finding
from gateway.http.fetch import FetchFailed, client_context
from gateway.http.service_client import ServiceClient
from gateway.mail.submission import MailFailed
from gateway.services import dns_resolver

_TIMEOUT: Final = 5.0


async def examine_directory(config: DirectoryConfig) -> AsyncIterator[Finding]:
    """Yield the findings in order: keys, certificates, folder, database, SMSCs, mail, witnesses."""
    try:
        load_directory_keys(config)
    except ConfigError as error:
        yield Finding("keys", "failed", str(error), "correct the file the key names")
        return
    yield Finding("keys", "passed", "every key belongs to its certificate")
    yield certificate_finding(
        "TLS certificate", config.directory.certificate, host_of(config).partition(":")[0]
    )
    if config.authority is not None:
        yield certificate_finding("authority", config.authority.certificate)
    section = config.transparency_log
    yield folder_finding("state folder", config.directory.state_directory)
    if section is not None and section.folder is not None:
        yield folder_finding("log folder", section.folder)
    yield await _database(config)
    for place, smpp in enumerate(config.sms, 1):
        yield await _sms(f"SMSC {place}", smpp)
    yield await _mail(config)
    async for finding in _others(config):
        yield finding
    async for finding in _log(config):
        yield finding


async def _others(config: DirectoryConfig) -> AsyncIterator[Finding]:
    if config.oblivious is not None:
        for finding in issuer_findings(config.oblivious.issuer, "oblivious.issuer"):
            yield finding
    if config.split_storage is not None:
        async for finding in examine_filling(config.split_storage, config.dns):
            yield finding
    for finding in admin_findings(config.admin):
        yield finding


async def _log(config: DirectoryConfig) -> AsyncIterator[Finding]:
    section = config.transparency_log
    if section is None:
        hint = "add [transparency_log]: without it nobody sees what is bound to a number"
        yield Finding("log", "warning", "no log is kept", hint)
        return
    if not section.witness:
        hint = "add a [[transparency_log.witness]] that somebody else runs"
        yield Finding("witnesses", "warning", "nobody cosigns the log", hint)
    async for finding in _witnesses(config, section.witness):
        yield finding


async def _database(config: DirectoryConfig) -> Finding:
    hint = "check directory.database_url, and that the server runs"
    section = config.directory
    if section.database_url is None and not (section.state_directory / "directory.db").exists():
        return Finding("database", "passed", "is made at the first start")
    try:
        database = Database(database_url(config))
    except ValueError as error:
        return Finding("database", "failed", str(error), hint)
    try:
        async with database.reading() as connection:
            await connection.execute(text("SELECT 1"))
    except DirectoryUnavailable as error:
        return Finding("database", "failed", str(error), hint)
    finally:
        await database.close()
    return Finding("database", "passed", "answers")


async def _sms(name: str, smpp: Smpp) -> Finding:
    where = f"{smpp.host}:{smpp.port}"
    try:
        transceiver = sms_transceiver(smpp, name, lambda _label, _arrived: None)
    except ConfigError as error:
        return Finding(name, "failed", str(error), "correct the password of [[sms]]")
    transceiver.start()
    try:
        async with asyncio.timeout(_TIMEOUT):
            await transceiver.wait_bound()
    except TimeoutError:
        hint = "check host, port, system_id and password of [[sms]]"
        return Finding(name, "failed", f"{where} takes no bind within {_TIMEOUT:g} s", hint)
    finally:
        await transceiver.stop()
    return Finding(name, "passed", f"{where} takes our bind")


async def _mail(config: DirectoryConfig) -> Finding:
    if config.mail is None:
        return Finding("mail", "skipped", "no [mail]")
    try:
        await mail_submission(config.mail).check()
    except ConfigError as error:
        return Finding("mail", "failed", str(error), "correct the file the key names")
    except MailFailed as failed:
        hint = "check host, port, tls, trust_anchors, user and password of [mail]"
        return Finding("mail", "failed", str(failed), hint)
    return Finding("mail", "passed", f"{config.mail.host}:{config.mail.port} lets us in")


async def _witnesses(
    config: DirectoryConfig, witnesses: tuple[LogWitness, ...]
) -> AsyncIterator[Finding]:
    resolver = dns_resolver(config.dns)
    client = ServiceClient(resolver, client_context(None))
    try:
        for witness in witnesses:
            url = f"{witness.url.rstrip('/')}/add-checkpoint"
            name = f"witness {witness.key.partition('+')[0]}"
            try:
                # Nothing to cosign: any answer says that it is there.
                await client.request("POST", url, timeout=_TIMEOUT, body=b"")
            except FetchFailed as failed:
                yield Finding(
                    name, "failed", str(failed), "check its url, trust_anchors, that it runs"
                )
            else:
                yield Finding(name, "passed", "is there")
    finally:
        await client.close()
        await resolver.close()
