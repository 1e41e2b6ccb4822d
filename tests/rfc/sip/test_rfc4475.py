"""RFC 4475: what a proxy does with each of the 49 torture messages.

Each row puts the message's one difficulty into a request of our own, and has the RFC's name for
it. The exact bytes of some are judged in test_vectors.
"""

import pytest

from sip.flow import Transport
from sip.message import Request
from sip.parser import parse_datagram
from sip.stream import StreamFramer
from sip.validate import assess_bytes
from tests.support.sip_bytes import request_bytes as request
from tests.support.sip_bytes import response_bytes as response

FORWARD = ("forward", None)
DROP = ("drop", None)
BAD = ("answer", 400)

_SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
_LONG = "extreme" * 30
_ODD_METHOD = "!interesting-Method0123456789_*+`.%indeed'~"
_ODD_URI = (
    "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"
    ":&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com"
)

VALID: dict[str, bytes] = {
    "3.1.1.1 wsinv": request(
        "INVITE",
        "sip:vivekg@chair-dnrc.example.com;unknownparam",
        ("s ", ""),
        ("NewFangledHeader", "  newfangled value\r\n continued newfangled value"),
        ("UnknownHeaderWithUnusualValue", ";;,,;;,;"),
        ("Route", "\r\n <sip:services.example.com;lr;unknownwith=value;unknown-no-value>"),
        ("v", "  SIP  / 2.0  / TCP   a.example.com  ;\r\n  branch  =  z9hG4bK9ikj8  ,\r\n SIP  /"
              "    2.0   / UDP  192.168.255.111   ; branch=\r\n z9hG4bK30239"),
        ("m", '"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam ='
              "\r\n newvalue ; q = 0.33"),
        change={
            "To": None,
            "TO ": "\r\n sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n",
            "From": None,
            "from   ": '"J Rosenberg \\\\\\""     <sip:jdrosen@example.com>'
                       "\r\n  ;\r\n  tag = 98asjd8",
            "Max-Forwards": None,
            "MaX-fOrWaRdS": "0068",
            "CSeq": "0009\r\n  INVITE",
            "Via": "SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw",
        },
        body=_SDP,
    ),
    "3.1.1.2 intmeth": request(
        _ODD_METHOD,
        _ODD_URI,
        ("extensionHeader-!.%*+_`'~", "\ufeff\u5927\u505c\u96fb"),
        change={
            "Via": "SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~",
            "To": '"BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f" '
                  "<sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com>",
            "From": "token1~` token2'+_ token3*%!.- <sip:mundane@example.com>"
                    ";fromParam''~+*_!.-%=\"\u0440\u0430\u0431\u043e\u0442\u0430\";tag=_token~1'+`*%!-.",
            "Call-ID": "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{",
            "CSeq": f"139122385 {_ODD_METHOD}",
            "Max-Forwards": "255",
        },
    ),
    "3.1.1.3 esc01": request(
        "INVITE",
        "sip:sips%3Auser%40example.com@example.net",
        ("Contact", "<sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31>"),
        change={"To": "sip:%75se%72@example.com",
                "From": "<sip:I%20have%20spaces@example.net>;tag=938"},
    ),
    "3.1.1.4 escnull": request(
        "REGISTER",
        "sip:example.com",
        ("Contact", "<sip:%00@host5.example.com>"),
        ("Contact", "<sip:%00%00@host5.example.com>"),
        change={"To": "sip:null-%00-null@example.com",
                "From": "sip:null-%00-null@example.com;tag=839923423"},
    ),
    "3.1.1.5 esc02": request(
        "RE%47IST%45R",
        "sip:registrar.example.com",
        ("Contact", "<sip:alias1@host1.example.com>"),
        ("Contact", "<sip:alias3@host3.example.com>"),
        change={"To": '"%Z%45" <sip:resource@example.com>',
                "From": '"%Z%45" <sip:resource@example.com>;tag=f232jadfj23'},
    ),
    "3.1.1.6 lwsdisp": request(change={"From": "caller<sip:caller@example.com>;tag=323"}),
    "3.1.1.7 longreq": request(
        "INVITE",
        "sip:user@example.com",
        (f"Unknown-{_LONG}-Name", f"unknown-{_LONG}-value; unknown-{_LONG}-parameter-name ="
                                  f" unknown-{_LONG}-value"),
        *[("v", f"SIP/2.0/TCP sip{n}.example.com") for n in range(33, 0, -1)],
        ("Contact", f"<sip:{_LONG}@host5.example.net>"),
        change={
            "To": f'"I have a user name of {_LONG} proportion"<sip:user@example.com:6000'
                  f";unknownparam1=very{_LONG}value;longparam{_LONG}name=shortvalue"
                  f";very{_LONG}ParameterNameWithNoValue>",
            "From": f"sip:{_LONG}@example.net;tag=12{'982' * 50}424;unknown{_LONG}Name="
                    f"unknown{_LONG}Value;{_LONG}Valueless",
            "Call-ID": f"longreq.one{'really' * 40}longcallid",
        },
        body=_SDP,
    ),
    "3.1.1.8 dblreq": request("REGISTER") + request("INVITE"),
    "3.1.1.9 semiuri": request(uri="sip:user;par=u%40example.net@example.com"),
    "3.1.1.10 transports": request(
        *("OPTIONS", "sip:user@example.com"),
        *[("Via", f"SIP/2.0/{name} t.example.com;branch=z9hG4bK{name}")
          for name in ("SCTP", "TLS", "UNKNOWN", "TCP")],
    ),
    "3.1.1.11 mpart01": request(
        "MESSAGE",
        "sip:kumiko@example.org",
        ("Content-Type", "multipart/mixed;boundary=7a9cbec02ceef655"),
        body=b"--7a9cbec02ceef655\r\nContent-Type: text/plain\r\n\r\nHello\r\n"
             b"--7a9cbec02ceef655\r\n\r\n\x00\x08\xff\r\n--7a9cbec02ceef655--",
    ),
    "3.1.1.12 unreason": response("200 = 2**3 * 5**2 \u043d\u043e \u0441\u0442\u043e"),
    "3.1.1.13 noreason": response("100 "),
    "3.3.4 unksm2": request(
        "REGISTER",
        "sip:example.com",
        ("Contact", "<name:John_Smith>"),
        change={"To": "isbn:2983792873", "From": "<http://www.example.com>;tag=3234233"},
    ),
    "3.3.6 invut": request(
        "INVITE", "sip:user@example.com",
        ("Content-Type", "application/unknownformat"), body=b"<x/>",
    ),
    "3.3.7 regaut01": request(
        "REGISTER", "sip:example.com", ("Authorization", 'NoOneKnowsThisScheme opaque-data="here"')
    ),
    "3.3.12 cparam01": request(
        "REGISTER", "sip:example.com", ("Contact", "sip:+19725550122@gw1.example.net;unknownparam")
    ),
    "3.3.13 cparam02": request(
        "REGISTER", "sip:example.com",
        ("Contact", "<sip:+19725550122@gw1.example.net;unknownparam>"),
    ),
    "3.3.14 regescrt": request(
        "REGISTER",
        "sip:example.com",
        ("Contact", "<sip:user@example.com?Route=%3Csip:sip.example.com%3E>"),
    ),
    "3.3.15 sdp01": request(
        "INVITE", "sip:user@example.com", ("Accept", "text/nobodyKnowsThis"), body=_SDP
    ),
    "3.4.1 inv2543": request(
        "INVITE",
        "sip:UserB@example.com",
        change={"Via": "SIP/2.0/UDP iftgw.example.com", "Max-Forwards": None,
                "From": "<sip:+13035550111@ift.client.example.net;user=phone>",
                "To": "<sip:+16505550122@ss1.example.net;user=phone>",
                "Content-Length": None},
        body=_SDP,
    ),
}  # fmt: skip

# Requests refused, with the status, and responses dropped.
REFUSED: dict[str, tuple[bytes, tuple[str, int | None]]] = {
    "3.1.2.1 badinv01": (request(change={"Via": "SIP/2.0/UDP 192.0.2.15;;,;,,"}), BAD),
    "3.1.2.2 clerr": (request(change={"Content-Length": "9999"}), BAD),
    "3.1.2.3 ncl": (request(change={"Content-Length": "-999"}), BAD),
    "3.1.2.4 scalar02": (
        request(
            "REGISTER",
            "sip:example.com",
            ("Expires", "1" + "0" * 38),
            change={"CSeq": "36893488147419103232 REGISTER", "Max-Forwards": "300"},
        ),
        BAD,
    ),
    "3.1.2.5 scalarlg": (
        response(
            "503 Service Unavailable",
            ("Retry-After", "949302838503028349304023988"),
            ("Warning", '1812 overture "In Progress"'),
            change={"CSeq": "9292394834772304023312 OPTIONS"},
        ),
        DROP,
    ),
    "3.1.2.6 quotbal": (request(change={"To": '"Mr. J. User <sip:j.user@example.com>'}), BAD),
    "3.1.2.7 ltgtruri": (request("INVITE", "<sip:user@example.com>"), BAD),
    "3.1.2.8 lwsruri": (request("INVITE", "sip:user@example.com; lr"), BAD),
    "3.1.2.9 lwsstart": (
        request("INVITE", start_line="INVITE  sip:user@example.com  SIP/2.0"),
        BAD,
    ),
    "3.1.2.10 trws": (request(start_line="OPTIONS sip:remote-target@example.com SIP/2.0  "), BAD),
    "3.1.2.11 escruri": (
        request("INVITE", "sip:user@example.com?Route=%3Csip:example.com%3E"),
        BAD,
    ),
    "3.1.2.13 regbadct": (
        request(
            "REGISTER",
            "sip:example.com",
            ("Contact", "sip:user@example.com?Route=%3Csip:sip.example.com%3E"),
        ),
        BAD,
    ),
    "3.1.2.14 badaspec": (
        request(change={"To": '"Watson, Thomas" < sip:t.watson@example.org >'}),
        BAD,
    ),
    "3.1.2.15 baddn": (
        request(change={"From": "Bell, Alexander <sip:a.g.bell@example.com>;tag=43"}),
        BAD,
    ),
    "3.1.2.16 badvers": (
        request(start_line="OPTIONS sip:t.watson@example.org SIP/7.0"),
        ("answer", 505),
    ),
    "3.1.2.17 mismatch01": (request(change={"CSeq": "8 INVITE"}), BAD),
    "3.1.2.18 mismatch02": (request("NEWMETHOD", change={"CSeq": "8 INVITE"}), BAD),
    "3.1.2.19 bigcode": (response("4294967301 better not break the receiver"), DROP),
    "3.2.1 badbranch": (request(change={"Via": "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK"}), BAD),
    "3.3.1 insuf": (request(change={"Call-ID": None, "From": None, "To": None}), BAD),
    "3.3.2 unkscm": (
        request(uri="nobodyKnowsThisScheme:totallyopaquecontent"),
        ("answer", 416),
    ),
    "3.3.3 novelsc": (request(uri="soap.beep://192.0.2.103:3002"), ("answer", 416)),
    "3.3.5 bext01": (
        request(
            "OPTIONS",
            "sip:user@example.com",
            ("Require", "nothingSupportsThis, nothingSupportsThisEither"),
            ("Proxy-Require", "noProxiesSupportThis, norDoAnyProxiesSupportThis"),
        ),
        ("answer", 420),
    ),
    "3.3.8 multi01": (
        request(
            "INVITE",
            "sip:user@company.com",
            ("CSeq", "59 INVITE"),
            ("Call-ID", "multi01.98asdh@192.0.2.2"),
            ("From", "sip:caller@example.com;tag=3413415"),
            ("To", "sip:user@example.com"),
            ("Max-Forwards", "5"),
        ),
        BAD,
    ),
    "3.3.9 mcl01": (request("OPTIONS", "sip:user@example.com", ("Content-Length", "5")), BAD),
    "3.3.10 bcast": (
        response("200 OK", ("Via", "SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1saber23")),
        DROP,
    ),
    "3.3.11 zeromf": (request(change={"Max-Forwards": "0"}), ("answer", 483)),
}

# 3.1.2.12 baddate: "an element wishing to be liberal in what it accepts could ignore this value
# altogether if it wasn't going to use the Date header field anyway": a proxy forwards it.
VALID["3.1.2.12 baddate"] = request(
    "INVITE", "sip:user@example.com", ("Date", "Fri, 01 Jan 2010 16:00:00 EST")
)


def test_the_tables_hold_all_49_messages() -> None:
    assert len(VALID) + len(REFUSED) == 49


@pytest.mark.parametrize("name", VALID)
def test_well_formed_messages_are_forwarded_unchanged_in_meaning(name: str) -> None:
    data = VALID[name]
    assert assess_bytes(data, "udp")[1].outcome == "forward"
    message = parse_datagram(data)
    again = parse_datagram(message.to_bytes())
    assert again.headers == message.headers.replace("Content-Length", str(len(message.body)))
    assert again.body == message.body


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_the_others_get_what_a_proxy_owes_them(name: str, transport: Transport) -> None:
    data, expected = REFUSED[name]
    _, assessment = assess_bytes(data, transport)
    assert (assessment.outcome, assessment.status) == expected, assessment


def test_unsupported_lists_the_proxy_require_tags_only() -> None:
    _, assessment = assess_bytes(REFUSED["3.3.5 bext01"][0], "udp")
    assert assessment.headers == (
        ("Unsupported", "noProxiesSupportThis, norDoAnyProxiesSupportThis"),
    )


def test_a_second_request_in_a_datagram_is_not_read_but_on_a_stream_is() -> None:
    both = VALID["3.1.1.8 dblreq"]
    first = parse_datagram(both)
    assert isinstance(first, Request)
    assert (first.method, first.body) == ("REGISTER", b"")
    methods = [m.method for m in StreamFramer().feed(both) if isinstance(m, Request)]
    assert methods == ["REGISTER", "INVITE"]


def test_wsinv_decodes_to_what_the_rfc_says() -> None:
    message = parse_datagram(VALID["3.1.1.1 wsinv"])
    assert message.to.tag == "1918181833n"
    assert message.from_.display_name == 'J Rosenberg \\"'
    assert message.max_forwards == 68
    assert str(message.cseq) == "9 INVITE"
    assert [str(via.sent_by) for via in message.vias] == [
        "192.0.2.2", "a.example.com", "192.168.255.111",
    ]  # fmt: skip
    assert message.contacts[0].params.text("q") == "0.33"
    assert message.headers.get("Subject") == ""
    assert message.headers.get("NewFangledHeader") == (
        "newfangled value continued newfangled value"
    )


def test_intmeth_decodes_quoted_pairs_and_tokens() -> None:
    message = parse_datagram(VALID["3.1.1.2 intmeth"])
    assert message.to.display_name == "BEL:\x07 NUL:\x00 DEL:\x7f"
    assert message.from_.display_name == "token1~` token2'+_ token3*%!.-"
    assert message.from_.tag == "_token~1'+`*%!-."
    assert (
        message.from_.params.text("fromparam''~+*_!.-%") == "\u0440\u0430\u0431\u043e\u0442\u0430"
    )
