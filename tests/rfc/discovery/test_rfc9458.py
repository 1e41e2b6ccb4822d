"""RFC 9458 Appendix A: a complete exchange, byte for byte."""

from __future__ import annotations

import pytest

from discovery.privacy.bhttp import (
    BinaryRequest,
    BinaryResponse,
    encode_request,
    encode_response,
)
from discovery.privacy.bhttp_decoding import decode_request, decode_response
from discovery.privacy.encapsulation import (
    decapsulate_request,
    decapsulate_response,
    encapsulate_request,
    encapsulate_response,
    parse_encapsulated_request,
)
from discovery.privacy.ohttp_keys import (
    GatewayKey,
    encode_key_configurations,
    parse_key_configuration,
    parse_key_configurations,
)

pytestmark = pytest.mark.rfc(9458, "A")

SECRET = bytes.fromhex("3c168975674b2fa8e465970b79c8dcf09f1c741626480bd4c6162fc5b6a98e1a")
CONFIGURATION = bytes.fromhex(
    "01002031e1f05a740102115220e9af918f738674aec95f54db6e04eb705aae8e79815500080001000100010003"
)
REQUEST = bytes.fromhex("00034745540568747470730b6578616d706c652e636f6d012f")
EPHEMERAL = bytes.fromhex("bc51d5e930bda26589890ac7032f70ad12e4ecb37abb1b65b1256c9c48999c73")
ENC = bytes.fromhex("4b28f881333e7c164ffc499ad9796f877f4e1051ee6d31bad19dec96c208b472")
ENCAPSULATED_REQUEST = bytes.fromhex(
    "010020000100014b28f881333e7c164ffc499ad9796f877f4e1051ee6d31bad1"
    "9dec96c208b4726374e469135906992e1268c594d2a10c695d858c40a026e796"
    "5e7d86b83dd440b2c0185204b4d63525"
)
RESPONSE = bytes.fromhex("0140c8")
EXPORTED = bytes.fromhex("62d87a6ba569ee81014c2641f52bea36")
RESPONSE_NONCE = bytes.fromhex("c789e7151fcba46158ca84b04464910d")
ENCAPSULATED_RESPONSE = bytes.fromhex(
    "c789e7151fcba46158ca84b04464910d86f9013e404feea014e7be4a441f234f857fbd"
)


def test_the_key_configuration_is_that_of_the_example() -> None:
    key = GatewayKey(1, SECRET)
    assert key.configuration.encode() == CONFIGURATION
    assert parse_key_configuration(CONFIGURATION) == key.configuration
    collection = encode_key_configurations([key.configuration])
    assert collection == len(CONFIGURATION).to_bytes(2, "big") + CONFIGURATION
    assert parse_key_configurations(collection) == (key.configuration,)


def test_the_binary_messages_are_those_of_the_example() -> None:
    request = BinaryRequest("GET", "https", "example.com", "/")
    assert encode_request(request) == REQUEST
    assert decode_request(REQUEST) == request
    assert encode_response(BinaryResponse(200)) == RESPONSE
    assert decode_response(RESPONSE) == BinaryResponse(200)


def test_the_client_makes_the_encapsulated_request_and_opens_the_response() -> None:
    configuration = parse_key_configuration(CONFIGURATION)
    sealed, exchange = encapsulate_request(configuration, REQUEST, ephemeral=EPHEMERAL)
    assert sealed == ENCAPSULATED_REQUEST
    assert (exchange.enc, exchange.secret) == (ENC, EXPORTED)
    assert decapsulate_response(exchange, ENCAPSULATED_RESPONSE) == RESPONSE


def test_the_gateway_opens_the_request_and_makes_the_encapsulated_response() -> None:
    parsed = parse_encapsulated_request(ENCAPSULATED_REQUEST)
    opened, exchange = decapsulate_request(GatewayKey(1, SECRET), parsed)
    assert opened == REQUEST
    assert (exchange.enc, exchange.secret) == (ENC, EXPORTED)
    assert encapsulate_response(exchange, RESPONSE, RESPONSE_NONCE) == ENCAPSULATED_RESPONSE
