"""Accounts: found, made, changed, closed; and certificates revoked."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from stir.acme.account import (
    Registration,
    change_key,
    deactivate_account,
    find_account,
    open_account,
    revoke,
    update_contact,
)
from stir.acme.account_key import AccountKey
from stir.acme.problem import AcmeError, Fault, Refused
from stir.certificates.certificate import load_certificates
from stir.certificates.issuing import new_key
from tests.support.acme_driver import AGREED, VirtualWorld
from tests.support.acme_resources import Temper


def test_an_account_is_made_once_and_found_afterwards() -> None:
    world = VirtualWorld()
    first = world.run(open_account(world.session(), AGREED))
    again = world.run(open_account(world.session(), AGREED))
    assert (first.created, again.created) == (True, False)
    assert first.url == again.url == world.run(find_account(world.session())).url
    account = world.authority.accounts[first.url]
    assert account.contact == ["mailto:certs@alpha.example"]


def test_no_account_is_made_by_looking_for_one() -> None:
    world = VirtualWorld()
    with pytest.raises(Refused, match="accountDoesNotExist"):
        world.run(find_account(world.session()))
    assert not world.authority.accounts


def test_terms_are_agreed_to_by_the_operator_and_nobody_else() -> None:
    world = VirtualWorld()
    with pytest.raises(AcmeError, match="sti-ca") as refused:
        world.run(open_account(world.session(), Registration()))
    assert refused.value.fault is Fault.CONFIGURATION
    assert "agree_terms_of_service" in refused.value.advice
    world = VirtualWorld(Temper(bad_nonce=0, terms=None))
    assert world.run(open_account(world.session(), Registration())).created


def test_an_external_account_is_bound_where_the_server_wants_it() -> None:
    temper = Temper(bad_nonce=0.0, external_keys={"customer-7": b"secret"})
    world = VirtualWorld(temper)
    with pytest.raises(AcmeError, match="external account") as missing:
        world.run(open_account(world.session(), AGREED))
    assert missing.value.fault is Fault.CONFIGURATION
    for key, good in ((b"wrong", False), (b"secret", True)):
        bound = Registration((), True, ("customer-7", key))
        assert "secret" not in repr(bound)
        if good:
            assert world.run(open_account(world.session(), bound)).created
        else:
            with pytest.raises(Refused, match="binding is wrong"):
                world.run(open_account(world.session(), bound))


def test_contacts_are_replaced_and_bad_ones_refused() -> None:
    world = VirtualWorld()
    session = world.session()
    account = world.run(open_account(session, AGREED))
    world.run(update_contact(session, ["mailto:noc@alpha.example"]))
    assert world.authority.accounts[account.url].contact == ["mailto:noc@alpha.example"]
    other = VirtualWorld()
    with pytest.raises(Refused, match="unsupportedContact") as refused:
        other.run(open_account(other.session(), Registration(("tel:+14155550100",), True)))
    assert refused.value.fault is Fault.CONFIGURATION


def test_a_changed_key_signs_from_then_on_and_the_old_one_is_unknown() -> None:
    world = VirtualWorld()
    session = world.session()
    url = world.run(open_account(session, AGREED)).url
    new = AccountKey(new_key())
    world.run(change_key(session, new))
    assert session.key is new
    world.run(update_contact(session, []))
    with pytest.raises(Refused, match="accountDoesNotExist"):
        world.run(find_account(world.session()))
    world.account_key = new
    assert world.run(find_account(world.session())).url == url


def test_a_closed_account_is_told_so() -> None:
    world = VirtualWorld()
    session = world.session()
    world.run(open_account(session, AGREED))
    world.run(deactivate_account(session))
    with pytest.raises(AcmeError, match="deactivated") as closed:
        world.run(open_account(world.session(), AGREED))
    assert "account key" in closed.value.advice


def test_a_certificate_is_revoked_once() -> None:
    world = VirtualWorld()
    leaf = load_certificates(world.obtain())[0]
    session = world.session()
    world.run(open_account(session, AGREED))
    world.run(revoke(session, leaf.public_bytes(Encoding.DER), 4))
    assert world.authority.revoked == [(leaf.serial_number, 4)]
    with pytest.raises(Refused, match="alreadyRevoked"):
        world.run(revoke(session, leaf.public_bytes(Encoding.DER)))
