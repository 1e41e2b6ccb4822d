"""Oblivious HTTP (RFC 9458): what client and gateway do with whole requests and responses.

client: seal -> ... relay, gateway ... -> opener.open
gateway: open -> (request, responder) -> responder.seal
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from discovery.privacy.alike import REQUEST_SIZES, RESPONSE_SIZES, SizeClasses
from discovery.privacy.bhttp import (
    BinaryRequest,
    BinaryResponse,
    encode_request,
    encode_response,
)
from discovery.privacy.bhttp_decoding import BhttpLimits, decode_request, decode_response
from discovery.privacy.encapsulation import (
    REQUEST_OVERHEAD,
    RESPONSE_OVERHEAD,
    Exchange,
    decapsulate_request,
    decapsulate_response,
    encapsulate_request,
    encapsulate_response,
    parse_encapsulated_request,
)
from discovery.privacy.http_date import format_http_date, parse_http_date
from discovery.privacy.octets import Octets
from discovery.privacy.ohttp_keys import GatewayKeys, KeyConfiguration
from discovery.privacy.once import Once
from discovery.privacy.reason import Fault, PrivacyError

KEY_PROBLEM: Final = "https://iana.org/assignments/http-problem-types#ohttp-key"
DATE_PROBLEM: Final = "https://iana.org/assignments/http-problem-types#date"
PROBLEM_MEDIA_TYPE: Final = "application/problem+json"

MAX_REQUEST: Final = REQUEST_SIZES.sizes[-1] + REQUEST_OVERHEAD
MAX_RESPONSE: Final = RESPONSE_SIZES.sizes[-1] + RESPONSE_OVERHEAD
_REQUEST_LIMITS: Final = BhttpLimits(message=REQUEST_SIZES.sizes[-1])
_RESPONSE_LIMITS: Final = BhttpLimits(message=RESPONSE_SIZES.sizes[-1])

# Status and title of what a gateway answers, encapsulated, to a request it could open.
_PROBLEMS: Final = {
    Fault.NOT_FRESH: (400, DATE_PROBLEM, "date field in request outside of acceptable range"),
    Fault.REPLAYED: (409, "about:blank", "request was answered before"),
    Fault.OVERLOADED: (503, "about:blank", "too many requests at present"),
    Fault.OVERSIZED: (413, "about:blank", "request is too large"),
}
_MALFORMED: Final = (400, "about:blank", "request is malformed")


class Responder:
    """Protects the response to one request, padded to a size class."""

    __slots__ = ("_exchange", "_random", "_sizes")

    def __init__(
        self, exchange: Exchange, sizes: SizeClasses, random: Callable[[int], bytes]
    ) -> None:
        self._exchange = exchange
        self._sizes = sizes
        self._random = random

    def seal(self, response: BinaryResponse) -> bytes:
        """Return `message/ohttp-res`. Raises PrivacyError: MALFORMED, or OVERSIZED for a response
        larger than the largest size class."""
        message = encode_response(response)
        message = message.ljust(self._sizes.size_for(len(message)), b"\0")
        nonce = self._random(self._exchange.nonce_octets)
        return encapsulate_response(self._exchange, message, nonce)

    def seal_problem(self, status: int, kind: str, title: str, now: float) -> bytes:
        """Return a problem document (RFC 9457) as `message/ohttp-res`, with a Date."""
        headers = (("content-type", PROBLEM_MEDIA_TYPE), ("date", format_http_date(now)))
        document = {"type": kind, "title": title, "status": status}
        content = json.dumps(document, separators=(",", ":")).encode()
        return self.seal(BinaryResponse(status, headers, content))


class ProtectedError(PrivacyError):
    """A request could be opened but not be taken: the answer has to be encapsulated (5.2)."""

    def __init__(self, error: PrivacyError, responder: Responder) -> None:
        super().__init__(error.fault, error.detail)
        self._responder = responder

    def seal(self, now: float) -> bytes:
        """Return the answer, a problem document as `message/ohttp-res`."""
        status, kind, title = _PROBLEMS.get(self.fault, _MALFORMED)
        return self._responder.seal_problem(status, kind, title, now)


@dataclass(frozen=True, slots=True)
class ReplayPolicy:
    """How far a request's Date may be off, and how many requests are remembered (section 6.5).

    window: seconds before and after now; max_entries: requests within it, full means refused.
    """

    window: float = 120.0
    max_entries: int = 200_000


class OhttpGateway:
    """Opens Encapsulated Requests, each once."""

    def __init__(
        self,
        keys: GatewayKeys,
        *,
        replay: ReplayPolicy | None = None,
        sizes: SizeClasses = RESPONSE_SIZES,
        limits: BhttpLimits = _REQUEST_LIMITS,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.keys = keys
        self._replay = replay or ReplayPolicy()
        # Forgotten within a quarter of the window after they end: 200,000 are 1,300 a second.
        self._seen = Once(slot=self._replay.window / 4, max_entries=self._replay.max_entries)
        self._sizes = sizes
        self._limits = limits
        self._random = random

    def open(self, data: bytes, now: float) -> tuple[BinaryRequest, Responder]:
        """Open `message/ohttp-req`; `now` in epoch seconds.

        Raises PrivacyError for what cannot be opened, to be answered without protection:
        OVERSIZED, TRUNCATED, KEY_UNKNOWN, SUITE_UNSUPPORTED, UNDECRYPTABLE. Raises ProtectedError
        for what can be but is not taken: NOT_FRESH (Date missing or outside the window), REPLAYED,
        OVERLOADED, or a message that is no good request.
        """
        if len(data) > self._limits.message + REQUEST_OVERHEAD:
            raise PrivacyError(Fault.OVERSIZED, f"more than {self._limits.message} octets")
        key_id = Octets(data).integer(1)
        key = self.keys.find(key_id, now)
        opened, exchange = decapsulate_request(key, parse_encapsulated_request(data))
        responder = Responder(exchange, self._sizes, self._random)
        try:
            request = decode_request(opened, self._limits)
            self._check(request, exchange.enc, now)
        except PrivacyError as error:
            raise ProtectedError(error, responder) from None
        return request, responder

    def _check(self, request: BinaryRequest, enc: bytes, now: float) -> None:
        if any(name == "expect" for name, _ in request.headers):
            # No answer can come before the whole one (section 5.1).
            raise PrivacyError(Fault.MALFORMED, "an expectation")
        date = parse_http_date(request.header("date") or "")
        window = self._replay.window
        if date is None or abs(now - date) > window:
            raise PrivacyError(Fault.NOT_FRESH)
        self._seen.take(enc, date + window, now)


class ResponseOpener:
    """Opens the response to the one request that it was made with."""

    __slots__ = ("_exchange", "_limits")

    def __init__(self, exchange: Exchange, limits: BhttpLimits) -> None:
        self._exchange = exchange
        self._limits = limits

    def open(self, data: bytes) -> BinaryResponse:
        """Open `message/ohttp-res`.

        Raises PrivacyError: OVERSIZED, TRUNCATED, UNDECRYPTABLE, MALFORMED.
        """
        if len(data) > self._limits.message + RESPONSE_OVERHEAD:
            raise PrivacyError(Fault.OVERSIZED, f"more than {self._limits.message} octets")
        return decode_response(decapsulate_response(self._exchange, data), self._limits)


class OhttpClient:
    """Encapsulates requests to one gateway, whose configuration must have come authenticated.

    Raises PrivacyError(SUITE_UNSUPPORTED) from the constructor where nothing is in common.
    """

    def __init__(
        self,
        configuration: KeyConfiguration,
        *,
        sizes: SizeClasses = REQUEST_SIZES,
        limits: BhttpLimits = _RESPONSE_LIMITS,
    ) -> None:
        if configuration.preferred() is None:
            raise PrivacyError(Fault.SUITE_UNSUPPORTED, "nothing in common with the gateway")
        self._configuration = configuration
        self._sizes = sizes
        self._limits = limits

    @classmethod
    def choose(cls, configurations: tuple[KeyConfiguration, ...]) -> OhttpClient:
        """Take the first configuration that we can use. Raises PrivacyError(SUITE_UNSUPPORTED)."""
        for configuration in configurations:
            if configuration.preferred() is not None:
                return cls(configuration)
        raise PrivacyError(Fault.SUITE_UNSUPPORTED, "no key configuration that can be used")

    def seal(self, request: BinaryRequest, now: float) -> tuple[bytes, ResponseOpener]:
        """Return `message/ohttp-req`, padded to a size class, and what opens its response.

        A Date is added (section 6.5.1); a request sent again has to be sealed again.
        Raises PrivacyError: MALFORMED, OVERSIZED.
        """
        fields = tuple(one for one in request.headers if one[0].lower() != "date")
        dated = replace(request, headers=(*fields, ("date", format_http_date(now))))
        message = encode_request(dated)
        message = message.ljust(self._sizes.size_for(len(message)), b"\0")
        sealed, exchange = encapsulate_request(self._configuration, message)
        return sealed, ResponseOpener(exchange, self._limits)
