from sip.loop_detection import branch_suffix, is_loop, may_be_loop
from sip.message import Request
from tests.support.sip_messages import request, with_via

KEY = b"loop-detection-key-of-the-tests!"


def forwarded(message: Request, key: bytes = KEY) -> Request:
    return with_via(message, "z9hG4bKabc" + branch_suffix(message, key))


def test_a_request_that_comes_back_as_it_left_is_a_loop() -> None:
    assert is_loop(with_via(forwarded(request()), "z9hG4bKother", "gamma.example"), KEY)


def test_a_request_seen_first_is_no_loop() -> None:
    assert not is_loop(request(), KEY)
    assert not is_loop(with_via(request(), "z9hG4bKabc~0011223344556677"), KEY)


def test_only_a_request_whose_vias_hold_a_token_can_be_a_loop() -> None:
    assert not may_be_loop(request())
    assert may_be_loop(forwarded(request()))


def test_a_request_that_comes_back_for_another_uri_is_a_spiral() -> None:
    assert not is_loop(forwarded(request()).with_uri("sip:other@beta.example"), KEY)


def test_a_request_that_comes_back_with_another_route_is_a_spiral() -> None:
    back = forwarded(request())
    changed = back.with_headers(back.headers.append("Route", "<sip:gamma.example;lr>"))
    assert not is_loop(changed, KEY)


def test_the_next_request_of_a_dialog_is_no_loop_of_the_one_before() -> None:
    first = forwarded(request(cseq=1))
    assert branch_suffix(request(cseq=2), KEY) not in (first.top_via.branch or "")


def test_nobody_without_the_key_can_make_or_recognise_a_token() -> None:
    assert not is_loop(forwarded(request(), b"key of somebody else altogether!"), KEY)


def test_a_loop_is_found_in_a_via_joined_with_others() -> None:
    back = forwarded(request())
    joined = ", ".join(back.headers.all("Via"))
    assert is_loop(back.with_headers(back.headers.replace("Via", joined)), KEY)


def test_text_that_moves_from_one_field_to_the_next_is_another_request() -> None:
    one = request(extra=(("Route", "<sip:a.example;lr>"), ("Proxy-Require", "x")))
    two = request(extra=(("Route", "<sip:a.example;lr>"), ("Route", "x")))
    assert branch_suffix(one, KEY) != branch_suffix(two, KEY)
