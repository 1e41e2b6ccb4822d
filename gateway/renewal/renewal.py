"""Renewing the certificate: a new key and a new x5u each time, the old ones kept long enough."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import structlog

from gateway.config.acme import Acme
from gateway.renewal.issuance import Issuance
from gateway.renewal.store import CertificateStore, Failure, HeldCertificate
from stir.acme.problem import AcmeError

_log = structlog.get_logger("spingate.certificate")
_DAY: Final = 86_400.0


class Renewal:
    """Decides when to renew, renews, and tidies up; raises AcmeError.

    signing_until: when the credential that signs now ends (epoch seconds; 0 where there is none).
    wall_clock gives epoch seconds.
    """

    def __init__(
        self,
        settings: Acme,
        store: CertificateStore,
        issuance: Issuance,
        wall_clock: Callable[[], float],
        signing_until: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._store = store
        self._issuance = issuance
        self._wall_clock = wall_clock
        self._signing_until = signing_until

    def due(self) -> float:
        """Return from when on to renew (epoch seconds), 0 where there is nothing to renew yet."""
        current = self._store.current()
        if current is None or current.identifier != self._issuance.identifier:
            return 0.0
        # From when it was obtained, for authorities date certificates back as they like.
        life = current.not_after - current.obtained_at
        return current.not_after - life * self._settings.renew_life_left

    async def renew(self) -> HeldCertificate:
        """Obtain a certificate, publish it, see that it is served, and sign with it from then on.

        An attempt that failed before is taken up where it ended. Raises AcmeError; then the old
        certificate stays the one to sign with.
        """
        with self._store.lock():
            held = await self._issuance.issue()
            await self._issuance.publish(held)
            await self._see_it_served(held)
            now = self._wall_clock()
            self._store.switch(replace(held, obtained_at=now), now)
            self._store.forget_failure()
        _log.info(
            "certificate obtained",
            x5u=held.x5u,
            days=round((held.not_after - now) / _DAY, 2),
        )
        return held

    async def _see_it_served(self, held: HeldCertificate) -> None:
        if not self._settings.check_published:
            return
        try:
            await self._issuance.wait_until_served(held, self._settings.publish_timeout_seconds)
        except AcmeError as error:
            if self._signing_until() > self._wall_clock():
                raise
            # Signed with this one a call may verify; without one, or with the old one, it cannot.
            _log.warning("signing with it all the same: there is no other", detail=error.text)

    def note_failure(self, error: AcmeError) -> Failure:
        """Write an attempt's failure down for `spingate check`; return it."""
        try:
            before = self._store.failure()
            failure = Failure(
                at=self._wall_clock(),
                count=before.count + 1 if before is not None else 1,
                text=error.text,
                fault=str(error.fault),
                advice=error.advice,
            )
            self._store.note_failure(failure)
        except AcmeError as disk:
            return Failure(self._wall_clock(), 1, disk.text, str(disk.fault), disk.advice)
        return failure

    async def restore_publication(self) -> None:
        """Publish again what somebody took away and calls may still refer to."""
        current, now = self._store.current(), self._wall_clock()
        held = () if current is None else (current, *self._store.previous())
        for each in held:
            if each.not_after > now and not self._issuance.is_published(each.name):
                await self._issuance.publish(each)

    def tidy(self) -> None:
        """Delete replaced keys, and replaced chains that no call can be waiting for any more."""
        now = self._wall_clock()
        for held in self._store.previous():
            replaced = held.replaced_at if held.replaced_at is not None else now
            old = replaced + self._settings.keep_key_seconds <= now
            if old and self._store.drop_key(held.name):
                _log.info("replaced key deleted", x5u=held.x5u)
            if held.not_after + self._settings.keep_chain_seconds <= now:
                self._issuance.withdraw(held.name)
                self._store.forget(held.name)
                _log.info("replaced chain withdrawn", x5u=held.x5u)
