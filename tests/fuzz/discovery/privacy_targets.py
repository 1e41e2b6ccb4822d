"""Fuzz targets of the privacy layer: octets in, values or the one declared error out.

With atheris installed: `python -m tests.fuzz.discovery.privacy_targets ohttp [CORPUS] [options]`.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable
from functools import cache
from typing import Final

from discovery.privacy.bhttp import encode_request, encode_response
from discovery.privacy.bhttp_decoding import BhttpLimits, decode_request, decode_response
from discovery.privacy.encapsulation import encapsulate_request, encapsulate_response
from discovery.privacy.issuer_directory import parse_issuer_directory
from discovery.privacy.ohttp import OhttpClient, OhttpGateway, ProtectedError, ResponseOpener
from discovery.privacy.ohttp_keys import (
    GatewayKey,
    GatewayKeys,
    encode_key_configurations,
    parse_key_configurations,
)
from discovery.privacy.private_token import parse_authorization, parse_challenges
from discovery.privacy.reason import PrivacyError
from discovery.privacy.rsa_numbers import RsaPrivateKey
from discovery.privacy.split_storage import (
    BUCKET_OCTETS,
    LABEL_OCTETS,
    REQUEST_OCTETS,
    RESPONSE_OCTETS,
    SEALED_SIZES,
    BlindEvaluator,
    StorageQuestion,
    StorageSecrets,
    decode_entries,
    encode_entries,
    find_sealed,
    parse_evaluation_keys,
)
from discovery.privacy.token import (
    TokenChallenge,
    parse_token,
    parse_token_challenge,
    parse_token_request,
)
from discovery.privacy.token_issuer import DailyQuota, IssuerKey, TokenIssuer
from discovery.privacy.token_key import parse_token_key
from discovery.privacy.token_verifier import AcceptedKey, TokenVerifier
from gateway.http.ohttp_compared_keys import read_keys

NOW: Final = 1_795_000_000.0
KEY: Final = GatewayKey(1, bytes(range(32)))
CHALLENGE: Final = TokenChallenge("issuer.example", b"", ("dp.example",))
SECRETS: Final = StorageSecrets(bytes(32), bytes(32))
SMALLEST: Final = min(SEALED_SIZES)
SERVER_A: Final = BlindEvaluator(b"1" * 32, b"2" * 32)


@cache
def issuer_key() -> IssuerKey:
    """The issuer's key, made once."""
    return IssuerKey(RsaPrivateKey.generate())


def bhttp(data: bytes) -> None:
    """Read a message of either kind; what was read is encoded and read again as the same."""
    with contextlib.suppress(PrivacyError):
        request = decode_request(data)
        assert decode_request(encode_request(request)) == request
    with contextlib.suppress(PrivacyError):
        response = decode_response(data)
        assert decode_response(encode_response(response, indeterminate=True)) == response


def ohttp(data: bytes) -> None:
    """Open what somebody sends to a gateway."""
    try:
        OhttpGateway(GatewayKeys([KEY])).open(data, NOW)
    except ProtectedError as error:
        error.seal(NOW)
    except PrivacyError:
        pass


def ohttp_inside(data: bytes) -> None:
    """The same from somebody who knows how to encapsulate."""
    ohttp(encapsulate_request(KEY.configuration, data)[0])


def ohttp_response(data: bytes) -> None:
    """Open what a relay, or a gateway, answers."""
    _, exchange = encapsulate_request(KEY.configuration, b"")
    opener = ResponseOpener(exchange, BhttpLimits())
    with contextlib.suppress(PrivacyError):
        opener.open(data)
        raise AssertionError("a forged response was taken")
    with contextlib.suppress(PrivacyError):
        opener.open(encapsulate_response(exchange, data, bytes(exchange.nonce_octets)))


def ohttp_keys(data: bytes) -> None:
    """Read key configurations and use what is found."""
    with contextlib.suppress(PrivacyError):
        found = parse_key_configurations(data)
        assert len(encode_key_configurations(found)) <= len(data)
        request = decode_request(b"\0\3GET\5https\0\1/")
        OhttpClient.choose(found).seal(request, NOW)


def token(data: bytes) -> None:
    """Redeem octets as a token; none but a good one is taken, and the fuzzer has none."""
    verifier = TokenVerifier([AcceptedKey(issuer_key().public, CHALLENGE)], "dp.example")
    with contextlib.suppress(PrivacyError):
        verifier.redeem(parse_token(data), NOW)
        raise AssertionError("a forged token was taken")


def token_request(data: bytes) -> None:
    """Ask for a token; refused requests take no quota."""
    quota = DailyQuota(1)
    with contextlib.suppress(PrivacyError):
        parse_token_request(data)
    try:
        assert len(TokenIssuer([issuer_key()], quota).issue(data, "a.example", NOW)) == 256
    except PrivacyError:
        assert quota.left("a.example", NOW) == 1


def token_fields(data: bytes) -> None:
    """Read authentication fields, challenges, keys and directories."""
    text = data.decode("latin-1")
    for read in (parse_authorization, parse_challenges):
        with contextlib.suppress(PrivacyError):
            read(text)
    with contextlib.suppress(PrivacyError):
        assert parse_token_challenge(data).encode() == data
    with contextlib.suppress(PrivacyError):
        assert parse_token_key(data).spki == data
    with contextlib.suppress(PrivacyError):
        parse_issuer_directory(data)


def storage(data: bytes) -> None:
    """Evaluate a question, read an answer, a bucket and a sealed record."""
    with contextlib.suppress(PrivacyError):
        SERVER_A.evaluate(data)
    with contextlib.suppress(PrivacyError):
        StorageQuestion("tel:+14155550123").finish(data, SERVER_A.public_keys)
        raise AssertionError("a forged evaluation was taken")
    with contextlib.suppress(PrivacyError):
        SECRETS.open(find_sealed(data, SECRETS.label) or b"")


def evaluation_keys(data: bytes) -> None:
    """Read pinned keys; what is read is one spelling and has a generation."""
    with contextlib.suppress(PrivacyError):
        keys = parse_evaluation_keys(data.decode("latin-1"))
        assert parse_evaluation_keys(str(keys)) == keys
        assert keys.generation


def evaluation(data: bytes) -> None:
    """Ask and answer with octets in the place of points: a forged answer is never taken."""
    request = data[:REQUEST_OCTETS].ljust(REQUEST_OCTETS, b"\0")
    with contextlib.suppress(PrivacyError):
        assert len(SERVER_A.evaluate(request)) == RESPONSE_OCTETS
    question = StorageQuestion("tel:+14155550123")
    answer = bytearray(SERVER_A.evaluate(question.request))
    changed = bytes(octet ^ data[n] if n < len(data) else octet for n, octet in enumerate(answer))
    with contextlib.suppress(PrivacyError):
        secrets = question.finish(changed, SERVER_A.public_keys)
        assert changed == answer, "a forged evaluation was taken"
        assert len(secrets.label) == LABEL_OCTETS


def entries(data: bytes) -> None:
    """Read what a directory puts; what is read is written as it was."""
    with contextlib.suppress(PrivacyError):
        assert encode_entries(decode_entries(data)) == data
    # Entries are long: a few octets stand for each, so that whole ones come about too.
    sizes = sorted(SEALED_SIZES)
    made = bytearray()
    for at in range(0, min(len(data), 32), 4):
        label, size, extra = data[at : at + 2], sizes[data[at] % len(sizes)], data[at + 3 : at + 4]
        made += label.ljust(LABEL_OCTETS, b"\0") + size.to_bytes(2, "big") + bytes(size) + extra
    with contextlib.suppress(PrivacyError):
        assert encode_entries(decode_entries(bytes(made))) == made


def bucket(data: bytes) -> None:
    """Search buckets of the one size there is; what is found is of a size class."""
    held = data.ljust(BUCKET_OCTETS, b"\0")[:BUCKET_OCTETS]
    shifted = bytes(LABEL_OCTETS) + SMALLEST.to_bytes(2, "big") + bytes(SMALLEST) + data
    for octets in (data, held, shifted.ljust(BUCKET_OCTETS, b"\0")[:BUCKET_OCTETS]):
        for label in (data[:LABEL_OCTETS], bytes(LABEL_OCTETS)):
            with contextlib.suppress(PrivacyError):
                found = find_sealed(octets, label.ljust(LABEL_OCTETS, b"\0"))
                assert found is None or len(found) in SEALED_SIZES
                with contextlib.suppress(PrivacyError):
                    SECRETS.open(found or b"")
                    raise AssertionError("a forged entry was opened")


def issuer_directory(data: bytes) -> None:
    """Read what an issuer publishes; what is read is written as it means."""
    with contextlib.suppress(PrivacyError):
        found = parse_issuer_directory(data)
        assert parse_issuer_directory(found.encode()) == found


def key_copies(data: bytes) -> None:
    """Read the copies of a gateway's keys: a relay's octets, a directory's base64."""
    with contextlib.suppress(PrivacyError):
        parse_key_configurations(data)
    with contextlib.suppress(PrivacyError):
        found = parse_key_configurations(read_keys(data.decode("latin-1")))
        OhttpClient.choose(found)


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "bhttp": bhttp,
    "ohttp": ohttp,
    "ohttp_inside": ohttp_inside,
    "ohttp_response": ohttp_response,
    "ohttp_keys": ohttp_keys,
    "token": token,
    "token_request": token_request,
    "token_fields": token_fields,
    "storage": storage,
    "evaluation_keys": evaluation_keys,
    "evaluation": evaluation,
    "entries": entries,
    "bucket": bucket,
    "issuer_directory": issuer_directory,
    "key_copies": key_copies,
}


def main() -> None:
    """Run one target under atheris."""
    atheris = importlib.import_module("atheris")
    name = sys.argv.pop(1)
    atheris.instrument_all()
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
