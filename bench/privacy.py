"""What privacy costs a lookup: Oblivious HTTP, tokens, split storage, each side by itself.

All in one process and warm, without sockets; the parts take turns in short rounds, so that all of
them see the same machine. Times are of the processor, for one operation.
"""

from __future__ import annotations

import random
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from statistics import median
from typing import Any, Final

from rich.table import Table

from bench.process import calibrate, machine
from discovery.privacy.bhttp import BinaryRequest, BinaryResponse
from discovery.privacy.ohttp import OhttpClient, OhttpGateway, ReplayPolicy, Responder
from discovery.privacy.ohttp_keys import GatewayKey, GatewayKeys
from discovery.privacy.once import Once
from discovery.privacy.private_token import format_authorization
from discovery.privacy.rsa_numbers import RsaPrivateKey
from discovery.privacy.split_storage import (
    BUCKET_OCTETS,
    MAX_PREFIX_BITS,
    SEALED_SIZES,
    BlindEvaluator,
    Dummies,
    StorageQuestion,
    encode_bucket,
    entry_octets,
    find_sealed,
)
from discovery.privacy.token import TokenChallenge
from discovery.privacy.token_client import ask_token
from discovery.privacy.token_issuer import DailyQuota, IssuerKey, TokenIssuer
from discovery.privacy.token_verifier import AcceptedKey, TokenVerifier
from gateway.cli.output import console

NOW: Final = 1_795_000_000.0
_STORES: Final = (1_000, 100_000, 1_000_000)
_IDENTIFIER: Final = "tel:+14155550123"
_RECORD: Final = b"{" + b"x" * 700 + b"}"
_SUMS: Final = {
    "lookup, directory's side": ("gateway opens", "token is redeemed", "gateway answers"),
    "lookup, client's side": ("client asks", "client opens"),
    "split storage: lookup, client's side": (
        "split storage: client asks",
        "split storage: client finishes",
        "split storage: client finds",
        "split storage: client opens",
    ),
    "token, client's side": ("token is asked for", "token is finished"),
}
Part = tuple[Callable[[], Any], Callable[[Any], object]]


def measure(rounds: int, operations: int) -> dict[str, Any]:
    """Measure every part in turn; microseconds an operation, the median of the rounds."""
    parts = {**_ohttp(), **_tokens(), **_storage()}
    taken: dict[str, list[float]] = {name: [] for name in parts}
    for number in range(rounds + 1):
        for name, (prepare, work) in parts.items():
            # The private operation takes a hundred times as long as anything else.
            count = max(1, operations // 20) if name == "token is issued" else operations
            prepared = [prepare() for _ in range(count)]
            began = time.process_time()
            for one in prepared:
                work(one)
            spent = (time.process_time() - began) / count * 1e6
            if number:  # the first round warms up
                taken[name].append(spent)
    cost = {name: median(values) for name, values in taken.items()}
    for name, summands in _SUMS.items():
        cost[name] = sum(cost[one] for one in summands)
    return {
        "bench": "privacy",
        "ok": True,
        "machine": machine(),
        "calibration_us": round(calibrate(), 3),
        "cpu_us": {name: round(value, 1) for name, value in cost.items()},
        "lookups_a_second_and_core": round(1e6 / cost["lookup, directory's side"]),
        "spent_token_octets": _spent_octets(),
        "bucket_octets": BUCKET_OCTETS,
        "prefix_bits": {str(count): _prefix_bits(count) for count in _STORES},
    }


def show(found: dict[str, Any]) -> None:
    """Print what was measured."""
    table = Table(title="CPU of privacy, one operation")
    table.add_column("part")
    table.add_column("us", justify="right")
    for name, value in found["cpu_us"].items():
        table.add_row(name, f"{value:,.1f}")
    console.print(table)
    console.print(
        f"{found['lookups_a_second_and_core']:,} lookups a second and core before the directory's "
        f"own work; a token spent is remembered in {found['spent_token_octets']} octets"
    )
    bits = ", ".join(
        f"{bits} with {int(entries):,}" for entries, bits in found["prefix_bits"].items()
    )
    console.print(f"A bucket has {found['bucket_octets']:,} octets; prefix bits: {bits} entries")


def _ohttp() -> dict[str, Part]:
    key = GatewayKey.generate(1)
    client = OhttpClient(key.configuration)
    policy = ReplayPolicy(max_entries=10_000_000)
    gateway = OhttpGateway(GatewayKeys([key]), replay=policy)
    authorization = ("authorization", "PrivateToken " + "x" * 480)
    fields = (("content-type", "application/json"), authorization)
    body = b'{"csi":"tel:+14155550123"}'
    request = BinaryRequest("POST", "https", "dp.example", "/dp/v1/lookup", fields, body)
    answer = BinaryResponse(200, (("content-type", "application/json"),), _RECORD)

    def opened() -> Responder:
        return gateway.open(client.seal(request, NOW)[0], NOW)[1]

    def answered() -> tuple[Any, bytes]:
        sealed, opener = client.seal(request, NOW)
        return opener, gateway.open(sealed, NOW)[1].seal(answer)

    return {
        "client asks": (lambda: request, lambda asked: client.seal(asked, NOW)),
        "gateway opens": (
            lambda: client.seal(request, NOW)[0],
            lambda sealed: gateway.open(sealed, NOW),
        ),
        "gateway answers": (opened, lambda responder: responder.seal(answer)),
        "client opens": (answered, lambda pair: pair[0].open(pair[1])),
    }


def _tokens() -> dict[str, Part]:
    key = IssuerKey(RsaPrivateKey.generate())
    challenge = TokenChallenge("issuer.example", b"", ("dp.example",))
    issuer = TokenIssuer([key], DailyQuota(10**9))
    accepted = AcceptedKey(key.public, challenge)
    # Signing is slow: the same response serves again, so redeeming forgets what it has seen.
    pending = ask_token(key.public, challenge)
    response = issuer.issue(pending.request.encode(), "b.example", NOW)
    field = format_authorization(pending.finish(response))

    def redeem(unspent: TokenVerifier) -> None:
        unspent.redeem_header(field, NOW)

    def fresh() -> TokenVerifier:
        return TokenVerifier([accepted], "dp.example")

    return {
        "token is asked for": (lambda: None, lambda _: ask_token(key.public, challenge)),
        "token is issued": (
            ask_token(key.public, challenge).request.encode,
            lambda request: issuer.issue(request, "b.example", NOW),
        ),
        "token is finished": (lambda: pending, lambda one: one.finish(response)),
        "token is redeemed": (fresh, redeem),
    }


def _storage() -> dict[str, Part]:
    server = BlindEvaluator(b"1" * 32, b"2" * 32)
    question = StorageQuestion(_IDENTIFIER)
    answer = server.evaluate(question.request)
    secrets = question.finish(answer, server.public_keys)
    sealed = secrets.seal(_RECORD)
    entries = [(i.to_bytes(32, "big"), sealed) for i in range(3)] + [(secrets.label, sealed)]
    bucket = encode_bucket(entries, Dummies(b"3" * 32, "0" * 16, 18, 7))

    def given(number: int) -> bytes:
        return encode_bucket(entries, Dummies(b"3" * 32, "0" * 16, 18, number))

    return {
        "split storage: client asks": (lambda: None, lambda _: StorageQuestion(_IDENTIFIER)),
        "split storage: server A": (lambda: question.request, server.evaluate),
        "split storage: client finishes": (
            lambda: answer,
            lambda one: question.finish(one, server.public_keys),
        ),
        "split storage: server B, a bucket": (lambda: 7, given),
        "split storage: client finds": (
            lambda: bucket,
            lambda one: find_sealed(one, secrets.label),
        ),
        "split storage: client opens": (lambda: sealed, secrets.open),
        "split storage: directory seals": (lambda: _RECORD, secrets.seal),
    }


def _prefix_bits(entries: int) -> int:
    """Return how many bits the prefix of a store with so many small entries has."""
    labels = random.Random(1)
    drawn = [labels.getrandbits(MAX_PREFIX_BITS) for _ in range(entries)]
    held = BUCKET_OCTETS // entry_octets(min(SEALED_SIZES))
    for bits in range(MAX_PREFIX_BITS):
        if max(Counter(label >> (MAX_PREFIX_BITS - bits) for label in drawn).values()) <= held:
            return bits
    return MAX_PREFIX_BITS


def _spent_octets(count: int = 100_000) -> int:
    """Return the memory that one remembered value takes."""
    once = Once(slot=86_400, max_entries=count)
    values = [i.to_bytes(16, "big") * 2 for i in range(count)]
    tracemalloc.start()
    for value in values:
        once.take(value, NOW, NOW)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return round(taken / count)
