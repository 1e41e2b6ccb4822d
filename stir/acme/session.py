"""One conversation with an ACME server: nonces, signatures, limits (RFC 8555 section 6)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from stir.acme.account_key import AccountKey
from stir.acme.actions import Answer, Procedure, Send, exchange
from stir.acme.jws import signed_request
from stir.acme.problem import AcmeError, Fault, Later, MalformedAnswer, Refused, read_problem
from stir.acme.resources import Directory, read_directory, retry_after

# At the worst server that is any use, which refuses every second nonce, one request in 100,000
# fails all the same.
MAX_NONCE_RETRIES: Final = 16
MAX_REQUESTS: Final = 500
_NONCE: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")
_BUSY: Final = frozenset({429, 503})


class Session:
    """Signs requests with one account key; makes no request itself, its procedures ask for them.

    directory_url: https. hosts: further hosts besides the directory's that its URLs may name: the
    server is trusted to issue certificates, not to send us anywhere. At most 500 requests.
    """

    def __init__(
        self, key: AccountKey, directory_url: str, *, hosts: frozenset[str] = frozenset()
    ) -> None:
        self.key = key
        self.directory_url = directory_url
        self.account_url: str | None = None
        self._hosts = hosts | {urlsplit(directory_url).netloc.lower()}
        self._directory: Directory | None = None
        self._nonce: str | None = None
        self._requests = 0

    def directory(self) -> Procedure[Directory]:
        """Return the directory, fetched once a session."""
        if self._directory is None:
            answer = yield from self._send(Send("GET", self.directory_url))
            if answer.status != 200:
                raise self._refusal(answer, "the directory")
            self._directory = read_directory(answer)
        return self._directory

    def post_as_get(
        self, url: str, what: str, *, accept: str = "application/json"
    ) -> Procedure[Answer]:
        """Fetch a resource (RFC 8555 section 6.3); raises AcmeError for an error status."""
        return (yield from self.post(url, None, what, accept=accept))

    def post(
        self,
        url: str,
        payload: Mapping[str, object] | None,
        what: str,
        *,
        accept: str = "application/json",
        with_key: bool = False,
    ) -> Procedure[Answer]:
        """Post a signed request, again with a new nonce where the server did not like the old one.

        `what` names the request for people; `with_key` sends the key instead of the account's
        URL. Raises Refused, Later (429, 503, rateLimited with a time to wait) or MalformedAnswer.
        """
        for _ in range(MAX_NONCE_RETRIES + 1):
            nonce = yield from self._fresh_nonce()
            account = None if with_key else self.account_url
            body = signed_request(self.key, url, payload, nonce=nonce, account_url=account)
            answer = yield from self._send(Send("POST", url, body, accept))
            if 200 <= answer.status < 300:
                return answer
            error = self._refusal(answer, what)
            if not isinstance(error, Refused) or error.problem.kind != "badNonce":
                raise error
        raise error

    def _refusal(self, answer: Answer, what: str) -> AcmeError:
        if answer.status < 400:
            # A signed request is for one URL; sent on to another it could not be valid.
            return MalformedAnswer(what, f"HTTP status {answer.status}")
        problem = read_problem(answer)
        seconds = retry_after(answer)
        if seconds is not None and (answer.status in _BUSY or problem.kind == "rateLimited"):
            return Later(f"{what} was put off: {problem}", seconds)
        return Refused(problem, what)

    def _fresh_nonce(self) -> Procedure[str]:
        """Take the nonce of the last answer, or ask for one (RFC 8555 section 7.2)."""
        if self._nonce is None:
            directory = yield from self.directory()
            answer = yield from self._send(Send("GET", directory.new_nonce))
            if not 200 <= answer.status < 300:
                raise self._refusal(answer, "a new nonce")
        nonce, self._nonce = self._nonce, None
        if nonce is None:
            raise MalformedAnswer("a new nonce", "it has no Replay-Nonce")
        return nonce

    def _send(self, action: Send) -> Procedure[Answer]:
        self._check_url(action.url)
        self._requests += 1
        if self._requests > MAX_REQUESTS:
            raise MalformedAnswer(
                "our requests", f"more than {MAX_REQUESTS} were needed for one certificate"
            )
        answer = yield from exchange(action)
        nonce = answer.headers.get("replay-nonce", "")
        self._nonce = nonce if _NONCE.fullmatch(nonce) else None
        return answer

    def _check_url(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            fits = parts.scheme == "https" and parts.netloc.lower() in self._hosts
        except ValueError:
            fits = False
        if not fits:
            raise AcmeError(
                "the certification authority names a URL outside its own hosts",
                fault=Fault.CONFIGURATION,
                advice="if it really uses several hosts, list them in stir.acme.further_hosts",
            )
