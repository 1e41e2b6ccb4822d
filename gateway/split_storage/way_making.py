"""Making the way through split storage from its table of the configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from discovery.privacy.reason import PrivacyError
from discovery.privacy.split_storage import parse_evaluation_keys
from gateway.config.files import read_file, read_secret
from gateway.config.load import ConfigError
from gateway.config.split_storage import SplitStorageWay
from gateway.http.ohttp_client import KeySource, ObliviousClient, PinnedKeys
from gateway.http.ohttp_compared_keys import ComparedKeys
from gateway.http.ohttp_relay import KeptConnections
from gateway.oblivious_making import Clients, Upkeep, make_oblivious
from gateway.split_storage.asking import (
    Asks,
    Bearer,
    Bought,
    EvaluatorClient,
    Obliviously,
    Plainly,
)
from gateway.split_storage.paths import BUCKETS_WELL_KNOWN, EVALUATOR_WELL_KNOWN, host_of
from gateway.split_storage.way import SplitWay


@dataclass(frozen=True, slots=True)
class SplitParts:
    """The way, and what works for it on times of its own."""

    way: SplitWay
    upkeep: tuple[Upkeep, ...]


def make_split_way(
    settings: SplitStorageWay, clients: Clients, wall_clock: Callable[[], float], key: str
) -> SplitParts:
    """Make the way of one server's table; `key` is the table's path. Raises ConfigError."""
    evaluator, upkeep = _evaluator(settings, clients, wall_clock, key)
    buckets: Asks = Plainly(clients.direct, settings.buckets)
    if settings.relay is not None:
        host = host_of(settings.buckets)
        source, more = _store_keys(settings, settings.relay, clients, key)
        poster = KeptConnections(clients.relay)
        client = ObliviousClient(settings.relay, host, source, poster, wall_clock=wall_clock)
        buckets, upkeep = Obliviously(client, host), (*upkeep, *more)
    keys = [parse_evaluation_keys(text) for text in settings.evaluator_keys]
    return SplitParts(SplitWay(evaluator, buckets, keys, settings.max_prefix_bits), upkeep)


def _evaluator(
    settings: SplitStorageWay, clients: Clients, wall_clock: Callable[[], float], key: str
) -> tuple[EvaluatorClient, tuple[Upkeep, ...]]:
    url = settings.evaluator
    if settings.oblivious is None:
        token = read_secret(settings.token, settings.token_file, f"{key}.token")
        return EvaluatorClient(Plainly(clients.direct, url), Bearer(token)), ()
    parts = make_oblivious(
        url,
        settings.oblivious,
        clients,
        wall_clock,
        f"{key}.oblivious",
        description=EVALUATOR_WELL_KNOWN,
    )
    way = Obliviously(parts.requests.client, host_of(url))
    return EvaluatorClient(way, Bought(parts.tokens)), parts.upkeep


def _store_keys(
    settings: SplitStorageWay, relay: str, clients: Clients, key: str
) -> tuple[KeySource, tuple[Upkeep, ...]]:
    path = settings.ohttp_keys_file
    if path is None:
        compared = ComparedKeys(
            relay,
            settings.buckets,
            clients.relay,
            clients.direct,
            description=BUCKETS_WELL_KNOWN,
        )
        return compared, (compared,)
    try:
        return PinnedKeys(read_file(path, f"{key}.ohttp_keys_file")), ()
    except PrivacyError as error:
        raise ConfigError(f"{key}.ohttp_keys_file", f"{path}: {error}") from None
