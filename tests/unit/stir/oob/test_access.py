"""Who may publish and retrieve: every token that should not open the door, with its one reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from stir.certificates.certificate import Credential
from stir.certificates.chain import PathBuilder
from stir.certificates.issuing import make_intermediate, make_root
from stir.certificates.problem import Problem
from stir.certificates.revocation import RevocationRecords, RevocationStatus
from stir.certificates.tn_auth_list import Range, Spc, TnAuthList
from stir.oob.access import (
    AccessReason,
    AccessRefused,
    Asked,
    access_claims,
    check_credential,
    check_reach,
    read_access_token,
)
from stir.oob.tokens import digest_of
from stir.reason import Reason
from tests.support.stir_authority import DEST, HEADER, NOW, ORIG, URL, StirWorld, raw_token

CPS = "cps.example"
DIGEST = digest_of(("a.b.c",))
PUBLISH = Asked("publish", DEST, ORIG, DIGEST)
RETRIEVE = Asked("retrieve", DEST, ORIG)


@pytest.fixture(scope="module")
def world() -> StirWorld:
    return StirWorld()


def made(world: StirWorld, asked: Asked = PUBLISH, header: Any = None, **changes: Any) -> str:
    claims = access_claims(asked, issuer=ORIG, audience=CPS, jti="1", now=NOW) | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    if header is None:
        return world.signer.sign_jwt(claims)
    return raw_token(world.key, json.dumps(header).encode(), json.dumps(claims).encode())


def read(text: str, asked: Asked = PUBLISH, now: float = NOW) -> Any:
    return read_access_token(text, asked, audiences=frozenset({CPS}), now=now, freshness=60)


def reason(action: Callable[[], object]) -> AccessReason:
    with pytest.raises(AccessRefused) as refused:
        action()
    return refused.value.reason


def test_a_good_token_is_read_and_its_certificate_believed(world: StirWorld) -> None:
    token = read(made(world))
    granted = check_credential(
        token, world.credential, PathBuilder(world.root.certificates).find, NOW
    )
    assert (token.x5u, token.issuer, token.jti) == (URL, ORIG, "1")
    assert [each.covers(ORIG) for each in granted] == [True]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"iat": int(NOW) - 61}, AccessReason.STALE),
        ({"iat": int(NOW) + 61}, AccessReason.STALE),
        ({"iat": None}, AccessReason.MALFORMED),
        ({"exp": int(NOW) - 61}, AccessReason.STALE),
        ({"exp": "never"}, AccessReason.STALE),
        ({"aud": "other.example"}, AccessReason.AUDIENCE),
        ({"aud": None}, AccessReason.AUDIENCE),
        ({"action": "retrieve"}, AccessReason.ACTION),
        ({"dest": {"tn": [ORIG]}}, AccessReason.NUMBERS),
        ({"dest": {"tn": [DEST, ORIG]}}, AccessReason.NUMBERS),
        ({"orig": {"tn": DEST}}, AccessReason.NUMBERS),
        ({"orig": None}, AccessReason.NUMBERS),
        ({"passports": digest_of(("x",))}, AccessReason.DIGEST),
        ({"passports": None}, AccessReason.DIGEST),
        ({"iss": None}, AccessReason.ISSUER),
        ({"sub": "somebody"}, AccessReason.ISSUER),
        ({"jti": 5}, AccessReason.MALFORMED),
        ({"jti": "x" * 200}, AccessReason.MALFORMED),
    ],
)
def test_a_wrong_claim_gives_its_one_reason(
    world: StirWorld, changes: dict[str, Any], expected: AccessReason
) -> None:
    assert reason(lambda: read(made(world, **changes))) is expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({"alg": "none", "x5u": URL}, AccessReason.ALGORITHM),
        ({"alg": "ES256", "x5u": URL, "crit": ["b64"]}, AccessReason.ALGORITHM),
        ({"alg": "ES256"}, AccessReason.MALFORMED),
        (HEADER, AccessReason.MALFORMED),  # a PASSporT is no permission
    ],
)
def test_a_wrong_header_gives_its_one_reason(
    world: StirWorld, header: dict[str, Any], expected: AccessReason
) -> None:
    assert reason(lambda: read(made(world, header=header))) is expected


@pytest.mark.parametrize("text", ["", "a.b", "é.é.é", "x" * 5000, "..c"])
def test_what_is_no_token_is_malformed(text: str) -> None:
    assert reason(lambda: read(text)) is AccessReason.MALFORMED


def test_a_permission_is_no_passport(world: StirWorld) -> None:
    verdict = world.verify(f"{made(world)};info=<{URL}>;alg=ES256;ppt=shaken")
    assert verdict.outcome == "invalid"


def checked(world: StirWorld, credential: Credential, now: float = NOW, **changes: Any) -> object:
    token = read(made(world, **changes))
    return check_credential(token, credential, PathBuilder(world.root.certificates).find, now)


def test_certificates_that_do_not_do(world: StirWorld) -> None:
    stranger = make_root("Another root", NOW)
    other = StirWorld()
    cases = {
        "expired": (world.leaf(not_after=NOW - 1), AccessReason.CREDENTIAL),
        "no list": (world.leaf(entries=None), AccessReason.CREDENTIAL),
        "no usage": (world.leaf(usage=False), AccessReason.CREDENTIAL),
        "untrusted": (world.leaf(issuer=stranger), AccessReason.UNTRUSTED),
        "another key": (world.leaf(key=other.key.public_key()), AccessReason.SIGNATURE),
        "another issuer": (world.leaf(entries=[Spc("1234")]), AccessReason.ISSUER),
    }
    for name, (credential, expected) in cases.items():
        assert reason(lambda it=credential: checked(world, it)) is expected, name  # type: ignore[misc]


def test_a_provider_code_may_be_the_issuer(world: StirWorld) -> None:
    assert checked(world, world.leaf(entries=[Spc("1234")]), iss="1234", sub="1234")


def test_only_whoever_serves_a_number_fetches_what_is_stored_for_it() -> None:
    numbers, code = TnAuthList((Range(DEST, 2),)), TnAuthList((Spc("1234"),))
    check_reach((numbers,), DEST, frozenset())
    check_reach((code,), DEST, frozenset({"1234"}))
    check_reach((code,), DEST, None)
    for granted, number, codes in (
        (numbers, ORIG, frozenset({"1234"})),
        (code, DEST, frozenset({"9999"})),
        (numbers, ORIG, None),
    ):
        found = reason(lambda g=granted, n=number, c=codes: check_reach((g,), n, c))  # type: ignore[misc]
        assert found is AccessReason.NOT_COVERED


def test_the_digest_is_that_of_the_canonical_list() -> None:
    # `printf '["a.b.c"]' | openssl dgst -sha256 -binary | base64`
    assert DIGEST == "sha256-FGkcbNOecDq+dTX316EvMNWLB7Sn5CEBVX0iagX5ndk="


def test_a_revoked_certificate_opens_nothing(world: StirWorld) -> None:
    class Revoking:
        """Knows of every certificate that it is revoked."""

        def status(self, *_: object) -> RevocationStatus:
            problem = Problem(Reason.CREDENTIAL_REVOKED, "revoked", "one that is not")
            return cast(RevocationStatus, SimpleNamespace(problem=problem))

    token = read(made(world))
    find = PathBuilder(world.root.certificates).find
    records = cast(RevocationRecords, Revoking())
    found = reason(lambda: check_credential(token, world.credential, find, NOW, records))
    assert found is AccessReason.REVOKED


def test_who_delegates_reaches_no_further_through_its_delegates(world: StirWorld) -> None:
    """Else a provider whose code is not believed fetches for any number, by a delegate."""
    code = TnAuthList((Spc("1234"),))
    delegating = make_intermediate(world.root, "Delegate", NOW, tn_auth_list=code)
    token = read(made(world))
    credential = world.leaf(issuer=delegating, entries=(Range(ORIG, 100),))
    find = PathBuilder(world.root.certificates).find
    granted = check_credential(token, credential, find, NOW)
    assert reason(lambda: check_reach(granted, ORIG, frozenset())) is AccessReason.NOT_COVERED
    check_reach(granted, ORIG, frozenset({"1234"}))
