"""What is encoded comes back, whatever it is; what is changed on the way does not."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.privacy.bhttp import (
    BinaryRequest,
    BinaryResponse,
    Informational,
    encode_request,
    encode_response,
)
from discovery.privacy.bhttp_decoding import decode_request, decode_response
from discovery.privacy.http_date import format_http_date, parse_http_date
from discovery.privacy.ohttp import OhttpClient, OhttpGateway
from discovery.privacy.ohttp_keys import (
    GatewayKey,
    GatewayKeys,
    KeyConfiguration,
    SymmetricAlgorithm,
    encode_key_configurations,
    parse_key_configurations,
)
from discovery.privacy.private_token import (
    PrivateTokenChallenge,
    format_challenge,
    parse_challenges,
)
from discovery.privacy.reason import PrivacyError
from discovery.privacy.split_storage import StorageSecrets, encode_bucket, find_sealed
from discovery.privacy.token import TokenChallenge, parse_token_challenge

NOW = 1_795_000_000.0
KEY = GatewayKey(1, bytes(range(32)))

names = st.text("abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~", min_size=1, max_size=20)
visible = st.text([chr(i) for i in (*range(0x21, 0x7F), *range(0x80, 0x100))], max_size=20)
fields = st.lists(st.tuples(names, visible), max_size=5).map(tuple)
methods = st.text(string.ascii_uppercase, min_size=1, max_size=8).filter(lambda m: m != "CONNECT")
hosts = st.text(string.ascii_letters + string.digits + ".-:", max_size=30)
paths = st.text([chr(i) for i in range(0x24, 0x7F)], max_size=40).map(lambda rest: "/" + rest)
requests = st.builds(
    BinaryRequest,
    methods,
    st.sampled_from(["http", "https", "x-1"]),
    hosts,
    paths,
    fields,
    st.binary(max_size=300),
    fields,
)
responses = st.builds(
    BinaryResponse,
    st.integers(200, 599),
    fields,
    st.binary(max_size=300),
    fields,
    st.lists(st.builds(Informational, st.integers(100, 199), fields), max_size=3).map(tuple),
)


@given(requests, st.booleans(), st.booleans(), st.integers(0, 50))
def test_requests_come_back_in_either_framing(
    request: BinaryRequest, indeterminate: bool, truncate: bool, padding: int
) -> None:
    encoded = encode_request(request, indeterminate=indeterminate, truncate=truncate)
    assert decode_request(encoded + bytes(padding)) == request


@given(responses, st.booleans(), st.booleans(), st.integers(0, 50))
def test_responses_come_back_in_either_framing(
    response: BinaryResponse, indeterminate: bool, truncate: bool, padding: int
) -> None:
    encoded = encode_response(response, indeterminate=indeterminate, truncate=truncate)
    assert decode_response(encoded + bytes(padding)) == response


@given(requests, responses)
def test_an_exchange_gives_both_sides_what_the_other_said(
    request: BinaryRequest, response: BinaryResponse
) -> None:
    fields_sent = tuple(one for one in request.headers if one[0] not in ("date", "expect"))
    request = BinaryRequest(
        request.method, request.scheme, request.authority, request.path, fields_sent
    )
    sealed, opener = OhttpClient(KEY.configuration).seal(request, NOW)
    opened, responder = OhttpGateway(GatewayKeys([KEY])).open(sealed, NOW)
    assert opened.headers[:-1] == fields_sent
    assert (opened.method, opened.path) == (request.method, request.path)
    assert opener.open(responder.seal(response)) == response


@given(st.data())
def test_no_changed_octet_gets_through(data: st.DataObject) -> None:
    request = BinaryRequest("GET", "https", "a.example", "/")
    sealed, opener = OhttpClient(KEY.configuration).seal(request, NOW)
    target = OhttpGateway(GatewayKeys([KEY]))
    at = data.draw(st.integers(0, len(sealed) - 1))
    flip = data.draw(st.integers(1, 255))
    with pytest.raises(PrivacyError):
        target.open(sealed[:at] + bytes((sealed[at] ^ flip,)) + sealed[at + 1 :], NOW)
    _, responder = target.open(sealed, NOW)
    answer = responder.seal(BinaryResponse(200))
    at = data.draw(st.integers(0, len(answer) - 1))
    with pytest.raises(PrivacyError):
        opener.open(answer[:at] + bytes((answer[at] ^ flip,)) + answer[at + 1 :])


configurations = st.builds(
    KeyConfiguration,
    st.integers(0, 255),
    st.just(0x0020),
    st.binary(min_size=32, max_size=32),
    st.lists(
        st.builds(SymmetricAlgorithm, st.integers(0, 65_535), st.integers(0, 65_535)),
        min_size=1,
        max_size=32,
    ).map(tuple),
)


@given(st.lists(configurations, min_size=1, max_size=16).map(tuple))
def test_key_configurations_come_back(found: tuple[KeyConfiguration, ...]) -> None:
    assert parse_key_configurations(encode_key_configurations(found)) == found


origins = st.text(string.ascii_lowercase + string.digits + ".-:", min_size=1, max_size=40)
challenges = st.builds(
    TokenChallenge,
    origins,
    st.one_of(st.just(b""), st.binary(min_size=32, max_size=32)),
    st.lists(origins, max_size=4).map(tuple),
    st.integers(1, 65_535),
)


@given(challenges, st.one_of(st.none(), st.integers(0, 10**8)))
def test_challenges_come_back_from_their_octets_and_from_the_field(
    challenge: TokenChallenge, max_age: int | None
) -> None:
    assert parse_token_challenge(challenge.encode()) == challenge
    field = format_challenge(challenge, None, max_age)
    again = PrivateTokenChallenge(challenge, None, max_age)
    assert parse_challenges(f'Basic realm="x", {field},{field}') == (again, again)


@given(st.integers(0, 4_102_444_800))
def test_dates_come_back(moment: int) -> None:
    assert parse_http_date(format_http_date(moment)) == moment


@given(st.dictionaries(st.binary(min_size=32, max_size=32), st.binary(max_size=4_000), max_size=8))
def test_sealed_records_come_out_of_their_bucket(records: dict[bytes, bytes]) -> None:
    secrets = {label: StorageSecrets(label, label[::-1]) for label in records}
    bucket = encode_bucket((label, secrets[label].seal(records[label])) for label in records)
    for label, record in records.items():
        assert secrets[label].open(find_sealed(bucket, label) or b"") == record
