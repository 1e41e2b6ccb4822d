"""One certificate from order to published chain; every step is stored and can be taken again."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from gateway.config.acme import Acme
from gateway.config.files import read_file
from gateway.config.load import ConfigError
from gateway.http.acme_client import AcmeClient, Helpers
from gateway.http.fetch import FetchFailed, FetchRefused, GuardedClient
from gateway.renewal.store import CertificateStore, HeldCertificate, PendingOrder, write_whole
from gateway.renewal.tokens import TokenSource
from stir.acme.account import Account, Registration, open_account
from stir.acme.actions import AskToken
from stir.acme.authority_token import Dialect
from stir.acme.csr import certificate_request
from stir.acme.issued import UnfitCertificate, check_issued
from stir.acme.order import CertificateOrder, obtain
from stir.acme.problem import AcmeError, Fault, OrderLost, Refused
from stir.acme.session import Session
from stir.certificates.certificate import Credential, MalformedCredential, load_certificates
from stir.passport import MalformedPassport, decode_part

NAME_LENGTH: Final = 32
_DAY: Final = 86_400.0
_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 5.0


@dataclass(frozen=True, slots=True)
class World:
    """What an issuance works with.

    x5u_client fetches what is published. anchors are the trusted STI roots; empty:
    chains are taken without. wall_clock gives epoch seconds; progress is told what happens.
    """

    client: AcmeClient
    tokens: TokenSource
    x5u_client: GuardedClient
    anchors: Sequence[x509.Certificate]
    publish_directory: Path
    wall_clock: Callable[[], float]
    progress: Callable[[str], None] = lambda _: None


class Issuance:
    """Orders, checks and publishes certificates; raises AcmeError for whatever goes wrong.

    patience: seconds one run waits for the authority, all waits together.
    """

    def __init__(
        self, settings: Acme, store: CertificateStore, world: World, *, patience: float = 600.0
    ) -> None:
        self._settings = settings
        self._store = store
        self._world = world
        self._patience = patience
        self._list = settings.tn_auth_list()
        self.dialect = Dialect(
            encoding=settings.identifier_encoding,
            response_member=settings.token_member,
            fingerprint_of=settings.fingerprint,
        )

    # --- the account -------------------------------------------------------------------------

    def session(self) -> Session:
        """Return a new conversation with the server; the account is not opened yet."""
        return Session(
            self._store.account_key(),
            self._settings.directory,
            hosts=frozenset(self._settings.further_hosts),
        )

    async def open_account(self, session: Session) -> Account:
        """Find the account or make it, and store its URL."""
        opened = await self._world.client.run(
            open_account(session, self._registration()), self.helpers()
        )
        self._store.remember_account(self._settings.directory, session.key, opened.url)
        return opened

    def _registration(self) -> Registration:
        settings, binding = self._settings, None
        external = settings.external_account
        if external is not None:
            binding = (external.key_id, _mac_key(external.mac_key_file))
        return Registration(settings.contact, settings.agree_terms_of_service, binding)

    # --- the order ---------------------------------------------------------------------------

    async def issue(self) -> HeldCertificate:
        """Order a certificate, or go on with the order under way; its chain and key are stored.

        The caller holds the store's lock.
        """
        order = self._pending() or self._store.begin(self._settings.directory, self.identifier)
        if order.issued is None:
            order = await self._order(order)
        assert order.issued is not None
        credential = self._check(self._store.chain(order.issued))
        return HeldCertificate(
            name=order.issued,
            x5u=f"{self._settings.publish_url}{order.issued}.pem",
            identifier=self.identifier,
            obtained_at=self._world.wall_clock(),
            not_after=credential.not_after,
        )

    def _pending(self) -> PendingOrder | None:
        order = self._store.pending(self._settings.directory, self.identifier)
        current = self._store.current()
        if order is not None and current is not None and order.issued == current.name:
            self._store.discard_order()
            return None
        return order

    @property
    def identifier(self) -> str:
        """The value of the TNAuthList identifier that is ordered."""
        return self.dialect.identifier_value(self._list)

    async def _order(self, order: PendingOrder) -> PendingOrder:
        now = self._world.wall_clock()
        session = await self._opened()
        asked = self._asked()

        def remember(url: str) -> None:
            nonlocal order
            order = replace(order, order_url=url)
            self._store.note(order)

        self._world.progress("continuing the order" if order.order_url else "ordering")
        try:
            chain = await self._world.client.run(
                obtain(session, asked, now, order.order_url), self.helpers(remember)
            )
        except OrderLost:
            self._store.discard_order()
            raise
        except Refused as error:
            if error.problem.kind == "accountDoesNotExist":
                self._store.forget_account()
            raise
        credential = self._check(chain)
        der = credential.leaf.public_bytes(serialization.Encoding.DER)
        return self._store.issued(order, certificate_name(der), chain)

    async def _opened(self) -> Session:
        """Return a conversation with the account that is known, else one that was just opened."""
        session = self.session()
        session.account_url = self._store.account_url(self._settings.directory, session.key)
        if session.account_url is None:
            self._world.progress("opening the account")
            await self.open_account(session)
        return session

    def _asked(self) -> CertificateOrder:
        settings = self._settings
        request = certificate_request(
            self._store.order_key(),
            self._list,
            settings.common_name,
            organization=settings.organization,
            country=settings.country,
            dns_names=settings.dns_names,
        )
        return CertificateOrder(
            self._list,
            request,
            dialect=self.dialect,
            lifetime=None if settings.lifetime_days is None else settings.lifetime_days * _DAY,
            patience=self._patience,
        )

    def _check(self, chain: bytes) -> Credential:
        try:
            return check_issued(
                chain,
                self._store.order_key(),
                self._list,
                self._world.wall_clock(),
                self._world.anchors,
            )
        except UnfitCertificate as error:
            self._store.discard_order()
            raise AcmeError(
                f"the certificate that was issued is not taken: {error}",
                fault=Fault.AUTHORITY,
                advice="compare with what was asked; is the authority's root among "
                "stir.verification.trust_anchors?",
            ) from None

    def helpers(self, remember: Callable[[str], None] = lambda _: None) -> Helpers:
        """Return what procedures need besides HTTP."""

        async def token(asked: AskToken) -> str:
            self._world.progress("getting an authority token")
            return await self._world.tokens.token(asked.request)

        return Helpers(token=token, remember=remember, progress=self._world.progress)

    # --- publication -------------------------------------------------------------------------

    async def publish(self, held: HeldCertificate) -> None:
        """Put the chain where it is served from, under its own name, whole or not at all."""
        chain = self._store.chain(held.name)
        path = self._world.publish_directory / f"{held.name}.pem"
        self._world.progress(f"publishing {held.x5u}")
        try:
            await asyncio.to_thread(write_whole, path, chain, mode=0o644)
        except OSError as error:
            raise AcmeError(
                f"{path}: {error.strerror}",
                fault=Fault.CONFIGURATION,
                advice="correct stir.acme.publish_directory",
            ) from None

    def is_published(self, name: str) -> bool:
        """Whether a chain is where it is served from."""
        return (self._world.publish_directory / f"{name}.pem").is_file()

    def withdraw(self, name: str) -> None:
        """Take a chain off publication, if it is there."""
        try:
            (self._world.publish_directory / f"{name}.pem").unlink(missing_ok=True)
        except OSError as error:
            raise AcmeError(
                f"{self._world.publish_directory}: {error.strerror}",
                fault=Fault.CONFIGURATION,
                advice="correct stir.acme.publish_directory",
            ) from None

    async def wait_until_served(self, held: HeldCertificate, seconds: float) -> None:
        """Fetch x5u until it serves the chain; raises AcmeError when `seconds` have passed."""
        leaf = load_certificates(self._store.chain(held.name))[0]
        pause, why = _FIRST_PAUSE, "it was not asked"
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while True:
            why = await self._served(held.x5u, leaf)
            if not why:
                return
            if loop.time() + pause > end:
                break
            self._world.progress(f"waiting for {held.x5u} to be served: {why}")
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        raise AcmeError(
            f"{held.x5u} does not serve the new certificate: {why}",
            fault=Fault.CONFIGURATION,
            advice="check publish_url and publish_directory of [stir.acme], DNS, [fetch]; "
            "check_published = false if the gateway cannot reach its own public address",
        )

    async def _served(self, url: str, leaf: x509.Certificate) -> str:
        """Return why a URL does not serve a certificate, or nothing where it does."""
        try:
            answer = await self._world.x5u_client.get(url)
        except (FetchRefused, FetchFailed) as error:
            return str(error)
        if answer.status != 200:
            return f"HTTP status {answer.status}"
        try:
            served = load_certificates(answer.body)[0]
        except MalformedCredential as error:
            return f"what it serves is {error}"
        return "" if served == leaf else "it serves another certificate"


def certificate_name(leaf_der: bytes) -> str:
    """Return the name of a certificate: what it holds decides, so no name ever means two."""
    return hashlib.sha256(leaf_der).hexdigest()[:NAME_LENGTH]


def _mac_key(path: Path) -> bytes:
    key = "stir.acme.external_account.mac_key_file"
    try:
        text = read_file(path, key).decode("ascii", errors="replace").strip().rstrip("=")
        octets = decode_part(text, "MAC key")
    except (ConfigError, MalformedPassport) as error:
        text = str(error) if isinstance(error, ConfigError) else f"{key}: {path} is not base64url"
        raise AcmeError(
            text, fault=Fault.CONFIGURATION, advice="put the MAC key there as it was given"
        ) from None
    return octets
