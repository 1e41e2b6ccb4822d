import pytest

from sip.transaction.key import ClientKey, ServerKey, client_key, key_of_invite, server_key
from tests.support.sip_messages import flow, request, response


def test_a_request_is_known_by_branch_sent_by_and_method() -> None:
    key = server_key(request(branch="z9hG4bKab"), flow())
    assert key == ServerKey("z9hG4bKab", ("alpha.example", 5060), "INVITE")


def test_an_ack_finds_the_transaction_of_its_invite() -> None:
    assert server_key(request("ACK", to_tag="b1"), flow()) == server_key(request(), flow())


def test_a_cancel_has_a_transaction_of_its_own_and_leads_to_the_invite() -> None:
    key = server_key(request("CANCEL"), flow())
    assert key.method == "CANCEL"
    assert key_of_invite(key) == server_key(request(), flow())


def test_the_same_branch_from_another_sent_by_is_another_transaction() -> None:
    ours = server_key(request(), flow())
    assert server_key(request(sent_by="gamma.example"), flow()) != ours
    assert server_key(request(sent_by="alpha.example:5062"), flow()) != ours


def test_sent_by_is_compared_without_regard_to_case_and_with_its_default_port() -> None:
    ours = server_key(request(), flow())
    assert server_key(request(sent_by="ALPHA.example:5060"), flow()) == ours
    assert server_key(request(), flow("tls")).sent_by == ("alpha.example", 5061)


def test_the_magic_cookie_is_recognised_in_any_case() -> None:
    key = server_key(request(branch="Z9HG4BKabc"), flow())
    assert key.branch == "Z9HG4BKabc"


@pytest.mark.parametrize("branch", [None, "1", "z9hG4bK", "z9hG4b"])
def test_without_a_transaction_identifier_rfc_2543_fields_decide(branch: str | None) -> None:
    first = server_key(request(branch=branch), flow())
    assert server_key(request(branch=branch), flow()) == first
    assert server_key(request("ACK", branch=branch, to_tag="b1"), flow()) == first
    assert server_key(request(branch=branch, cseq=2), flow()) != first
    assert server_key(request(branch=branch, from_tag="a2"), flow()) != first
    assert server_key(request(branch=branch, call_id="other"), flow()) != first
    assert server_key(request(branch=branch, uri="sip:x@beta.example"), flow()) != first


def test_a_cancel_of_an_rfc_2543_client_leads_to_its_invite() -> None:
    cancel = server_key(request("CANCEL", branch=None), flow())
    assert key_of_invite(cancel) == server_key(request(branch=None), flow())


def test_the_to_tag_tells_other_rfc_2543_requests_apart() -> None:
    one = server_key(request("BYE", branch=None, to_tag="b1"), flow())
    assert server_key(request("BYE", branch=None, to_tag="b2"), flow()) != one


def test_a_response_is_known_by_our_branch_and_the_method_of_its_cseq() -> None:
    key = client_key(response(request("CANCEL", branch="z9hG4bKab"), 200))
    assert key == ClientKey("z9hG4bKab", "CANCEL")
