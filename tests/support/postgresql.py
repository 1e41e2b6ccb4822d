"""A throw-away PostgreSQL: a cluster of its own on loopback, for as long as the tests run.

PostgreSQL refuses to run as root, so as root it runs as the user that its package made.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import asyncpg  # type: ignore[import-untyped]

USER: Final = "directory"
PASSWORD: Final = "password-of-the-tests"
DATABASE: Final = "directory"
_PROGRAMS: Final = "usr/lib/postgresql/*/bin/initdb"
# What a crash of the machine would lose is of no interest here; the rest is as it comes.
_SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_connections": "60",
    "shared_buffers": "16MB",
    "log_min_messages": "fatal",
}


def programs() -> Path | None:
    """The folder of initdb and pg_ctl; None where PostgreSQL is not installed."""
    found = sorted(Path("/").glob(_PROGRAMS))
    if found:
        return found[-1].parent
    program = shutil.which("initdb")
    return None if program is None else Path(program).resolve().parent


@dataclass
class Cluster:
    """A running cluster; its databases are reached over TCP with a password."""

    folder: Path
    port: int
    user: int | None = field(default=None)

    def url(self, database: str = DATABASE, *, password: str = PASSWORD, more: str = "") -> str:
        """The URL by which a directory opens a database."""
        return f"postgresql+asyncpg://{USER}:{password}@127.0.0.1:{self.port}/{database}{more}"

    def emptied(self) -> str:
        """Throw away what is in the database, and return its URL."""
        asyncio.run(self.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public"))
        return self.url()

    async def execute(self, statements: str) -> None:
        """Run SQL, several statements at once if need be."""
        connection = await self._connect()
        try:
            await connection.execute(statements)
        finally:
            await connection.close()

    async def rows(self, query: str) -> list[tuple[object, ...]]:
        """Return what a query finds."""
        connection = await self._connect()
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    async def _connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(
            host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, database=DATABASE
        )

    def start(self) -> None:
        """Let it run, again if it was stopped."""
        options = " ".join(f"-c {name}={value}" for name, value in _SETTINGS.items())
        options += f" -c port={self.port} -c unix_socket_directories={self.folder}"
        self._run(
            "pg_ctl", "-w", "-t", "30", "-l", str(self.folder / "log"), "-o", options, "start"
        )

    async def speak_tls(self, certificate: bytes, key: bytes) -> None:
        """Take TLS from now on, with a PEM certificate, beside what comes without."""
        for name, octets in (("server.crt", certificate), ("server.key", key)):
            file = self.folder / "data" / name
            file.write_bytes(octets)
            file.chmod(0o600)
            if self.user is not None:
                os.chown(file, self.user, -1)
        await self.execute("ALTER SYSTEM SET ssl = on")
        await self.execute("SELECT pg_reload_conf()")

    async def speak_no_tls(self) -> None:
        """Take no TLS any more."""
        await self.execute("ALTER SYSTEM SET ssl = off")
        await self.execute("SELECT pg_reload_conf()")

    def stop(self) -> None:
        """End it at once, with every connection to it."""
        self._run("pg_ctl", "-w", "-m", "immediate", "stop")

    def initialise(self) -> None:
        """Make its files."""
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        if self.user is not None:
            os.chown(secret, self.user, -1)
        self._run(
            "initdb", "--no-sync", "--encoding=UTF8", "--locale=C", f"--username={USER}",
            "--auth=scram-sha-256", f"--pwfile={secret}",
        )  # fmt: skip

    def _run(self, program: str, *arguments: str) -> None:
        folder = programs()
        assert folder is not None
        done = subprocess.run(
            [folder / program, "-D", self.folder / "data", *arguments],
            stdin=subprocess.DEVNULL,
            # pg_ctl leaves its output to the server: a pipe would never end.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self.user,
            cwd=self.folder,
            check=False,
        )
        assert done.returncode == 0, f"{program} failed in {self.folder}"


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Make a cluster with an empty database, run it, and leave nothing behind."""
    user = _server_user()
    # Not in a folder of pytest: those are closed to other users.
    with tempfile.TemporaryDirectory(prefix="spingate-pg-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if user is not None:
            os.chown(folder, user, -1)
        made = Cluster(folder, _free_port(), user)
        made.initialise()
        made.start()
        try:
            asyncio.run(_create_database(made))
            yield made
        finally:
            if (folder / "data" / "postmaster.pid").exists():
                made.stop()


async def _create_database(cluster: Cluster) -> None:
    connection = await asyncpg.connect(
        host="127.0.0.1", port=cluster.port, user=USER, password=PASSWORD, database="postgres"
    )
    try:
        await connection.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await connection.close()


def _server_user() -> int | None:
    """The user a server runs as: we ourselves unless we are root."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
    raise AssertionError("no user to run PostgreSQL as: neither postgres nor nobody")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
