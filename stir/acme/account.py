"""Accounts at an ACME server (RFC 8555 section 7.3) and revocation (section 7.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from stir.acme.account_key import AccountKey
from stir.acme.actions import Procedure
from stir.acme.jws import external_account_binding, key_change
from stir.acme.problem import AcmeError, Fault, Refused
from stir.acme.resources import account_status, location
from stir.acme.session import Session
from stir.passport import encode_part


@dataclass(frozen=True, slots=True)
class Registration:
    """What a new account needs: contact URLs, consent, and what binds it to another account.

    external_account: the key identifier and MAC key the authority gave (section 7.3.4).
    """

    contact: Sequence[str] = ()
    agree_terms_of_service: bool = False
    external_account: tuple[str, bytes] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Account:
    """An account: its URL, its status, whether it was made just now."""

    url: str
    status: str
    created: bool


def open_account(session: Session, registration: Registration) -> Procedure[Account]:
    """Find the account of the session's key or make one; afterwards the session uses it.

    Raises AcmeError, with the configuration at fault where consent or binding is missing.
    """
    directory = yield from session.directory()
    try:
        return (yield from find_account(session))
    except Refused as error:
        if error.problem.kind != "accountDoesNotExist":
            raise
    if directory.terms_of_service is not None and not registration.agree_terms_of_service:
        raise AcmeError(
            f"the authority wants consent to {directory.terms_of_service[:200]!r}",
            fault=Fault.CONFIGURATION,
            advice="read it, then set stir.acme.agree_terms_of_service = true",
        )
    if directory.external_account_required and registration.external_account is None:
        raise AcmeError(
            "the authority opens accounts only for customers it knows (external account binding)",
            fault=Fault.CONFIGURATION,
            advice="set stir.acme.external_account from what the authority gave you",
        )
    payload: dict[str, object] = {}
    if registration.contact:
        payload["contact"] = list(registration.contact)
    if directory.terms_of_service is not None:
        payload["termsOfServiceAgreed"] = True
    if registration.external_account is not None:
        payload["externalAccountBinding"] = external_account_binding(
            session.key, directory.new_account, *registration.external_account
        )
    return (yield from _new_account(session, directory.new_account, payload))


def find_account(session: Session) -> Procedure[Account]:
    """Find the account of the session's key (section 7.3.1), making none.

    Raises Refused with accountDoesNotExist where there is none.
    """
    directory = yield from session.directory()
    return (yield from _new_account(session, directory.new_account, {"onlyReturnExisting": True}))


def _new_account(session: Session, url: str, payload: dict[str, object]) -> Procedure[Account]:
    answer = yield from session.post(url, payload, "the account", with_key=True)
    account = Account(
        location(answer, "the account"), account_status(answer), created=answer.status == 201
    )
    if account.status != "valid":
        raise AcmeError(
            f"the account is {account.status}",
            fault=Fault.CONFIGURATION,
            advice="make a new account: move the account key away and try again",
        )
    session.account_url = account.url
    return account


def update_contact(session: Session, contact: Sequence[str]) -> Procedure[None]:
    """Replace the account's contact URLs (section 7.3.2)."""
    url = _account_url(session)
    yield from session.post(url, {"contact": list(contact)}, "the new contact")


def deactivate_account(session: Session) -> Procedure[None]:
    """Close the account for ever (section 7.3.6)."""
    yield from session.post(
        _account_url(session), {"status": "deactivated"}, "the account's deactivation"
    )


def change_key(session: Session, new: AccountKey) -> Procedure[None]:
    """Replace the account's key (section 7.3.5); afterwards the session signs with the new one."""
    directory = yield from session.directory()
    if directory.key_change is None:
        raise _not_offered("change account keys")
    payload = key_change(session.key, new, directory.key_change, _account_url(session))
    yield from session.post(directory.key_change, payload, "the change of the account key")
    session.key = new


def revoke(session: Session, certificate_der: bytes, reason: int | None = None) -> Procedure[None]:
    """Revoke a certificate the account ordered; `reason` by RFC 5280 section 5.3.1."""
    directory = yield from session.directory()
    if directory.revoke_cert is None:
        raise _not_offered("revoke certificates")
    payload: dict[str, object] = {"certificate": encode_part(certificate_der)}
    if reason is not None:
        payload["reason"] = reason
    yield from session.post(directory.revoke_cert, payload, "the revocation")


def _account_url(session: Session) -> str:
    assert session.account_url is not None, "the account is opened first"
    return session.account_url


def _not_offered(what: str) -> AcmeError:
    return AcmeError(
        f"the server does not {what} over ACME",
        fault=Fault.AUTHORITY,
        advice="do it by the authority's own means",
    )
