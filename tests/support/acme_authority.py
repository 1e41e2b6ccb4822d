"""A development ACME authority for STI certificates that is as awkward as RFC 8555 allows.

It refuses some nonces, answers when it likes, has new URLs each time, keeps orders processing,
reuses authorizations, and in chaos mode sends rubbish. It shares no code with the client.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import random
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_csr, load_pem_x509_certificates

from stir.certificates.issuing import (
    Authority,
    CertificateRequest,
    issue_sti_certificate,
    read_csr,
)
from stir.certificates.tn_auth_list import TnAuthList, parse_tn_auth_list
from tests.support.acme_resources import (
    RUBBISH,
    Account,
    Authorization,
    Order,
    Refusal,
    Reply,
    Temper,
    public_key,
    unb64,
)
from tests.support.token_authority import TokenAuthority, unb64url, verify_es256

_CHAIN = "application/pem-certificate-chain"


class AcmeAuthority:
    """The protocol without sockets: `handle` takes a request and returns the Reply.

    base: scheme, host and port. clock: epoch seconds. seed: of everything that happens by chance.
    """

    def __init__(
        self,
        issuer: Authority,
        tokens: TokenAuthority,
        base: str,
        clock: Callable[[], float],
        *,
        temper: Temper | None = None,
        seed: int = 1,
    ) -> None:
        self.issuer, self.tokens, self.base, self.clock = issuer, tokens, base, clock
        self.temper = temper or Temper()
        self.random = random.Random(seed)
        self.accounts: dict[str, Account] = {}
        self.orders: dict[str, Order] = {}
        self.authorizations: dict[str, Authorization] = {}
        self.certificates: dict[str, bytes] = {}
        self.revoked: list[tuple[int, int | None]] = []
        self.requests: list[str] = []
        self.refused_nonces = 0
        self._nonces: set[str] = set()
        self._tokens_used: set[str] = set()
        names = ("newNonce", "newAccount", "newOrder", "revokeCert", "keyChange")
        self._paths = {name: self._url(name) for name in names}

    @property
    def directory_url(self) -> str:
        return f"{self.base}/directory"

    def _url(self, kind: str) -> str:
        return f"{self.base}/{kind}/{self.random.getrandbits(96):x}"

    # --- requests ----------------------------------------------------------------------------

    def handle(self, method: str, url: str, content_type: str, body: bytes) -> Reply:
        """Answer one request, now and then with rubbish."""
        self.requests.append(f"{method} {url.removeprefix(self.base).split('/')[1]}")
        if self.random.random() < self.temper.chaos:
            return Reply(200, self._nonce(), self.random.choice(RUBBISH))
        try:
            if method in ("GET", "HEAD"):
                return self._get(url)
            return self._post(url, content_type, body)
        except Refusal as refusal:
            document = {
                "type": f"urn:ietf:params:acme:error:{refusal.kind}",
                "detail": refusal.detail,
                "status": refusal.status,
            }
            headers = {"content-type": "application/problem+json", **refusal.headers}
            return Reply(refusal.status, headers | self._nonce(), json.dumps(document).encode())

    def _nonce(self) -> dict[str, str]:
        nonce = f"{self.random.getrandbits(128):x}"
        self._nonces.add(nonce)
        return {"replay-nonce": nonce, "cache-control": "no-store"}

    def _get(self, url: str) -> Reply:
        if url == self.directory_url:
            meta: dict[str, Any] = {"externalAccountRequired": bool(self.temper.external_keys)}
            if self.temper.terms:
                meta["termsOfService"] = self.temper.terms
            return Reply(200, {}, json.dumps({**self._paths, "meta": meta}).encode())
        if url == self._paths["newNonce"]:
            return Reply(204, self._nonce(), b"")
        raise Refusal("malformed", "GET is not for this resource", 405)

    def _post(self, url: str, content_type: str, body: bytes) -> Reply:
        if content_type != "application/jose+json":
            raise Refusal("malformed", "not application/jose+json", 415)
        account, key, payload = self._open(url, body)
        if url == self._paths["newAccount"]:
            return self._new_account(key, payload or {})
        if url == self._paths["keyChange"] and account and payload:
            return self._change_key(account, payload)
        if account is None:
            raise Refusal("accountDoesNotExist", "no such account")
        if url == self._paths["newOrder"]:
            return self._new_order(account, payload or {})
        if url == self._paths["revokeCert"]:
            return self._revoke(payload or {})
        return self._resource(url, account, payload)

    def _open(
        self, url: str, body: bytes
    ) -> tuple[Account | None, dict[str, str], dict[str, Any] | None]:
        """Check the signature of a request (RFC 8555 section 6)."""
        signed = json.loads(body)
        if set(signed) != {"protected", "payload", "signature"}:
            raise Refusal("malformed", "not flattened JSON")
        header = json.loads(unb64url(signed["protected"]))
        if header.get("alg") != "ES256":
            raise Refusal("badSignatureAlgorithm", "only ES256")
        if ("jwk" in header) == ("kid" in header):
            raise Refusal("malformed", "one of jwk and kid")
        account = self.accounts.get(header.get("kid", ""))
        if "kid" in header and account is None:
            raise Refusal("accountDoesNotExist", "unknown kid")
        key = header["jwk"] if account is None else account.jwk
        octets = f"{signed['protected']}.{signed['payload']}".encode()
        if not verify_es256(public_key(key), unb64url(signed["signature"]), octets):
            raise Refusal("malformed", "the signature is wrong")
        if header.get("url") != url:
            raise Refusal("unauthorized", "signed for another URL", 401)
        fresh = header.get("nonce") in self._nonces
        self._nonces.discard(header.get("nonce"))
        if not fresh or self.random.random() < self.temper.bad_nonce:
            self.refused_nonces += 1
            raise Refusal("badNonce", "take another nonce")
        if account is not None and account.status != "valid":
            raise Refusal("unauthorized", f"the account is {account.status}", 403)
        return account, key, json.loads(unb64url(signed["payload"])) if signed["payload"] else None

    # --- accounts ----------------------------------------------------------------------------

    def _new_account(self, jwk: dict[str, str], payload: dict[str, Any]) -> Reply:
        known = next((each for each in self.accounts.values() if each.jwk == jwk), None)
        if known is not None:
            return self._account(known, 200)
        if payload.get("onlyReturnExisting"):
            raise Refusal("accountDoesNotExist", "no account with this key")
        if self.temper.terms and payload.get("termsOfServiceAgreed") is not True:
            raise Refusal("userActionRequired", "agree to the terms", 403)
        if self.temper.external_keys:
            self._check_binding(jwk, payload.get("externalAccountBinding"))
        if any(not contact.startswith("mailto:") for contact in payload.get("contact", [])):
            raise Refusal("unsupportedContact", "only mailto")
        account = Account(self._url("account"), jwk, payload.get("contact", []))
        self.accounts[account.url] = account
        return self._account(account, 201)

    def _check_binding(self, jwk: dict[str, str], binding: Any) -> None:
        if not isinstance(binding, dict):
            raise Refusal("externalAccountRequired", "only customers", 403)
        header = json.loads(unb64url(binding["protected"]))
        key = self.temper.external_keys.get(header["kid"], b"")
        octets = f"{binding['protected']}.{binding['payload']}".encode()
        mac = hmac.new(key, octets, hashlib.sha256).digest()
        good = (
            header["alg"] == "HS256"
            and header["url"] == self._paths["newAccount"]
            and "nonce" not in header
            and json.loads(unb64url(binding["payload"])) == jwk
            and hmac.compare_digest(mac, unb64url(binding["signature"]))
        )
        if not good:
            raise Refusal("unauthorized", "the binding is wrong", 403)

    def _account(self, account: Account, status: int) -> Reply:
        document = {"status": account.status, "contact": account.contact}
        return self._document(document, status, location=account.url)

    def _change_key(self, account: Account, payload: dict[str, Any]) -> Reply:
        header = json.loads(unb64url(payload["protected"]))
        inner = json.loads(unb64url(payload["payload"]))
        octets = f"{payload['protected']}.{payload['payload']}".encode()
        proven = verify_es256(public_key(header["jwk"]), unb64url(payload["signature"]), octets)
        if not proven or inner != {"account": account.url, "oldKey": account.jwk}:
            raise Refusal("malformed", "the inner signature is wrong")
        if header["url"] != self._paths["keyChange"] or "nonce" in header:
            raise Refusal("malformed", "the inner header is wrong")
        account.jwk = header["jwk"]
        return self._account(account, 200)

    # --- orders ------------------------------------------------------------------------------

    def _new_order(self, account: Account, payload: dict[str, Any]) -> Reply:
        if self.temper.rate_limit is not None and len(self.orders) >= self.temper.rate_limit:
            raise Refusal("rateLimited", "too many orders", 429, **self._retry_after(30))
        identifiers = payload["identifiers"]
        if [each["type"] for each in identifiers] != ["TNAuthList"]:
            raise Refusal("unsupportedIdentifier", "only one TNAuthList")
        value = identifiers[0]["value"]
        reused = self.random.random() < self.temper.reuse and next(
            (
                url
                for url, each in self.authorizations.items()
                if each.account is account and each.value == value and each.status == "valid"
            ),
            None,
        )
        url = reused or self._url("authorization")
        if not reused:
            self.authorizations[url] = Authorization(account, value, self._url("challenge"))
        order = Order(account, value, url, self._url("finalize"))
        order.not_after = payload.get("notAfter")
        location = self._url("order")
        self.orders[location] = order
        return self._order(location, 201)

    def _resource(self, url: str, account: Account, payload: dict[str, Any] | None) -> Reply:
        if url in self.orders and payload is None:
            return self._order(url, 200)
        if url in self.authorizations and payload is None:
            return self._authorization(url)
        if url in self.certificates and payload is None:
            return Reply(200, {"content-type": _CHAIN} | self._nonce(), self.certificates[url])
        if url == account.url:
            return self._update(account, payload or {})
        for authorization_url, each in self.authorizations.items():
            if each.challenge_url == url and payload is not None:
                return self._challenge(authorization_url, each, payload)
        for location, order in self.orders.items():
            if order.finalize_url == url and payload is not None:
                return self._finalize(location, order, payload)
        raise Refusal("malformed", "no such resource", 404)

    def _update(self, account: Account, payload: dict[str, Any]) -> Reply:
        account.contact = payload.get("contact", account.contact)
        account.status = payload.get("status", account.status)
        return self._account(account, 200)

    def _order(self, url: str, status: int) -> Reply:
        order = self.orders[url]
        authorization = self.authorizations[order.authorization_url]
        if order.status == "pending" and authorization.status == "valid":
            order.status = "ready"
        elif order.status == "pending" and authorization.status == "invalid":
            order.status, order.error = "invalid", {"type": "about:blank", "detail": "see below"}
        waiting = order.status == "processing"
        if waiting:
            order.polls += 1
            if order.polls > self.temper.processing:
                order.status, waiting = "valid", False
        document: dict[str, Any] = {
            "status": order.status,
            "identifiers": [{"type": "TNAuthList", "value": order.value}],
            "authorizations": [order.authorization_url],
            "finalize": order.finalize_url,
        }
        if order.status == "valid":
            document["certificate"] = order.certificate_url
        if order.error:
            document["error"] = order.error
        return self._document(document, status, waiting=waiting, location=url)

    def _authorization(self, url: str) -> Reply:
        each = self.authorizations[url]
        waiting = each.challenge == "processing"
        if waiting:
            each.polls += 1
            if each.polls > self.temper.processing:
                each.challenge = each.status = "invalid" if each.error else "valid"
                waiting = False
        document = {
            "status": each.status,
            "identifier": {"type": "TNAuthList", "value": each.value},
            "challenges": [
                {"type": "dns-01", "url": self._url("dns"), "status": "pending", "token": "x"},
                self._challenge_of(each),
            ],
        }
        return self._document(document, 200, waiting=waiting)

    def _challenge_of(self, each: Authorization) -> dict[str, Any]:
        shown = each.error if each.challenge == "invalid" else None
        return {
            "type": "tkauth-01",
            "tkauth-type": "atc",
            "token-authority": "https://sti-pa.example/token",
            "url": each.challenge_url,
            "status": each.challenge,
            "token": "IlirfxKKXAsHtmzK29Pj8A",
            **({"error": shown} if shown else {}),
        }

    def _challenge(self, _: str, each: Authorization, payload: dict[str, Any]) -> Reply:
        each.error = self._objection(each, payload.get(self.temper.member))
        each.challenge = "processing"
        each.polls = 0
        return self._document(self._challenge_of(each), 200, waiting=True)

    def _objection(self, each: Authorization, token: Any) -> dict[str, Any] | None:
        """What is wrong with an authority token (RFC 9448 section 6)."""
        read = self.tokens.read(token) if isinstance(token, str) else None
        claim = read.get("atc", {}) if read else {}
        expected = f"SHA256 {each.account.thumbprint.hex(':').upper()}"
        problems = {
            "no token of a token authority that is trusted": read is None,
            "the token has expired": read is not None and read.get("exp", 0) < self.clock(),
            "the token was used before": read is not None and read.get("jti") in self._tokens_used,
            "the fingerprint is not the account's": claim.get("fingerprint") != expected,
            "the TNAuthList is another one": claim.get("tkvalue") != each.value,
            "the token is for an authority": claim.get("ca") is not False,
        }
        if read is not None:
            self._tokens_used.add(str(read.get("jti")))
        detail = next((text for text, wrong in problems.items() if wrong), None)
        kind = "urn:ietf:params:acme:error:incorrectResponse"
        return {"type": kind, "detail": detail, "status": 403} if detail else None

    def _finalize(self, url: str, order: Order, payload: dict[str, Any]) -> Reply:
        if order.status != "ready":
            raise Refusal("orderNotReady", f"the order is {order.status}", 403)
        if self.temper.finalize_error:
            raise Refusal(self.temper.finalize_error, "not like this")
        csr = load_der_x509_csr(unb64url(payload["csr"]))
        asked = read_csr(csr.public_bytes(Encoding.PEM))
        ordered = parse_tn_auth_list(unb64(order.value))
        if asked.tn_auth_list != ordered:
            raise Refusal("badCSR", "the CSR is for another TNAuthList")
        order.chain = self.issue(asked, ordered)
        order.certificate_url = self._url("certificate")
        self.certificates[order.certificate_url] = order.chain
        order.status = "processing"
        return self._order(url, 200)

    def issue(self, asked: CertificateRequest, granted: TnAuthList) -> bytes:
        """Issue the certificate of an order; a hostile authority issues another one."""
        return issue_sti_certificate(
            self.issuer,
            granted,
            self.clock(),
            name=asked.name,
            dns_names=asked.dns_names,
            lifetime=self.temper.lifetime,
            public_key=asked.public_key,
        ).chain_pem

    def _revoke(self, payload: dict[str, Any]) -> Reply:
        der = unb64url(payload["certificate"])
        for chain in self.certificates.values():
            leaf = load_pem_x509_certificates(chain)[0]
            if leaf.public_bytes(Encoding.DER) == der:
                if any(serial == leaf.serial_number for serial, _ in self.revoked):
                    raise Refusal("alreadyRevoked", "revoked before")
                self.revoked.append((leaf.serial_number, payload.get("reason")))
                return Reply(200, self._nonce(), b"")
        raise Refusal("malformed", "not issued here", 404)

    # --- answers -----------------------------------------------------------------------------

    def _document(
        self, document: dict[str, Any], status: int, *, waiting: bool = False, location: str = ""
    ) -> Reply:
        headers = {"content-type": "application/json", **self._nonce()}
        if location:
            headers["location"] = location
        if waiting and self.temper.retry_after is not None:
            headers |= self._retry_after(self.temper.retry_after)
        return Reply(status, headers, json.dumps(document).encode())

    def _retry_after(self, seconds: float) -> dict[str, str]:
        if self.temper.dates:
            return {"retry-after": formatdate(self.clock() + seconds, usegmt=True)}
        return {"retry-after": f"{seconds:.0f}"}

    # --- HTTPS -------------------------------------------------------------------------------

    def application(self) -> web.Application:
        """The same over HTTP, as slow as the temper says."""
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self.serve)
        return application

    async def serve(self, request: web.Request) -> web.Response:
        """Answer one HTTP request, as slowly as the temper says."""
        await asyncio.sleep(self.random.random() * self.temper.slowness)
        body = await request.read()
        reply = self.handle(
            request.method, f"{self.base}{request.path}", request.content_type, body
        )
        return web.Response(status=reply.status, headers=reply.headers, body=reply.body)
