"""Digest authentication as a server and as a client."""

import asyncio
from dataclasses import dataclass, field

import pytest

from sip.digest import (
    Authenticated,
    Challenged,
    DigestAuthenticator,
    Refused,
    StoredCredential,
    authorize,
)
from sip.digest_fields import Algorithm, MalformedDigest, parse_digest
from sip.headers import Headers
from sip.message import Request

REALM = "alpha.example"
NOW = 1_800_000_000.0
URI = "sip:alpha.example"


@dataclass
class Users:
    """One user; remembers who was looked up."""

    asked: list[str] = field(default_factory=list)

    async def __call__(self, username: str, realm: str) -> StoredCredential | None:
        self.asked.append(username)
        if username == "alice":
            return StoredCredential.of_password("alice", realm, "s3cret-pass")
        return None


def server(
    *algorithms: Algorithm, max_nonces: int = 100, users: Users | None = None
) -> DigestAuthenticator:
    return DigestAuthenticator(
        REALM,
        users or Users(),
        nonce_key=b"k" * 32,
        algorithms=algorithms or ("MD5", "SHA-256"),
        max_nonces=max_nonces,
    )


def request(
    authorization: str | None = None, *, method: str = "REGISTER", uri: str = URI
) -> Request:
    pairs = [] if authorization is None else [("Authorization", authorization)]
    return Request(method, uri, Headers.of(*pairs))


def answered(
    authenticator: DigestAuthenticator,
    *,
    now: float = NOW,
    username: str = "alice",
    password: str = "s3cret-pass",
    count: int = 1,
    uri: str = URI,
    challenges: list[str] | None = None,
) -> str:
    offered = challenges or [v for _, v in authenticator.challenge(proxy=False, now=now)]
    value = authorize(
        offered,
        username=username,
        password=password,
        method="REGISTER",
        uri=uri,
        nonce_count=count,
    )
    assert value is not None
    return value


def check(
    authenticator: DigestAuthenticator, message: Request, now: float = NOW
) -> Authenticated | Challenged | Refused:
    return asyncio.run(authenticator.check(message, proxy=False, now=now))


def reason(result: Authenticated | Challenged | Refused) -> str:
    assert isinstance(result, Challenged)
    return result.reason


@pytest.mark.rfc("8760", "2.2")
def test_one_challenge_an_algorithm_the_most_secure_first() -> None:
    result = check(server("MD5", "SHA-512-256", "SHA-256"), request())
    assert isinstance(result, Challenged)
    assert [name for name, _ in result.headers] == ["WWW-Authenticate"] * 3
    shown = [value.partition("algorithm=")[2].partition(",")[0] for _, value in result.headers]
    assert shown == ["SHA-512-256", "SHA-256", "MD5"]
    assert all('qop="auth"' in value for _, value in result.headers)


def test_a_proxy_challenges_with_its_own_header() -> None:
    authenticator = server()
    assert {n for n, _ in authenticator.challenge(proxy=True, now=NOW)} == {"Proxy-Authenticate"}
    value = answered(authenticator)
    message = Request("REGISTER", URI, Headers.of(("Proxy-Authorization", value)))
    result = asyncio.run(authenticator.check(message, proxy=True, now=NOW))
    assert result == Authenticated("alice")


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", "SHA-512-256"])
def test_the_right_password_is_accepted_with_each_algorithm(algorithm: Algorithm) -> None:
    authenticator = server(algorithm)
    assert check(authenticator, request(answered(authenticator))) == Authenticated("alice")


def test_a_client_without_sha_256_may_use_md5_if_that_is_offered() -> None:
    authenticator = server()
    only_md5 = [v for _, v in authenticator.challenge(proxy=False, now=NOW) if "=MD5" in v]
    value = answered(authenticator, challenges=only_md5)
    assert check(authenticator, request(value)) == Authenticated("alice")
    assert reason(check(server("SHA-256"), request(value))) == "malformed"


def test_a_wrong_password_and_an_unknown_user_get_the_same_answer() -> None:
    users = Users()
    authenticator = server(users=users)
    wrong = check(authenticator, request(answered(authenticator, password="guess")))
    unknown = check(authenticator, request(answered(authenticator, username="nobody")))
    assert isinstance(wrong, Challenged)
    assert isinstance(unknown, Challenged)
    assert (wrong.reason, wrong.stale) == (unknown.reason, unknown.stale) == ("wrong", False)
    assert [len(v) for _, v in wrong.headers] == [len(v) for _, v in unknown.headers]
    assert users.asked == ["alice", "nobody"]


@pytest.mark.rfc("7616", "3.3")
def test_an_old_nonce_is_stale_for_who_knows_the_password_only() -> None:
    authenticator = server()
    old = answered(authenticator, now=NOW - 1000)
    result = check(authenticator, request(old))
    assert isinstance(result, Challenged)
    assert result.stale
    assert all("stale=true" in value for _, value in result.headers)
    guess = answered(authenticator, now=NOW - 1000, password="guess")
    assert reason(check(authenticator, request(guess))) == "wrong"


def test_a_nonce_of_somebody_else_is_never_accepted() -> None:
    authenticator = server()
    other = DigestAuthenticator(REALM, Users(), nonce_key=b"x" * 32)
    assert reason(check(authenticator, request(answered(other)))) == "stale"
    made_up = ['Digest realm="alpha.example", nonce="AAAA", algorithm=SHA-256, qop="auth"']
    value = answered(authenticator, challenges=made_up)
    assert reason(check(authenticator, request(value))) == "stale"


def test_a_nonce_of_somebody_else_tells_nobody_whether_the_password_is_right() -> None:
    other = DigestAuthenticator(REALM, Users(), nonce_key=b"x" * 32)
    assert reason(check(server(), request(answered(other, password="guess")))) == "stale"


def test_a_nonce_from_the_future_is_refused() -> None:
    authenticator = server()
    assert reason(check(authenticator, request(answered(authenticator, now=NOW + 60)))) == "stale"


def test_a_nonce_count_counts_once() -> None:
    authenticator = server()
    offered = [v for _, v in authenticator.challenge(proxy=False, now=NOW)]

    def with_count(count: int) -> Authenticated | Challenged | Refused:
        value = answered(authenticator, challenges=offered, count=count)
        return check(authenticator, request(value))

    assert with_count(1) == Authenticated("alice")
    assert reason(with_count(1)) == "replayed"
    assert with_count(3) == Authenticated("alice")
    assert with_count(2) == Authenticated("alice"), "requests may overtake each other"
    assert reason(with_count(2)) == "replayed"
    assert with_count(500) == Authenticated("alice")
    assert reason(with_count(4)) == "replayed", "too far behind to be known as unused"


def test_forgetting_a_nonce_allows_no_replay() -> None:
    authenticator = server(max_nonces=2)
    first = answered(authenticator)
    assert check(authenticator, request(first)) == Authenticated("alice")
    for later in (1.0, 2.0):
        value = answered(authenticator, now=NOW + later)
        assert check(authenticator, request(value), NOW + later) == Authenticated("alice")
    assert reason(check(authenticator, request(first), NOW + 3)) == "replayed"
    fresh = answered(authenticator, now=NOW + 3)
    assert check(authenticator, request(fresh), NOW + 3) == Authenticated("alice")


def test_credentials_for_another_resource_are_refused() -> None:
    authenticator = server()
    value = answered(authenticator, uri="sip:elsewhere.example")
    assert isinstance(check(authenticator, request(value)), Refused)
    same = answered(authenticator, uri="sip:ALPHA.example")
    assert check(authenticator, request(same)) == Authenticated("alice")


def test_credentials_of_another_realm_are_as_good_as_none() -> None:
    authenticator = server()
    other = DigestAuthenticator("other.example", Users(), nonce_key=b"k" * 32)
    assert reason(check(authenticator, request(answered(other)))) == "absent"
    both = Request(
        "REGISTER",
        URI,
        Headers.of(("Authorization", answered(other)), ("Authorization", answered(authenticator))),
    )
    assert check(authenticator, both) == Authenticated("alice")


def test_the_method_is_part_of_what_is_proven() -> None:
    authenticator = server()
    value = answered(authenticator)
    assert reason(check(authenticator, request(value, method="INVITE"))) == "wrong"


GOOD = (
    'username="alice", realm="alpha.example", nonce="n", uri="sip:alpha.example", '
    'response="00000000000000000000000000000000", algorithm=MD5, cnonce="c", qop=auth, nc=00000001'
)


@pytest.mark.parametrize(
    "value",
    [
        "Digest " + GOOD.replace('username="alice", ', ""),
        "Digest " + GOOD.replace("nc=00000001", "nc=1"),
        "Digest "
        + GOOD.replace("nc=00000001", "nc=\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661"),
        "Digest " + GOOD.replace('cnonce="c", ', ""),
        "Digest " + GOOD.replace("0" * 32, "zz"),
        "Digest " + GOOD + ", " + GOOD,
        "Digest " + GOOD + ', x="unfinished',
        "Digest " + GOOD + ", =",
        "Digest " + GOOD + ", " + ", ".join(f"x{i}=1" for i in range(40)),
        "Digest " + GOOD + ", x=" + "a" * 5000,
        "Digest \x00",
        'Digest username="' + "\\" * 4000,
    ],
)
def test_malformed_credentials_are_refused_and_never_shown(value: str) -> None:
    result = check(server(), request(value))
    assert isinstance(result, Refused)
    assert result.status == 400
    assert "alice" not in result.reason
    with pytest.raises(MalformedDigest):
        parse_digest(value)


@pytest.mark.parametrize(
    "value", ["", "Basic YWxpY2U6c2VjcmV0", "Digest", "Digest " + GOOD.replace("MD5", "SHA-1")]
)
def test_other_schemes_and_algorithms_are_as_good_as_none(value: str) -> None:
    assert reason(check(server(), request(value))) == "absent"


def test_credentials_without_qop_are_challenged_again() -> None:
    old = GOOD.replace(', cnonce="c", qop=auth, nc=00000001', "")
    assert reason(check(server(), request("Digest " + old))) == "malformed"


def test_a_password_never_shows() -> None:
    stored = StoredCredential.of_password("alice", REALM, "s3cret-pass")
    assert "s3cret" not in repr(stored)
    assert stored.a1["MD5"] not in repr(stored)


def test_a_client_answers_no_challenge_of_another_realm() -> None:
    def answer(offered: list[str], realm: str | None = None) -> str | None:
        return authorize(
            offered, username="u", password="p", method="INVITE", uri="sip:x.example", realm=realm
        )

    offered = [v for _, v in server().challenge(proxy=False, now=NOW)]
    assert answer(offered, "mine.example") is None
    assert answer(offered, REALM) is not None
    assert answer(['Digest realm="r", nonce="n", algorithm=NEW, qop="auth"']) is None
    assert answer(['Digest realm="r", nonce="n", qop="auth-int"']) is None


@pytest.mark.parametrize("arguments", [{"nonce_key": b"short"}, {"algorithms": ()}])
def test_a_server_that_cannot_be_safe_is_not_made(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"nonce_key|algorithms"):
        DigestAuthenticator(REALM, Users(), **{"nonce_key": b"k" * 32, **arguments})  # type: ignore[arg-type]
