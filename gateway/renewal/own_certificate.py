"""The own certificate in a running gateway: followed, renewed, reloaded, counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog
from cryptography import x509

from gateway.config.load import ConfigError
from gateway.config.root import Config
from gateway.http.fetch import AddressSource
from gateway.metrics import Metrics
from gateway.renewal.credential import Signer
from gateway.renewal.service import Pace, RenewalService
from gateway.renewal.wiring import make_renewal
from stir.authentication import AuthenticationService

_log = structlog.get_logger("spingate.certificate")


class OwnCertificate:
    """Keeps what signs calls on a good certificate; without a signer it does nothing.

    Raises ConfigError where the configuration cannot be followed. wall_clock gives epoch seconds.
    """

    def __init__(
        self,
        config: Config,
        authentication: AuthenticationService | None,
        anchors: Sequence[x509.Certificate],
        dns: AddressSource,
        wall_clock: Callable[[], float],
        *,
        pace: Pace | None = None,
    ) -> None:
        self.signer: Signer | None = None
        self.renewal: RenewalService | None = None
        if authentication is None:
            return
        self.signer = Signer(config, authentication, wall_clock)
        if config.stir.acme is not None:
            parts = make_renewal(config, anchors, dns, wall_clock)
            self.renewal = RenewalService(
                parts.renewal, parts.store, self.signer, wall_clock, pace=pace
            )

    def start(self) -> None:
        """Begin to renew; the repository is served by now."""
        if self.renewal is not None:
            self.renewal.start()

    async def stop(self) -> None:
        """Stop renewing."""
        if self.renewal is not None:
            await self.renewal.stop()

    def reload(self, read: Callable[[], Config] | None) -> None:
        """Take over changed key, certificate and x5u; `read` reads the configuration again."""
        if self.signer is None:
            _log.info("nothing to reload: calls are not signed")
            return
        try:
            config = read() if read is not None else None
        except ConfigError as error:
            _log.error("configuration not read again", key=error.key, detail=error.text)
            return
        self.signer.reload(config)

    def gauges(self, metrics: Metrics) -> None:
        """Add what can be counted."""
        signer, renewal = self.signer, self.renewal
        if signer is not None:
            metrics.gauge(
                "certificate_days_left",
                "Days until the certificate that signs calls ends",
                lambda: signer.days_left,
            )
            metrics.counts(
                "certificate_reloads",
                "Credentials read again, by outcome; refused: the old one signs on",
                ("outcome",),
                lambda: {(outcome,): count for outcome, count in signer.reloads.items()},
            )
        if renewal is not None:
            metrics.counts(
                "certificate_renewals",
                "Attempts to renew the certificate, by outcome",
                ("outcome",),
                lambda: {(outcome,): count for outcome, count in renewal.outcomes.items()},
            )
            metrics.gauge(
                "certificate_failures_in_a_row",
                "Attempts to renew that failed since one went well",
                lambda: renewal.failures_in_a_row,
            )
