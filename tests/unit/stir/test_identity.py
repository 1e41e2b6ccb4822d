"""The Identity header field's grammar, and the compact form."""

from dataclasses import replace

import pytest

from stir.authentication import SigningRequest
from stir.identity import MalformedIdentity, parse_identity
from stir.reason import Reason, reason_header_value
from tests.support.stir_authority import DEST, FACTS, FINGERPRINT, NOW, ORIG, StirWorld

URL = "https://a.example/c.pem"


@pytest.mark.parametrize(
    "value",
    [
        f"abc.def.ghi;info=<{URL}>;alg=ES256;ppt=shaken",
        f'abc.def.ghi;info=<{URL}>;alg=ES256;ppt="shaken"',
        f"abc.def.ghi ; info = <{URL}> ; ppt = shaken ; alg = ES256 ",
        f"abc.def.ghi;ppt=shaken;INFO=<{URL}>;ALG=ES256",
    ],
)
def test_spellings_of_one_identity(value: str) -> None:
    identity = parse_identity(value)
    assert (identity.token, identity.info) == ("abc.def.ghi", URL)
    assert (identity.alg, identity.ppt) == ("ES256", "shaken")
    assert str(identity) == f"abc.def.ghi;info=<{URL}>;alg=ES256;ppt=shaken"


def test_parameters_are_optional_but_info() -> None:
    identity = parse_identity(f"abc.def.ghi;info=<{URL};x>;other;more=1")
    assert identity.info == f"{URL};x"
    assert (identity.alg, identity.ppt) == (None, None)
    assert dict(identity.params) == {"other": None, "more": "1"}


@pytest.mark.parametrize(
    "value",
    [
        "",
        "abc",
        f";info=<{URL}>",
        "abc;info=bar",
        'abc;info="https://a.example/"',
        f"abc;info=<{URL}>alg=ES256",
        f"abc;info=<{URL}",
        f"abc;info=<{URL}>;info=<{URL}>",
        f"abc;info=<{URL}>;ppt",
        f"abc;info=<{URL}>;;alg=ES256",
        f"abc;info=<{URL}>,abc;info=<{URL}>",
        f'abc;info=<{URL}>;ppt="shaken',
        "abc;info=<relative>",
        f"a b;info=<{URL}>",
        f"abc;info=<{URL}>\r\nX: y",
        "abc;info=<" + "x" * 17_000,
    ],
)
def test_malformed(value: str) -> None:
    with pytest.raises(MalformedIdentity):
        parse_identity(value)


def test_the_compact_form_is_rebuilt_from_the_request(world: StirWorld) -> None:
    facts = replace(FACTS, date=int(NOW), fingerprints=(FINGERPRINT,))
    full = world.signer.sign(SigningRequest(ORIG, (DEST,), int(NOW), fingerprints=(FINGERPRINT,)))
    token, rest = full.split(";", 1)
    compact = f"..{token.rpartition('.')[2]};{rest}"
    assert world.verify(compact, facts=facts).outcome == "valid"
    for changed, reason in (
        (replace(facts, date=int(NOW) - 1), Reason.SIGNATURE_INVALID),
        (replace(facts, fingerprints=()), Reason.SIGNATURE_INVALID),
        (replace(facts, orig_candidates=("+14155550101",)), Reason.SIGNATURE_INVALID),
        (replace(facts, date=None), Reason.COMPACT_FORM_UNUSABLE),
        (replace(facts, dest_candidates=None), Reason.COMPACT_FORM_UNUSABLE),
        (replace(facts, dest_candidates=("urn:service:sos",)), Reason.COMPACT_FORM_UNUSABLE),
    ):
        assert world.verify(compact, facts=changed).reason is reason


def test_shaken_has_no_compact_form(world: StirWorld) -> None:
    token, rest = world.identity().split(";", 1)
    compact = f"..{token.rpartition('.')[2]};{rest}"
    call = world.verify(compact, facts=replace(FACTS, date=int(NOW)))
    assert call.reason is Reason.COMPACT_FORM_UNUSABLE


def test_the_reason_header_names_the_passport_in_compact_form() -> None:
    value = reason_header_value(Reason.CREDENTIAL_UNAVAILABLE, token="aaa.bbb.ccc-_1")
    assert value == 'STIR;cause=436;text="Bad Identity Info";ppi="..ccc-_1"'
    hostile = reason_header_value(Reason.SIGNATURE_INVALID, token='a.b.c";x="\r\n')
    assert hostile == 'STIR;cause=438;text="Invalid Identity Header"'


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_complete(reason: Reason) -> None:
    assert reason.sip_status in (400, 403, 428, 436, 437, 438)
    assert reason.phrase
    for text in (reason.prose, reason.mistake, reason.fix):
        assert text.endswith(".")
    assert reason.clause
