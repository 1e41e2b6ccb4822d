"""Counters and gauges for the operator; labels are closed lists, never what strangers send."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Literal

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from gateway.trace import MessageTrace
from sip.flow import Flow
from sip.message import Request, Response

_QUIET_SECONDS: Final = 30.0
_log = structlog.get_logger("spingate.sip")


class Exposition:
    """Counters and gauges of one process, in a registry of its own.

    prefix: what every name begins with.
    """

    def __init__(self, prefix: str = "spingate") -> None:
        self.registry = CollectorRegistry()
        self._prefix = prefix

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """Add a counter and return it."""
        return Counter(f"{self._prefix}_{name}", text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Add a gauge that is read at each scrape."""
        Gauge(f"{self._prefix}_{name}", text, registry=self.registry).set_function(read)

    def gauges(
        self,
        name: str,
        text: str,
        labels: tuple[str, ...],
        read: Callable[[], Mapping[tuple[str, ...], float]],
    ) -> None:
        """Add a gauge that is read at each scrape, by label values."""
        self._register(GaugeMetricFamily, name, text, labels, read)

    def counts(
        self,
        name: str,
        text: str,
        labels: tuple[str, ...],
        read: Callable[[], Mapping[tuple[str, ...], int]],
    ) -> None:
        """Add a counter that is counted elsewhere and read at each scrape, by label values."""
        self._register(CounterMetricFamily, name, text, labels, read)

    def exposition(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self.registry)

    def _register(
        self,
        kind: type[CounterMetricFamily] | type[GaugeMetricFamily],
        name: str,
        text: str,
        labels: tuple[str, ...],
        read: Callable[[], Mapping[tuple[str, ...], float]],
    ) -> None:
        self.registry.register(_Read(kind, f"{self._prefix}_{name}", text, labels, read))


class Metrics(Exposition):
    """The metrics of one gateway process."""

    def __init__(self) -> None:
        super().__init__()
        self.dropped = self.counter("sip_dropped", "SIP input dropped, by reason", "reason")
        self.calls = self.counter(
            "calls", "Calls ended, by direction and outcome", "direction", "outcome"
        )
        self.verdicts = self.counter(
            "verdicts", "Verdicts on calls from peers, by reason", "reason"
        )
        self.connected = self.counter(
            "connected_identities",
            "Answers in which the called side said who it is, by reason",
            "reason",
        )
        self.spared = self.counter(
            "calls_spared",
            "Calls that policy let pass and 'require' would have refused, by status",
            "status",
        )
        self.discoveries = self.counter(
            "discoveries", "Numbers looked up, by source and outcome", "source", "outcome"
        )
        self.media_events = self.counter(
            "media_events", "Media legs connected and failed, by reason", "reason"
        )
        self.setup_seconds = Histogram(
            "spingate_setup_seconds",
            "From INVITE to ringing",
            ("direction",),
            registry=self.registry,
        )


class _Read(Collector):
    """A counter or gauge whose numbers belong to somebody else."""

    def __init__(
        self,
        kind: type[CounterMetricFamily] | type[GaugeMetricFamily],
        name: str,
        text: str,
        labels: tuple[str, ...],
        read: Callable[[], Mapping[tuple[str, ...], float]],
    ) -> None:
        self._kind = kind
        self._name = name
        self._text = text
        self._labels = labels
        self._read = read

    def collect(self) -> Iterator[Metric]:
        family = self._kind(self._name, self._text, labels=self._labels)
        for values, count in self._read().items():
            family.add_metric(values, count)
        yield family


class SipObserver:
    """What the SIP endpoint reports, counted and traced (a `sip.endpoint.Observer`)."""

    def __init__(self, metrics: Metrics, trace: MessageTrace) -> None:
        self._metrics = metrics
        self._trace = trace
        self._told: dict[str, float] = {}
        # Plain numbers: a prometheus counter takes a lock each time, and this is every message.
        self._messages: dict[tuple[str, ...], int] = {
            (direction, transport): 0
            for direction in ("in", "out")
            for transport in ("udp", "tcp", "tls")
        }
        metrics.counts(
            "sip_messages",
            "SIP messages by direction and transport",
            ("direction", "transport"),
            lambda: self._messages,
        )

    def message(
        self, direction: Literal["in", "out"], flow: Flow, message: Request | Response
    ) -> None:
        """Count and trace one message."""
        self._messages[direction, flow.transport] += 1
        if self._trace.active:
            self._trace.message(direction, flow, message)

    def dropped(self, reason: str, flow: Flow) -> None:
        """Count one message that was dropped unanswered; log each kind once in a while.

        The kind is what stands before the colon, from a closed list.
        """
        kind = reason.partition(":")[0]
        self._metrics.dropped.labels(kind).inc()
        now = time.monotonic()
        if now - self._told.get(kind, -_QUIET_SECONDS) >= _QUIET_SECONDS:
            self._told[kind] = now
            _log.info("dropped", reason=reason, culprit=str(flow.remote), listener=flow.listener)
