"""The section of an MMSC: MM7 or mail, and addresses that are addresses."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.config.carriages import Mms

MM7 = {"url": "https://mmsc.example/mm7", "vasp_id": "edge", "vas_id": "spin"}
MAIL = {
    "host": "mmsc.example",
    "sender": "+{number}/TYPE=PLMN@edge.example",
    "recipient": "+{number}/TYPE=PLMN@mms.example",
}


@pytest.mark.parametrize(
    "section",
    [
        MM7,
        {"mail": MAIL},
        {"mail": {**MAIL, "sender": "spin@edge.example"}},
        {"mail": {**MAIL, "recipient": "{number}@mms.example"}},
        {"mail": {**MAIL, "host": "127.0.0.1", "tls": "none"}},
    ],
)
def test_an_mmsc_is_reached_one_way(section: dict[str, Any]) -> None:
    assert Mms.model_validate(section)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({}, "one of them"),
        ({**MM7, "mail": MAIL}, "one of them"),
        ({**MM7, "vas_id": ""}, "vasp_id and vas_id"),
        ({**MM7, "url": "http://mmsc.example"}, "https"),
        ({"mail": {**MAIL, "tls": "none"}}, "this machine"),
        ({"mail": {**MAIL, "user": "edge"}}, "go together"),
        ({"mail": {**MAIL, "recipient": "all@mms.example"}}, "one mailbox"),
    ],
)
def test_what_does_not_fit_is_named(section: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Mms.model_validate(section)


@pytest.mark.parametrize("key", ["sender", "recipient"])
@pytest.mark.parametrize(
    "template",
    [
        "",
        "{number}",
        "@mms.example",
        "{number}@",
        "a@b@{number}",
        "{number}@{number}.example",
        "{number}{number}@mms.example",
        "{to}@mms.example",
        "{number}>@mms.example",
        "{number} @mms.example",
        "{number}@mms.example\r\nRCPT TO:<eve@x.example>",
        "{number}.@mms.example",
        "x" * 50 + "{number}@mms.example",
        "{number}@mms.example>",
        "été{number}@mms.example",
    ],
)
def test_a_template_that_makes_no_address_is_refused(key: str, template: str) -> None:
    with pytest.raises(ValidationError, match="no mail address"):
        Mms.model_validate({"mail": {**MAIL, key: template}})
