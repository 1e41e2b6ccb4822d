"""MM7 documents: what is built, what is read, and what is refused."""

from __future__ import annotations

import pytest

from discovery.spin.mms import build_content, read_content
from gateway.mms.mm7 import (
    MM7,
    SOAP,
    MalformedMm7,
    SubmitRequest,
    build_delivery_answer,
    build_submit,
    read_delivery,
    read_submit_answer,
)

TOKEN = "aaa.bbb.ccc"
CONTENT = build_content("call back", TOKEN, "cc")
REQUEST = SubmitRequest("t1", "edge <&>", "spin", "14155550100", "12125550123", CONTENT)
DELIVERY = (
    f'<env:Envelope xmlns:env="{SOAP}"><env:Header><TransactionID xmlns="{MM7}">t9'
    f'</TransactionID></env:Header><env:Body><DeliverReq xmlns="{MM7}"><Sender><Number>'
    "+14155550100/TYPE=PLMN</Number></Sender><Recipients><To><Number>+12125550123</Number></To>"
    '</Recipients><Content href="cid:content"/></DeliverReq></env:Body></env:Envelope>'
)
KIND = 'multipart/related; boundary="bb"; type="text/xml"; start="<env>"'


def delivered(envelope: str = DELIVERY, content: bytes = CONTENT) -> bytes:
    return (
        b"--bb\r\nContent-Type: text/xml\r\n\r\n"
        + envelope.encode()
        + b"\r\n--bb\r\n"
        + content
        + b"\r\n--bb--\r\n"
    )


def test_a_submission_holds_who_to_whom_and_the_content() -> None:
    kind, body = build_submit(REQUEST, "ee")
    assert kind.startswith('multipart/related; boundary="ee"; type="text/xml"')
    assert b"<VASPID>edge &lt;&amp;&gt;</VASPID>" in body
    assert b"<To><Number>+12125550123</Number></To>" in body
    envelope = body.partition(b"\r\n\r\n")[2].partition(b"\r\n--ee")[0]
    assert envelope.startswith(b"<?xml")
    assert read_content(body.partition(b"Content-ID: <content>\r\n")[2]).token == TOKEN


@pytest.mark.parametrize(
    ("body", "code", "message_id"),
    [
        (
            "<a><Status><StatusCode>1000</StatusCode></Status><MessageID>m1</MessageID></a>",
            1000,
            "m1",
        ),
        (f'<SubmitRsp xmlns="{MM7}"><StatusCode> 2001 </StatusCode></SubmitRsp>', 2001, ""),
        ("<f><Fault><detail><StatusCode>4004</StatusCode></detail></Fault></f>", 4004, ""),
    ],
)
def test_an_answer_says_its_code_wherever_it_stands(body: str, code: int, message_id: str) -> None:
    answer = read_submit_answer("text/xml; charset=utf-8", body.encode())
    assert (answer.code, answer.message_id) == (code, message_id)


BOMB = '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>'


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/xml", b""),
        ("text/xml", b"<a>"),
        ("text/xml", b"\xff\xfe<\x00a\x00>\x00"),
        ("text/xml", BOMB.encode()),
        ("text/xml", BOMB.encode("utf-16")),
        ("text/xml", b"<a><StatusCode>ok</StatusCode></a>"),
        ("text/xml", b"<a><StatusCode/></a>"),
        ("text/xml", b"<a>" * 100_000),
        ("text/html", b"<html>"),
        ("multipart/related", b"--\r\n"),
        ('multipart/related; boundary="\xff"', b"x"),
        ("text/xml\r\nX: y", b"<a/>"),
        ("text/xml", b"x" * 400_001),
        ("", b""),
    ],
)
def test_what_is_no_answer_is_refused_with_one_error(kind: str, body: bytes) -> None:
    with pytest.raises(MalformedMm7):
        read_submit_answer(kind, body)


def test_a_delivery_says_from_whom_to_whom() -> None:
    delivery = read_delivery(KIND, delivered())
    assert (delivery.transaction, delivery.sender, delivery.recipient) == (
        "t9",
        "14155550100",
        "12125550123",
    )
    assert read_content(delivery.entity).token == TOKEN


@pytest.mark.parametrize(
    "envelope",
    [
        DELIVERY.replace("DeliverReq", "ReadReplyReq"),
        DELIVERY.replace("+14155550100/TYPE=PLMN", "alice@example.com"),
        DELIVERY.replace("<Recipients>", "<Nobody>").replace("</Recipients>", "</Nobody>"),
        BOMB,
        "",
    ],
)
def test_a_delivery_out_of_shape_is_refused(envelope: str) -> None:
    with pytest.raises(MalformedMm7):
        read_delivery(KIND, delivered(envelope))


def test_our_answer_escapes_what_the_other_side_wrote() -> None:
    answer = build_delivery_answer("</TransactionID>", 1000, "Success")
    assert b"&lt;/TransactionID&gt;" in answer
    assert read_submit_answer("text/xml", answer).code == 1000
