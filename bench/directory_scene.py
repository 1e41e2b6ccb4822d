"""A directory to ask: its files, and a database of as many records as wanted.

Records are copies of one real record under other names, and so are the label proofs of the log's
entries: the directory does the same with them, and making a million keys would take longer than the
bench. Half of the numbers that are asked for are there.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from discovery.directory.identifier import parse_identifier
from discovery.directory.record import Map, Record, sign_record
from discovery.log.checkpoint import sign_checkpoint
from discovery.log.entry import EntryType, LogEntry
from discovery.log.note import NoteSigner
from discovery.log.vrf import PROOF_SIZE
from discovery.model import Service
from discovery.privacy.rsa_numbers import RsaPublicKey
from discovery.privacy.token_key import TokenKey
from gateway.directory.database import Database, sqlite_url
from gateway.directory.keys import EcSigner, chain_texts
from gateway.directory.record_store import RecordStore
from gateway.directory_log.keys import own_key
from gateway.directory_log.store import LogStore
from stir.certificates.issuing import (
    Authority,
    issue_sti_certificate,
    issue_tls_certificate,
    make_intermediate,
    make_root,
    new_key,
)
from stir.certificates.tn_auth_list import One, TnAuthList

TOKEN: Final = "token-of-the-bench-peer"
ISSUER: Final = "tokens.bench.example"
_FIRST: Final = 10_000_000_000
_LOGGED_AT_ONCE: Final = 10_000
_CONFIGURATION: Final = """
[directory]
url = "https://127.0.0.1:{port}"
address = "127.0.0.1"
port = {port}
certificate = "https.pem"
key = "https.key"
state_directory = "state"
owner_trust_anchors = ["numbers.pem"]
{more}[[directory.peer]]
name = "bench"
token = "{token}"
lookups_per_day = 1_000_000_000
lookups_per_second = 1_000_000.0
lookups_burst = 1_000_000
[oblivious]
[[oblivious.issuer]]
name = "{issuer}"
key_file = "issuer.der"
[log]
level = "error"
"""


def number_of(n: int) -> str:
    """Return the n-th number asked for as identifier; the even ones are there."""
    return f"tel:+{_FIRST + n}"


@dataclass(frozen=True, slots=True)
class DirectoryFiles:
    """The folder of a directory with `size` records; `port` is free when it is made."""

    home: Path
    size: int
    port: int
    logged: bool = False

    @property
    def configuration(self) -> Path:
        return self.home / "directory.toml"

    @property
    def disk_octets(self) -> int:
        """What database and log take."""
        found = (self.home / "state").rglob("*")
        return sum(each.stat().st_blocks * 512 for each in found if each.is_file())


async def make_directory(
    home: Path, size: int, *, logged: bool = False, more: str = ""
) -> DirectoryFiles:
    """Make the files of a directory with so many records, in the log as well where `logged`.

    more: lines for the section [directory] of the configuration.
    """
    files = DirectoryFiles(home, size, _free_port(), logged)
    now = time.time()
    (home / "state").mkdir(parents=True)
    numbers = make_root("Bench numbers", now)
    _write_keys(files, now)
    (home / "numbers.pem").write_bytes(numbers.certificate_pem)
    text = _CONFIGURATION.format(port=files.port, token=TOKEN, issuer=ISSUER, more=more)
    files.configuration.write_text(text + ("[transparency_log]\n" if logged else ""))
    database = home / "state" / "directory.db"
    if shutil.disk_usage(home).free < size * 4_000:
        raise OSError(f"{home} has no room for {size} records")
    await _create_tables(database)
    authority = make_intermediate(numbers, "Bench CA", now)
    await asyncio.to_thread(_fill, database, size, authority, now, logged)
    if logged:
        await asyncio.to_thread(_fill_log, files)
    return files


@asynccontextmanager
async def running(files: DirectoryFiles, core: int | None) -> AsyncIterator[int]:
    """Run `spingate directory run` on one core; gives its process id once it serves."""
    arguments = ("-m", "gateway", "directory", "run", "-c", str(files.configuration), "--json")
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE
    )
    try:
        if core is not None:
            os.sched_setaffinity(process.pid, {core})
        assert process.stdout is not None
        line = await process.stdout.readline()
        if not line:
            raise OSError("the directory did not start")
        json.loads(line)
        yield process.pid
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _create_tables(file: Path) -> None:
    database = Database(sqlite_url(file))
    await database.upgrade()
    assert await RecordStore(database).count() == 0
    await database.close()


def _write_keys(files: DirectoryFiles, now: float) -> None:
    tls = make_root("Bench TLS", now)
    issued = issue_tls_certificate(tls, now, addresses=("127.0.0.1",))
    assert issued.key_pem is not None
    issuer = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    spki = TokenKey(RsaPublicKey(issuer.public_key().public_numbers().n, 65_537)).spki
    contents = {
        "https.pem": issued.chain_pem,
        "https.key": issued.key_pem,
        "tls.pem": tls.certificate_pem,
        "issuer.der": spki,
        "issuer.key": issuer.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    }
    for name, octets in contents.items():
        (files.home / name).write_bytes(octets)


def _fill(file: Path, size: int, authority: Authority, now: float, logged: bool) -> None:
    signer = EcSigner(new_key())
    number = str(_FIRST)
    issued = issue_sti_certificate(
        authority, TnAuthList((One(number),)), now, public_key=signer.public.public_key
    )
    uri = f"sip:+{number}@b.example;user=phone"
    maps = (Map("b.example", (Service.VOICE, Service.VIDEO), uri, 10, ("personal",)),)
    csi = parse_identifier(number_of(0))
    record = Record(csi, 1, int(now), int(now) + 86_400, maps, "https://dp.example/ca/v1/c/1")
    token = sign_record(record, signer)
    chain = json.dumps(chain_texts(issued.chain_pem))
    thumbprint, end = signer.public.thumbprint, now + 86_400

    def rows() -> Iterator[tuple[object, ...]]:
        for n in range(size):
            index = n if logged else None
            fixed = (thumbprint, token, "d" * 43, chain, False, False, now, end, index)
            yield (number_of(2 * n), *fixed)

    columns = (
        "csi, thumbprint, token, digest, chain, drops_others, opted_out, live_at, until, log_index"
    )
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.executemany(
            f"INSERT INTO dp_records ({columns}) VALUES (?,?,?,?,?,?,?,?,?,?)", rows()
        )
    connection.close()


def _fill_log(files: DirectoryFiles) -> None:
    state = files.home / "state"
    signer = NoteSigner(f"127.0.0.1:{files.port}/log", own_key(state / "log.key", "log"))
    store = LogStore(state / "log", signer.verifier, sync=False)
    try:
        for start in range(0, files.size, _LOGGED_AT_ONCE):
            count = min(_LOGGED_AT_ONCE, files.size - start)
            entry = LogEntry(EntryType.RECORD, bytes(32), os.urandom(32)).encode()
            store.commit(sign_checkpoint(store.append([entry] * count), signer))
        assert store.committed is not None
        store.publish(store.committed)
    finally:
        store.close()
    with (state / "log" / "label-proofs").open("wb") as proofs:
        for start in range(0, files.size, _LOGGED_AT_ONCE):
            proofs.write(b"\x01" * PROOF_SIZE * min(_LOGGED_AT_ONCE, files.size - start))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
