"""Runs ACME procedures against the development authority on a virtual clock."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from stir.acme.account import Registration, open_account
from stir.acme.account_key import AccountKey
from stir.acme.actions import Answer, AskToken, Procedure, Remember, Send, Wait
from stir.acme.order import CertificateOrder, obtain
from stir.acme.session import Session
from stir.certificates.issuing import make_csr, make_root, new_key
from stir.certificates.tn_auth_list import Spc, TnAuthList
from tests.support.acme_authority import AcmeAuthority
from tests.support.acme_resources import Temper
from tests.support.stir_authority import NOW, StirWorld
from tests.support.token_authority import TokenAuthority

T = TypeVar("T")
BASE = "https://acme.sti-ca.example"
ASKED = TnAuthList((Spc("TEST"),))
AGREED = Registration(contact=("mailto:certs@alpha.example",), agree_terms_of_service=True)
WORLD = StirWorld()


def csr_der(key: Any, tn_auth_list: TnAuthList = ASKED) -> bytes:
    csr = x509.load_pem_x509_csr(make_csr(key, "SHAKEN TEST", tn_auth_list))
    return csr.public_bytes(Encoding.DER)


@dataclass
class VirtualWorld:
    """An authority, a token authority, an account key and a clock that only waiting moves."""

    temper: Temper = field(default_factory=lambda: Temper(bad_nonce=0.0))
    seed: int = 1
    now: float = NOW
    remembered: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    answers: Callable[[Send, Answer], Answer] = field(default=lambda _, answer: answer)
    token_of: Callable[[AskToken], str] | None = None

    def __post_init__(self) -> None:
        self.tokens = TokenAuthority(lambda: self.now)
        self.authority = AcmeAuthority(
            WORLD.issuer, self.tokens, BASE, lambda: self.now, temper=self.temper, seed=self.seed
        )
        self.key = new_key()
        self.account_key = AccountKey(new_key())

    @staticmethod
    def stranger_roots() -> tuple[x509.Certificate, ...]:
        return make_root("Another root", NOW).certificates

    def session(self, **options: Any) -> Session:
        return Session(self.account_key, self.authority.directory_url, **options)

    def run(self, procedure: Procedure[T]) -> T:
        try:
            action = next(procedure)
            while True:
                action = procedure.send(self._reply(action))
        except StopIteration as end:
            result: T = end.value
            return result

    def _reply(self, action: Send | Wait | AskToken | Remember) -> Answer | str | None:
        if isinstance(action, Send):
            body = action.body or b""
            reply = self.authority.handle(
                action.method, action.url, "application/jose+json" if body else "", body
            )
            return self.answers(action, Answer(reply.status, reply.headers, reply.body, self.now))
        if isinstance(action, AskToken):
            if self.token_of is not None:
                return self.token_of(action)
            return self.tokens.token(action.request.claim())
        if isinstance(action, Remember):
            self.remembered.append(action.order_url)
        else:
            self.waits.append(action.seconds)
            self.now += action.seconds
        return None

    def obtain(self, order_url: str | None = None, **changes: Any) -> bytes:
        """Open the account and obtain a certificate, or go on with an order."""
        session = self.session()
        self.run(open_account(session, AGREED))
        order = CertificateOrder(ASKED, csr_der(self.key), **changes)
        return self.run(obtain(session, order, self.now, order_url))


def changed(**members: Any) -> Callable[[bytes], bytes]:
    """A change of a JSON body: members replaced, or removed by None."""

    def change(body: bytes) -> bytes:
        document = {**json.loads(body), **members}
        return json.dumps({k: v for k, v in document.items() if v is not None}).encode()

    return change
