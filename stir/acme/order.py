"""From a TNAuthList to a certificate: one ACME order (RFC 8555 section 7.1.6).

    pending --(all authorizations valid)--> ready --(CSR)--> processing --> valid
       |                                      |                  |
       +---------------- error ---------------+------------------+-------> invalid

    status       what is done
    pending      every authorization's tkauth-01 challenge is answered, then the order read again
    ready        the CSR is sent
    processing   waited for
    valid        the chain is downloaded
    invalid      the order is lost, with the reason the challenge or the order gives

The server's status alone says what comes next, so that an order left half done by a crash is
continued by the same procedure: only its URL and the key of its CSR have to be known.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from stir.acme.actions import Answer, AskToken, Procedure, Remember, Wait, ask_token
from stir.acme.authority_token import (
    IDENTIFIER_TYPE,
    RFC_9448,
    AuthorityTokenRequest,
    Dialect,
    UnfitToken,
    check_token,
)
from stir.acme.problem import (
    AcmeError,
    Fault,
    Later,
    MalformedAnswer,
    OrderLost,
    ProblemDocument,
    Refused,
)
from stir.acme.resources import (
    Authorization,
    AuthorizationStatus,
    ChallengeStatus,
    Order,
    OrderStatus,
    TokenChallenge,
    location,
    read_authorization,
    read_order,
    retry_after,
)
from stir.acme.session import Session
from stir.certificates.certificate import MAX_PEM
from stir.certificates.tn_auth_list import TnAuthList
from stir.passport import encode_part

CHAIN_TYPE: Final = "application/pem-certificate-chain"
MAX_STEPS: Final = 50
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
_SHORTEST_PAUSE: Final = 0.05


@dataclass(frozen=True, slots=True)
class CertificateOrder:
    """What is ordered.

    csr: DER, of the certificate's own key, carrying the TNAuthList. lifetime: seconds asked for
    from now on, the authority's choice where None. patience: seconds to wait for the server, all
    waits of one run together.
    """

    tn_auth_list: TnAuthList
    csr: bytes = field(repr=False)
    dialect: Dialect = RFC_9448
    lifetime: float | None = None
    patience: float = 600.0


def obtain(
    session: Session, order: CertificateOrder, now: float, order_url: str | None = None
) -> Procedure[bytes]:
    """Order a certificate, or go on with the order at `order_url`, and return the PEM chain.

    `now` in epoch seconds. Raises OrderLost where only a new order helps, Later where the server
    needs more time than `patience` (go on with the same order then), or another AcmeError. What
    the chain is worth is for `stir.acme.issued` to say.
    """
    return (yield from _Obtaining(session, order, now, order_url).run())


class _Obtaining:
    """One run of the state machine above."""

    def __init__(
        self, session: Session, order: CertificateOrder, now: float, url: str | None
    ) -> None:
        self._session = session
        self._order = order
        self._now = now
        self._url = url
        self._value = order.dialect.identifier_value(order.tn_auth_list)
        self._patience = order.patience
        self._pause = _FIRST_PAUSE
        self._last: Answer | None = None
        self._steps: dict[OrderStatus, Callable[[Order], Procedure[Order]]] = {
            OrderStatus.PENDING: self._authorize,
            OrderStatus.READY: self._finalize,
            OrderStatus.PROCESSING: self._await_issuance,
            OrderStatus.INVALID: self._lost,
        }

    def run(self) -> Procedure[bytes]:
        state = yield from (self._new_order() if self._url is None else self._read_order())
        for _ in range(MAX_STEPS):
            if state.status is OrderStatus.VALID:
                return (yield from self._download(state))
            state = yield from self._steps[state.status](state)
        raise MalformedAnswer("the order", f"it is not done after {MAX_STEPS} steps")

    def _new_order(self) -> Procedure[Order]:
        directory = yield from self._session.directory()
        payload: dict[str, object] = {
            "identifiers": [{"type": IDENTIFIER_TYPE, "value": self._value}]
        }
        if self._order.lifetime is not None:
            end = datetime.datetime.fromtimestamp(
                int(self._now + self._order.lifetime), datetime.UTC
            )
            payload["notAfter"] = f"{end:%Y-%m-%dT%H:%M:%SZ}"
        answer = yield from self._session.post(directory.new_order, payload, "the order")
        self._url = location(answer, "the order")
        yield Remember(self._url)
        return self._note(answer)

    def _read_order(self) -> Procedure[Order]:
        assert self._url is not None
        try:
            answer = yield from self._session.post_as_get(self._url, "the order")
        except Refused as error:
            if error.problem.status in (404, 410):
                raise OrderLost("the order is not known any more", error.problem) from None
            raise
        return self._note(answer)

    def _note(self, answer: Answer) -> Order:
        self._last = answer
        return read_order(answer, self._value)

    # --- pending -----------------------------------------------------------------------------

    def _authorize(self, state: Order) -> Procedure[Order]:
        worked = False
        for url in state.authorizations:
            worked = (yield from self._authorize_one(url)) or worked
        if not worked:
            # All valid, and the order not yet told so.
            yield from self._wait("the order to become ready", self._last)
        return (yield from self._read_order())

    def _authorize_one(self, url: str) -> Procedure[bool]:
        """Bring one authorization to valid; return whether there was anything to do."""
        answered = False
        for _ in range(MAX_STEPS):
            answer = yield from self._session.post_as_get(url, "the authorization")
            authorization = read_authorization(answer)
            if authorization.status is AuthorizationStatus.VALID:
                return answered
            challenge = self._challenge_of(authorization)
            if challenge.status is ChallengeStatus.PENDING and not answered:
                yield from self._answer(challenge, answer)
                answered = True
            else:
                yield from self._wait("the authority token to be checked", answer)
                answered = True
        raise MalformedAnswer("the authorization", f"it is not done after {MAX_STEPS} steps")

    def _challenge_of(self, authorization: Authorization) -> TokenChallenge:
        challenge = authorization.challenge
        if authorization.status is not AuthorizationStatus.PENDING:
            problem = challenge.error if challenge is not None else None
            raise OrderLost(f"the authorization is {authorization.status}", _or_token(problem))
        if challenge is None:
            raise AcmeError(
                "the authority offers no tkauth-01 challenge of type atc (RFC 9447)",
                fault=Fault.AUTHORITY,
                advice="this server does not issue STI certificates by authority token",
            )
        if challenge.status is ChallengeStatus.INVALID:
            raise OrderLost("the challenge failed", _or_token(challenge.error))
        return challenge

    def _answer(self, challenge: TokenChallenge, answer: Answer) -> Procedure[None]:
        dialect = self._order.dialect
        request = AuthorityTokenRequest(self._value, dialect.fingerprint(self._session.key))
        token = yield from ask_token(AskToken(request, challenge.token_authority))
        try:
            check_token(token, request, answer.received_at)
        except UnfitToken as error:
            raise AcmeError(
                f"the authority token is of no use: {error}",
                fault=Fault.TOKEN_AUTHORITY,
                advice="look at what [stir.acme.token] gets: file, command or token authority",
            ) from None
        payload: dict[str, object] = {str(dialect.response_member): token}
        yield from self._session.post(challenge.url, payload, "the authority token")

    # --- ready, processing, invalid ----------------------------------------------------------

    def _finalize(self, state: Order) -> Procedure[Order]:
        try:
            answer = yield from self._session.post(
                state.finalize, {"csr": encode_part(self._order.csr)}, "the signing request"
            )
        except Refused as error:
            if error.problem.kind != "orderNotReady":
                raise
            yield from self._wait("the order to become ready", self._last)
            return (yield from self._read_order())
        return self._note(answer)

    def _await_issuance(self, _: Order) -> Procedure[Order]:
        yield from self._wait("the certificate to be issued", self._last)
        return (yield from self._read_order())

    def _lost(self, state: Order) -> Procedure[Order]:
        """Find out why an order failed: the challenge knows better than the order."""
        problem = state.error
        for url in state.authorizations:
            answer = yield from self._session.post_as_get(url, "the authorization")
            challenge = read_authorization(answer).challenge
            if challenge is not None and challenge.error is not None:
                problem = challenge.error
        raise OrderLost("the order failed", problem)

    # --- valid -------------------------------------------------------------------------------

    def _download(self, state: Order) -> Procedure[bytes]:
        assert state.certificate is not None
        what = "the certificate"
        answer = yield from self._session.post_as_get(state.certificate, what, accept=CHAIN_TYPE)
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != CHAIN_TYPE:
            raise MalformedAnswer(what, f"it is not {CHAIN_TYPE}")
        if not 0 < len(answer.body) <= MAX_PEM:
            raise MalformedAnswer(what, f"it is not 1 to {MAX_PEM} octets long")
        return answer.body

    def _wait(self, what: str, answer: Answer | None) -> Procedure[None]:
        """Wait as long as the server says, or a little longer each time; give up in the end."""
        said = retry_after(answer) if answer is not None else None
        seconds = max(self._pause if said is None else said, _SHORTEST_PAUSE)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        if seconds > self._patience:
            raise Later(f"still waiting for {what}", seconds)
        self._patience -= seconds
        yield Wait(seconds, what)


def _or_token(problem: ProblemDocument | None) -> ProblemDocument:
    """A challenge that failed without a word failed by its token."""
    return problem or ProblemDocument("incorrectResponse", "no reason was given", 0)
