"""RFC 9292 section 5: the example messages in both framings."""

from __future__ import annotations

import pytest

from discovery.privacy.bhttp import (
    BinaryRequest,
    BinaryResponse,
    Informational,
    encode_request,
    encode_response,
)
from discovery.privacy.bhttp_decoding import decode_request, decode_response

pytestmark = pytest.mark.rfc(9292, "5")

REQUEST = BinaryRequest(
    "GET",
    "https",
    "",
    "/hello.txt",
    (
        ("user-agent", "curl/7.16.3 libcurl/7.16.3 OpenSSL/0.9.7l zlib/1.2.3"),
        ("host", "www.example.com"),
        ("accept-language", "en, mi"),
    ),
)
KNOWN_LENGTH_REQUEST = bytes.fromhex(
    "0003474554056874747073000a2f68656c6c6f2e747874406c0a757365722d61"
    "67656e74346375726c2f372e31362e33206c69626375726c2f372e31362e3320"
    "4f70656e53534c2f302e392e376c207a6c69622f312e322e3304686f73740f77"
    "77772e6578616d706c652e636f6d0f6163636570742d6c616e67756167650665"
    "6e2c206d690000"
)
INDETERMINATE_REQUEST = bytes.fromhex(
    "0203474554056874747073000a2f68656c6c6f2e7478740a757365722d616765"
    "6e74346375726c2f372e31362e33206c69626375726c2f372e31362e33204f70"
    "656e53534c2f302e392e376c207a6c69622f312e322e3304686f73740f777777"
    "2e6578616d706c652e636f6d0f6163636570742d6c616e677561676506656e2c"
    "206d6900000000000000000000000000"
)
RESPONSE = BinaryResponse(
    200,
    (
        ("date", "Mon, 27 Jul 2009 12:28:53 GMT"),
        ("server", "Apache"),
        ("last-modified", "Wed, 22 Jul 2009 19:15:56 GMT"),
        ("etag", '"34aa387-d-1568eb00"'),
        ("accept-ranges", "bytes"),
        ("content-length", "51"),
        ("vary", "Accept-Encoding"),
        ("content-type", "text/plain"),
    ),
    b"Hello World! My content includes a trailing CRLF.\r\n",
    (),
    (
        Informational(102, (("running", '"sleep 15"'),)),
        Informational(
            103,
            (
                ("link", "</style.css>; rel=preload; as=style"),
                ("link", "</script.js>; rel=preload; as=script"),
            ),
        ),
    ),
)
INDETERMINATE_RESPONSE = bytes.fromhex(
    "0340660772756e6e696e670a22736c65657020313522004067046c696e6b233c"
    "2f7374796c652e6373733e3b2072656c3d7072656c6f61643b2061733d737479"
    "6c65046c696e6b243c2f7363726970742e6a733e3b2072656c3d7072656c6f61"
    "643b2061733d7363726970740040c804646174651d4d6f6e2c203237204a756c"
    "20323030392031323a32383a353320474d540673657276657206417061636865"
    "0d6c6173742d6d6f6469666965641d5765642c203232204a756c203230303920"
    "31393a31353a353620474d5404657461671422333461613338372d642d313536"
    "3865623030220d6163636570742d72616e6765730562797465730e636f6e7465"
    "6e742d6c656e67746802353104766172790f4163636570742d456e636f64696e"
    "670c636f6e74656e742d747970650a746578742f706c61696e003348656c6c6f"
    "20576f726c6421204d7920636f6e74656e7420696e636c756465732061207472"
    "61696c696e672043524c462e0d0a0000"
)
CHUNKED = BinaryResponse(200, (), b"This content contains CRLF.\r\n", (("trailer", "text"),))
KNOWN_LENGTH_RESPONSE = bytes.fromhex(
    "0140c8001d5468697320636f6e74656e7420636f6e7461696e732043524c462e"
    "0d0a0d07747261696c65720474657874"
)


def test_known_length_request() -> None:
    assert encode_request(REQUEST, truncate=False) == KNOWN_LENGTH_REQUEST
    assert encode_request(REQUEST) == KNOWN_LENGTH_REQUEST[:-2]
    for cut in range(3):
        assert decode_request(KNOWN_LENGTH_REQUEST[: len(KNOWN_LENGTH_REQUEST) - cut]) == REQUEST


def test_indeterminate_length_request_may_lose_up_to_twelve_octets_of_padding() -> None:
    size = len(INDETERMINATE_REQUEST)
    assert encode_request(REQUEST, indeterminate=True, pad_to=size) == INDETERMINATE_REQUEST
    for cut in range(13):
        assert decode_request(INDETERMINATE_REQUEST[: size - cut]) == REQUEST


def test_indeterminate_length_response_with_informational_ones() -> None:
    encoded = encode_response(RESPONSE, indeterminate=True, truncate=False)
    assert encoded == INDETERMINATE_RESPONSE
    assert decode_response(INDETERMINATE_RESPONSE) == RESPONSE


def test_known_length_response_with_a_trailer() -> None:
    assert encode_response(CHUNKED) == KNOWN_LENGTH_RESPONSE
    assert decode_response(KNOWN_LENGTH_RESPONSE) == CHUNKED
