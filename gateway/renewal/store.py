"""What certificate renewal keeps on disk, so that a crash at any moment loses and leaks nothing.

    account.key      the account's key, where no other file is configured
    account.json     the account's URL, by directory and key
    order.json       the order under way, with order.key, its certificate's key
    NAME.key         the private key of an issued certificate, until it was replaced
    NAME.pem         its chain, as published
    current.json     which certificate signs, and which ones did before
    failure.json     why the last attempt failed

Every file is written whole under another name, synchronised and moved into place; all are readable
by their owner only.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec

from stir.acme.account_key import AccountKey
from stir.acme.problem import AcmeError, Fault
from stir.certificates.certificate import MalformedCredential, load_private_key
from stir.certificates.issuing import key_to_pem, new_key
from stir.passport import encode_part

MAX_PREVIOUS: Final = 400
_MAX_FILE: Final = 1_048_576


@dataclass(frozen=True, slots=True)
class HeldCertificate:
    """An issued certificate: `name` of its files, public URL, what it was ordered for.

    Times in epoch seconds.
    """

    name: str
    x5u: str
    identifier: str
    obtained_at: float
    not_after: float
    replaced_at: float | None = None


@dataclass(frozen=True, slots=True)
class PendingOrder:
    """An order under way: for which directory and identifier, how far it is.

    `issued` is the certificate's name once its chain is stored.
    """

    directory: str
    identifier: str
    order_url: str | None = None
    issued: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the last attempt failed, `at` epoch seconds, how often in a row."""

    at: float
    count: int
    text: str
    fault: str
    advice: str


class LockedElsewhere(AcmeError):
    """Another process is at it."""


class CertificateStore:
    """The folder above; its methods raise AcmeError where the disk does not play along."""

    def __init__(self, folder: Path, account_key: Path | None = None) -> None:
        self.folder = folder
        self._account_key = account_key or folder / "account.key"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from ordering at the same time; raises LockedElsewhere."""
        with _disk(self.folder):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise LockedElsewhere(
                    "another process renews the certificate right now",
                    fault=Fault.OURS,
                    advice="wait until it is done, then look again",
                ) from None
            yield
        finally:
            os.close(handle)

    # --- account -----------------------------------------------------------------------------

    def account_key(self) -> AccountKey:
        """Return the account's key, made at first use; raises AcmeError for a bad file."""
        if not self._account_key.exists():
            self._write(self._account_key, key_to_pem(new_key()))
        with _disk(self._account_key):
            pem = self._account_key.read_bytes()
        try:
            return AccountKey.load(pem)
        except MalformedCredential as error:
            raise AcmeError(
                f"stir.acme.account_key: {self._account_key}: {error}",
                fault=Fault.CONFIGURATION,
                advice="restore the file, or move it away for a new account",
            ) from None

    def replace_account_key(self, key: ec.EllipticCurvePrivateKey) -> None:
        """Store another account key; what was known of the account stays true of it."""
        url = self._read("account.json")
        self._write(self._account_key, key_to_pem(key))
        if url is not None:
            self._save("account.json", {**url, "key": _name_of(AccountKey(key))})

    def stage_account_key(self, key: ec.EllipticCurvePrivateKey) -> None:
        """Keep a key that is about to become the account's, in case we end in between."""
        self._write(self._account_key.with_suffix(".next"), key_to_pem(key))

    def staged_account_key(self) -> ec.EllipticCurvePrivateKey | None:
        """Return the key of `stage_account_key`, or None."""
        with _disk(self._account_key), suppress(FileNotFoundError, MalformedCredential):
            return load_private_key(self._account_key.with_suffix(".next").read_bytes())
        return None

    def drop_staged_account_key(self) -> None:
        """Forget the key of `stage_account_key`."""
        self._unlink(self._account_key.with_suffix(".next"))

    def account_url(self, directory: str, key: AccountKey) -> str | None:
        """Return the account's URL, where it is known for this directory and key."""
        known = self._read("account.json") or {}
        url = known.get("url")
        same = known.get("directory") == directory and known.get("key") == _name_of(key)
        return url if same and isinstance(url, str) else None

    def remember_account(self, directory: str, key: AccountKey, url: str) -> None:
        """Store the account's URL."""
        self._save("account.json", {"directory": directory, "key": _name_of(key), "url": url})

    def forget_account(self) -> None:
        """The server does not know the account: its URL is asked for again."""
        self._unlink(self.folder / "account.json")

    # --- the order under way -----------------------------------------------------------------

    def pending(self, directory: str, identifier: str) -> PendingOrder | None:
        """Return the order under way; one for another directory or identifier is discarded."""
        found = self._read("order.json")
        try:
            order = PendingOrder(**found) if found is not None else None
        except TypeError:
            order = None
        same = order and (order.directory, order.identifier) == (directory, identifier)
        if order is not None and same and (self.folder / "order.key").exists():
            return order
        self.discard_order()
        return None

    def begin(self, directory: str, identifier: str) -> PendingOrder:
        """Make the key of a new order and store both, before the server hears of it."""
        order = PendingOrder(directory, identifier)
        self._write(self.folder / "order.key", key_to_pem(new_key()))
        self.note(order)
        return order

    def note(self, order: PendingOrder) -> None:
        """Store how far the order is."""
        self._save("order.json", asdict(order))

    def order_key(self) -> ec.EllipticCurvePrivateKey:
        """Return the key of the order under way."""
        return self._key(self.folder / "order.key")

    def issued(self, order: PendingOrder, name: str, chain_pem: bytes) -> PendingOrder:
        """Store an issued chain and its key under their name."""
        self._write(self.folder / f"{name}.key", key_to_pem(self.order_key()))
        self._write(self.folder / f"{name}.pem", chain_pem)
        done = replace(order, issued=name)
        self.note(done)
        return done

    def discard_order(self) -> None:
        """Forget the order under way; its record goes first, so that no order is without key."""
        self._unlink(self.folder / "order.json")
        self._unlink(self.folder / "order.key")

    # --- certificates ------------------------------------------------------------------------

    def chain(self, name: str) -> bytes:
        """Return the stored PEM chain of a certificate."""
        with _disk(self.folder):
            return (self.folder / f"{name}.pem").read_bytes()

    def key_pem(self, name: str) -> bytes:
        """Return the stored private key of a certificate."""
        with _disk(self.folder):
            return (self.folder / f"{name}.key").read_bytes()

    def current(self) -> HeldCertificate | None:
        """Return the certificate that signs."""
        held = self._held()
        return held[0] if held else None

    def previous(self) -> tuple[HeldCertificate, ...]:
        """Return the certificates that signed before, newest first."""
        return self._held()[1:]

    def switch(self, new: HeldCertificate, now: float) -> None:
        """Make another certificate the one that signs, and forget its order."""
        held = [
            each if each.replaced_at is not None else replace(each, replaced_at=now)
            for each in self._held()
            if each.name != new.name
        ]
        self._save_held((new, *held))
        self.discard_order()

    def drop_key(self, name: str) -> bool:
        """Delete the private key of a certificate that was replaced; return whether it was."""
        path = self.folder / f"{name}.key"
        present = path.exists()
        self._unlink(path)
        return present

    def forget(self, name: str) -> None:
        """Delete everything about a certificate that was replaced."""
        held = self._held()
        assert not held or held[0].name != name, "the certificate that signs is kept"
        self._save_held(tuple(each for each in held if each.name != name))
        self.drop_key(name)
        self._unlink(self.folder / f"{name}.pem")

    def _held(self) -> tuple[HeldCertificate, ...]:
        found = self._read("current.json")
        if found is None:
            return ()
        try:
            return tuple(HeldCertificate(**each) for each in found["certificates"])
        except (KeyError, TypeError):
            raise AcmeError(
                f"{self.folder / 'current.json'} is damaged",
                fault=Fault.OURS,
                advice="remove it and run `spingate cert obtain`",
            ) from None

    def _save_held(self, held: tuple[HeldCertificate, ...]) -> None:
        kept = held[: MAX_PREVIOUS + 1]
        self._save("current.json", {"certificates": [asdict(each) for each in kept]})

    # --- failures ----------------------------------------------------------------------------

    def failure(self) -> Failure | None:
        """Return why the last attempt failed, None where it went well."""
        try:
            found = self._read("failure.json")
            return Failure(**found) if found is not None else None
        except TypeError:
            return None

    def note_failure(self, failure: Failure) -> None:
        """Store why an attempt failed."""
        self._save("failure.json", asdict(failure))

    def forget_failure(self) -> None:
        """An attempt went well."""
        self._unlink(self.folder / "failure.json")

    # --- files -------------------------------------------------------------------------------

    def _key(self, path: Path) -> ec.EllipticCurvePrivateKey:
        with _disk(path):
            pem = path.read_bytes()
        try:
            return load_private_key(pem)
        except MalformedCredential as error:
            raise AcmeError(
                f"{path}: {error}", fault=Fault.OURS, advice="remove it: a new order is made"
            ) from None

    def _read(self, name: str) -> dict[str, Any] | None:
        path = self.folder / name
        with _disk(path), suppress(FileNotFoundError):
            with path.open("rb") as file:
                octets = file.read(_MAX_FILE)
            try:
                found = json.loads(octets)
            except (ValueError, RecursionError):
                return {}
            return found if isinstance(found, dict) else {}
        return None

    def _save(self, name: str, record: dict[str, Any]) -> None:
        self._write(self.folder / name, json.dumps(record, indent=1).encode())

    def _write(self, path: Path, octets: bytes) -> None:
        with _disk(path):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(path, octets, mode=0o600)

    def _unlink(self, path: Path) -> None:
        with _disk(path):
            path.unlink(missing_ok=True)


def write_whole(path: Path, octets: bytes, *, mode: int) -> None:
    """Write a file whole or not at all, and make sure it is on the disk; raises OSError."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(octets)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    """Tell the operator which file the disk failed on."""
    try:
        yield
    except OSError as error:
        raise AcmeError(
            f"{path}: {error.strerror}",
            fault=Fault.CONFIGURATION,
            advice="make room and check who owns provider.state_directory",
        ) from None


def _name_of(key: AccountKey) -> str:
    return encode_part(key.thumbprint)
