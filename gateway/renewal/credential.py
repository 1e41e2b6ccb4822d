"""The credential that own calls are signed with, wherever it comes from: files or renewal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog
from cryptography import x509

from gateway.config.files import read_file
from gateway.config.load import ConfigError
from gateway.config.root import Config
from gateway.own_numbers import warn_if_not_covered
from gateway.renewal.store import CertificateStore
from stir.acme.problem import AcmeError
from stir.authentication import AuthenticationService
from stir.certificates.certificate import (
    KeyMismatch,
    MalformedCredential,
    load_certificates,
    unfitness,
)

_log = structlog.get_logger("spingate.certificate")
_DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class OwnCredential:
    """Key, chain and public URL that belong together; `origin` names them for people."""

    key_pem: bytes = field(repr=False)
    chain_pem: bytes = field(repr=False)
    x5u: str
    origin: str
    name: str | None

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate whose key signs."""
        return load_certificates(self.chain_pem)[0]

    @property
    def not_after(self) -> float:
        """When it ends, in epoch seconds."""
        return self.leaf.not_valid_after_utc.timestamp()


def certificate_store(config: Config) -> CertificateStore:
    """Return the folder in which renewal keeps what it has; the configuration has [stir.acme]."""
    assert config.stir.acme is not None
    return CertificateStore(config.provider.state_directory / "acme", config.stir.acme.account_key)


def own_credential(config: Config) -> OwnCredential | None:
    """Return what signs now, None where nothing is to be signed; raises ConfigError.

    What renewal obtained comes before the files of [stir.authentication]: those are for the time
    until it has something.
    """
    settings = config.stir.authentication
    if settings is None or not settings.enabled:
        return None
    if config.stir.acme is not None:
        renewed = _renewed(certificate_store(config))
        if renewed is not None:
            return renewed
    if settings.certificate is None or settings.key is None or settings.x5u is None:
        raise ConfigError(
            "stir.acme", "no certificate was obtained yet: run `spingate cert obtain`"
        )
    key = "stir.authentication"
    return OwnCredential(
        key_pem=read_file(settings.key, f"{key}.key"),
        chain_pem=_chain(settings.certificate, f"{key}.certificate"),
        x5u=settings.x5u,
        origin=str(settings.key),
        name=None,
    )


def _renewed(store: CertificateStore) -> OwnCredential | None:
    try:
        held = store.current()
        if held is None:
            return None
        chain, key = store.chain(held.name), store.key_pem(held.name)
    except AcmeError as error:
        raise ConfigError("stir.acme", f"{error}: {error.advice}") from None
    return OwnCredential(key, chain, held.x5u, str(store.folder), held.name)


def _chain(path: Path, key: str) -> bytes:
    chain = read_file(path, key)
    try:
        load_certificates(chain)
    except MalformedCredential as error:
        raise ConfigError(key, f"{path}: {error}") from None
    return chain


def authentication_service(credential: OwnCredential) -> AuthenticationService:
    """Return the service that signs with a credential; raises ConfigError where it cannot."""
    try:
        return AuthenticationService(credential.key_pem, credential.chain_pem, credential.x5u)
    except (MalformedCredential, KeyMismatch) as error:
        key = "stir.authentication.key" if credential.name is None else "stir.acme"
        raise ConfigError(key, f"{credential.origin}: {error}") from None


class Signer:
    """Keeps an authentication service on the newest credential, and on the old one in doubt.

    authentication: the service that calls, SPIN and all else sign with. wall_clock gives epoch
    seconds.
    """

    def __init__(
        self,
        config: Config,
        authentication: AuthenticationService,
        wall_clock: Callable[[], float],
    ) -> None:
        self._config = config
        self._authentication = authentication
        self._wall_clock = wall_clock
        self.reloads = {"same": 0, "switched": 0, "refused": 0}
        self._current = own_credential(config)
        if self._current is not None:
            warn_if_not_covered(config.provider.numbers, self._current.leaf)

    @property
    def x5u(self) -> str:
        """The URL in what is signed now."""
        return self._authentication.x5u

    @property
    def name(self) -> str | None:
        """The name of the renewed certificate that signs; None for one from files."""
        return self._current.name if self._current is not None else None

    @property
    def days_left(self) -> float:
        """Days until the certificate ends, negative afterwards."""
        ends = self._current.not_after if self._current is not None else 0.0
        return (ends - self._wall_clock()) / _DAY

    def reload(self, config: Config | None = None) -> bool:
        """Read key, chain and x5u again and sign with them if they are good; return whether so.

        A key of another certificate, a chain that is none, or one unfit to sign: the old credential
        signs on, and the log says why. `config` is a configuration read again, of which only what
        concerns the own credential counts.
        """
        try:
            fresh = own_credential(config or self._config)
            if fresh is None:
                raise ConfigError(
                    "stir.authentication", "signing is not switched off while calls go on: restart"
                )
            service = authentication_service(fresh)
            self._check(fresh)
        except ConfigError as error:
            self.reloads["refused"] += 1
            _log.error(
                "new credential refused: the old one signs on",
                key=error.key,
                detail=error.text,
                days_left=round(self.days_left, 2),
            )
            return False
        if fresh == self._current:
            self.reloads["same"] += 1
            return True
        self._authentication.adopt(service)
        self._current = fresh
        self._config = config or self._config
        self.reloads["switched"] += 1
        warn_if_not_covered(self._config.provider.numbers, fresh.leaf)
        _log.info("signing with a new credential", x5u=fresh.x5u, days=round(self.days_left, 2))
        return True

    def _check(self, fresh: OwnCredential) -> None:
        problems = unfitness(fresh.leaf, self._wall_clock())
        if problems:
            why = "; ".join(f"{problem.reason.code}: {problem.got}" for problem in problems)
            raise ConfigError("stir.authentication.certificate", f"is unfit to sign ({why})")
