"""The ACME account as its owner sees it: shown, opened, given a new key, closed."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.http.acme_client import AcmeClient
from gateway.renewal.issuance import Issuance
from gateway.renewal.store import CertificateStore
from stir.acme.account import (
    Account,
    change_key,
    deactivate_account,
    find_account,
    revoke,
)
from stir.acme.account_key import AccountKey
from stir.acme.problem import Refused
from stir.acme.session import Session
from stir.certificates.issuing import new_key


@dataclass(frozen=True, slots=True)
class Accounts:
    """Works on the account of a configuration; raises AcmeError."""

    store: CertificateStore
    client: AcmeClient
    issuance: Issuance

    def fingerprint(self) -> str:
        """Return what authority tokens have to name, as the configuration has it."""
        return self.issuance.dialect.fingerprint(self.store.account_key())

    async def find(self) -> Account | None:
        """Return the account of the key, None where the server has none."""
        session = self.issuance.session()
        try:
            return await self._find(session)
        except Refused as error:
            if error.problem.kind != "accountDoesNotExist":
                raise
        return await self._finish_change()

    async def open(self) -> Account:
        """Return the account of the key, made if there was none."""
        return await self.find() or await self.issuance.open_account(self.issuance.session())

    async def change_key(self) -> Account:
        """Give the account a new key, stored before the server hears of it."""
        session = self.issuance.session()
        account = await self._find(session)
        fresh = new_key()
        self.store.stage_account_key(fresh)
        await self.client.run(change_key(session, AccountKey(fresh)), self.issuance.helpers())
        self.store.replace_account_key(fresh)
        self.store.drop_staged_account_key()
        return account

    async def deactivate(self) -> None:
        """Close the account; orders need a new one, with a new key."""
        session = self.issuance.session()
        await self._find(session)
        await self.client.run(deactivate_account(session), self.issuance.helpers())
        self.store.forget_account()

    async def revoke(self, certificate_der: bytes, reason: int | None) -> None:
        """Revoke a certificate the account ordered."""
        session = self.issuance.session()
        await self._find(session)
        await self.client.run(revoke(session, certificate_der, reason), self.issuance.helpers())

    async def _find(self, session: Session) -> Account:
        return await self.client.run(find_account(session), self.issuance.helpers())

    async def _finish_change(self) -> Account | None:
        """Take over a key the server knows already, where a change of keys was broken off."""
        staged = self.store.staged_account_key()
        if staged is None:
            return None
        session = self.issuance.session()
        session.key = AccountKey(staged)
        try:
            account = await self._find(session)
        except Refused:
            return None
        self.store.replace_account_key(staged)
        self.store.drop_staged_account_key()
        return account
