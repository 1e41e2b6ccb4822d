"""Templates of HTTP SMS providers: no value becomes syntax, whatever it holds."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sms.template import RequestTemplate

URL = "https://sms.example/{to}/messages?text={text}"
HOSTILE = ['"}, "to": "x', "a&b=c", "../../admin", "\r\nX: y", "{secret}", "é€😀", "%0a", "\\u0000"]


@pytest.mark.parametrize("text", HOSTILE)
def test_json_keeps_its_shape(text: str) -> None:
    template = RequestTemplate(
        "POST", URL, {}, json_body={"to": "+{to}", "list": [{"body": "<{text}>"}, 7, None]}
    )
    filled = template.fill({"to": "12125550123", "text": text, "secret": "s3cret"})
    assert filled.body is not None
    document = json.loads(filled.body)
    assert document == {"to": "+12125550123", "list": [{"body": f"<{text}>"}, 7, None]}
    assert filled.headers["Content-Type"] == "application/json"


@given(st.text(max_size=50))
def test_forms_and_urls_give_back_what_went_in(text: str) -> None:
    text = text.encode("utf-8", "ignore").decode()
    filled = RequestTemplate("POST", URL, {}, form={"Body": "{text}", "x": "1"}).fill(
        {"to": "1/2?3", "text": text}
    )
    assert filled.body is not None
    fields = parse_qs(filled.body.decode(), keep_blank_values=True)
    assert fields == {"Body": [text], "x": ["1"]}
    parts = urlsplit(filled.url)
    assert (parts.netloc, parts.path) == ("sms.example", "/1%2F2%3F3/messages")
    assert parse_qs(parts.query, keep_blank_values=True)["text"] == [text]


@pytest.mark.parametrize("secret", ["a\r\nX: y", "a\0", "é"])
def test_a_header_is_never_split(secret: str) -> None:
    template = RequestTemplate("GET", URL, {"Authorization": "Bearer {secret}"})
    with pytest.raises(ValueError, match="header field"):
        template.fill({"secret": secret})
    good = template.fill({"secret": "s3cret", "to": "1", "text": "t"})
    assert good.headers == {"Authorization": "Bearer s3cret"}
    assert "s3cret" not in repr(good)


def test_a_value_is_put_in_once_and_not_looked_at_again() -> None:
    filled = RequestTemplate("POST", URL, {}, json_body={"a": "{text}"}).fill(
        {"text": "{secret}", "secret": "s3cret", "to": ""}
    )
    assert filled.body == b'{"a":"{secret}"}'


def test_a_template_says_whether_it_carries_data() -> None:
    assert RequestTemplate("POST", URL, {}, json_body={"d": ["{udh}{data}"]}).carries_binary
    assert RequestTemplate("POST", URL, {}, form={"d": "{data}"}).carries_binary
    assert not RequestTemplate("POST", URL, {}, json_body={"d": "{text}"}).carries_binary
