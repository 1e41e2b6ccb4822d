"""All of STIR in one gateway: the two services of calls, the certificates they fetch, and the
repository where others fetch ours."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack

from gateway.config.load import ConfigError
from gateway.config.root import Config
from gateway.http.credentials import CertificateSource
from gateway.http.fetch import GuardedClient
from gateway.http.listener import HttpListener
from gateway.http.repository import CertificateRepository
from gateway.identity import IdentityServices
from gateway.keys import Keys
from gateway.services import server_context
from stir.certificates.credential_cache import CredentialCache
from stir.replay import ReplayCache
from stir.verification import VerificationPolicy, VerificationService


class StirService:
    """Constructed and wired by the gateway, then started and stopped with it.

    `identity` signs and verifies calls, `certificates` gives the credential behind a URL, which
    `credentials` keeps. wall_clock gives epoch seconds.
    """

    def __init__(
        self,
        config: Config,
        keys: Keys,
        client: GuardedClient,
        wall_clock: Callable[[], float],
    ) -> None:
        self._config = config
        self._stack = AsyncExitStack()
        self.credentials = CredentialCache(config.fetch.cache_entries)
        self.certificates = CertificateSource(client, self.credentials, wall_clock)
        settings = config.stir.verification
        self.identity = IdentityServices(
            keys.authentication,
            make_verification(config, keys),
            self.certificates,
            wall_clock,
            accept_asserted=settings is not None and settings.accept_asserted_identity,
        )

    async def start(self) -> None:
        """Listen; raises ConfigError where a port is not to be had."""
        self._stack.push_async_callback(self.certificates.close)
        for key, listener in self._listeners():
            try:
                await listener.start()
            except OSError as error:
                raise ConfigError(f"{key}.port", str(error)) from None
            self._stack.push_async_callback(listener.stop)

    async def stop(self) -> None:
        """Close the listeners and give up every fetch under way."""
        await self._stack.aclose()

    def _listeners(self) -> list[tuple[str, HttpListener]]:
        """The HTTP servers, each with the configuration key it is made from."""
        repository = self._config.stir.repository
        if repository is None:
            return []
        application = CertificateRepository(repository.directory).application()
        tls = server_context(repository.certificate, repository.key)
        return [
            (
                "stir.repository",
                HttpListener(application, repository.address, repository.port, tls=tls),
            )
        ]


def make_verification(config: Config, keys: Keys) -> VerificationService | None:
    """Return the verification service, or None where none is configured."""
    settings = config.stir.verification
    if settings is None:
        return None
    codes = frozenset(settings.accept_service_provider_codes)
    policy = VerificationPolicy(
        freshness=settings.freshness_seconds,
        accept_service_provider_codes=None if "*" in codes else codes,
        require_media_keys=settings.require_media_keys,
        extra_ports=frozenset(config.fetch.ports),
    )
    return VerificationService(policy, keys.sti_trust_anchors, ReplayCache(settings.replay_entries))
