"""Tokens from the issuer to the verifier: what is issued, redeemed once, refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from discovery.privacy.blind_rsa import (
    PSS_DETERMINISTIC,
    PSS_RANDOMIZED,
    PSSZERO_DETERMINISTIC,
    PSSZERO_RANDOMIZED,
    Variant,
    blind,
    blind_sign,
    finalize,
    prepare,
    verify,
)
from discovery.privacy.issuer_directory import IssuerDirectory, parse_issuer_directory
from discovery.privacy.once import Once
from discovery.privacy.private_token import (
    format_authorization,
    parse_authorization,
    parse_challenges,
)
from discovery.privacy.reason import Fault, PrivacyError
from discovery.privacy.rsa_numbers import RsaPrivateKey, RsaPublicKey, below, unit_below
from discovery.privacy.token import (
    Token,
    TokenChallenge,
    parse_token,
    parse_token_challenge,
    parse_token_request,
)
from discovery.privacy.token_client import TokenPurse, ask_token
from discovery.privacy.token_issuer import DailyQuota, IssuerKey, TokenIssuer
from discovery.privacy.token_key import TokenKey, parse_token_key
from discovery.privacy.token_verifier import AcceptedKey, TokenVerifier

NOW = 1_795_000_000.0
DAY = 86_400.0
END = NOW + 7 * DAY
PRIVATE = RsaPrivateKey.generate()
OTHER = RsaPrivateKey.generate()
KEY = IssuerKey(PRIVATE, NOW - DAY, NOW + DAY, END)
CHALLENGE = TokenChallenge("issuer.example", b"", ("dp.example",))


def issuer(limit: int = 100, *keys: IssuerKey) -> TokenIssuer:
    return TokenIssuer(keys or (KEY,), DailyQuota(limit))


def verifier(max_spent: int = 100) -> TokenVerifier:
    accepted = AcceptedKey(KEY.public, CHALLENGE, END)
    return TokenVerifier([accepted], "dp.example", max_spent=max_spent)


def new_token(challenge: TokenChallenge = CHALLENGE) -> Token:
    pending = ask_token(KEY.public, challenge)
    return pending.finish(issuer().issue(pending.request.encode(), "b.example", NOW))


def fault_of(token: Token, target: TokenVerifier | None = None, now: float = NOW) -> Fault:
    with pytest.raises(PrivacyError) as caught:
        (target or verifier()).redeem(token, now)
    return caught.value.fault


@pytest.mark.parametrize(
    "variant", [PSS_DETERMINISTIC, PSS_RANDOMIZED, PSSZERO_DETERMINISTIC, PSSZERO_RANDOMIZED]
)
def test_every_variant_signs_what_the_signer_does_not_see(variant: Variant) -> None:
    prepared = prepare(variant, b"message")
    blinded = blind(variant, PRIVATE.public, prepared)
    assert blinded.message != blind(variant, PRIVATE.public, prepared).message
    signature = finalize(
        variant, PRIVATE.public, prepared, blind_sign(PRIVATE, blinded.message), blinded.inverse
    )
    verify(variant, PRIVATE.public, prepared, signature)
    with pytest.raises(PrivacyError, match="forged"):
        verify(variant, PRIVATE.public, prepared + b"x", signature)
    with pytest.raises(PrivacyError, match="forged"):
        verify(variant, OTHER.public, prepared, signature)


def test_modulus_lengths_that_are_no_multiple_of_eight_are_signed_too() -> None:
    for bits in (2_050, 2_049):
        key = RsaPrivateKey.generate(bits)
        blinded = blind(PSS_DETERMINISTIC, key.public, b"m")
        signed = blind_sign(key, blinded.message)
        finalize(PSS_DETERMINISTIC, key.public, b"m", signed, blinded.inverse)


def test_the_raw_operation_is_the_plain_power_whatever_blinds_it() -> None:
    for value in (0, 1, 2, PRIVATE.public.n - 1, below(PRIVATE.public.n)):
        assert PRIVATE.apply(value) == pow(value, PRIVATE.d, PRIVATE.public.n)


def test_a_wrong_result_never_leaves_the_signer() -> None:
    broken = replace(PRIVATE, d=PRIVATE.d + 2)
    with pytest.raises(PrivacyError, match="signing_failed"):
        blind_sign(broken, blind(PSS_DETERMINISTIC, PRIVATE.public, b"m").message)


def test_blinded_messages_of_wrong_length_or_range_are_not_signed() -> None:
    octets = PRIVATE.public.octets
    for bad in (b"", bytes(octets - 1), bytes(octets + 1), b"\xff" * octets):
        with pytest.raises(PrivacyError, match="malformed"):
            blind_sign(PRIVATE, bad)
    with pytest.raises(PrivacyError, match="malformed"):
        finalize(PSS_DETERMINISTIC, PRIVATE.public, b"m", bytes(3), 1)


def test_hostile_keys_give_the_declared_error() -> None:
    for n, e in ((4, 3), (1 << 2_047, 65_537), (PRIVATE.public.n, 2)):
        with pytest.raises(PrivacyError):
            verify(PSS_DETERMINISTIC, RsaPublicKey(n, e), b"m", bytes(256))
    for pem in (b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"):
        with pytest.raises(PrivacyError, match="malformed"):
            RsaPrivateKey.from_pem(pem)


def test_numbers_below_a_limit_are_drawn_without_bias_or_zero() -> None:
    assert {below(5) for _ in range(200)} == {1, 2, 3, 4}
    number, inverse = unit_below(9)
    assert number * inverse % 9 == 1


def test_a_token_is_redeemed_once() -> None:
    token, target = new_token(), verifier()
    target.redeem_header(format_authorization(token), NOW)
    assert fault_of(token, target) is Fault.REPLAYED
    assert fault_of(token, target, END - 1) is Fault.REPLAYED
    target.redeem(new_token(), NOW)


def test_forged_foreign_and_late_tokens_each_have_their_fault() -> None:
    token = new_token()
    signed = token.signed
    flipped = bytes((token.authenticator[0] ^ 1,)) + token.authenticator[1:]
    assert fault_of(replace(token, authenticator=flipped)) is Fault.FORGED
    assert fault_of(replace(token, authenticator=b"\xff" * 256)) is Fault.FORGED
    assert fault_of(replace(token, authenticator=bytes(256))) is Fault.FORGED
    assert fault_of(replace(token, signed=replace(signed, nonce=bytes(32)))) is Fault.FORGED
    assert fault_of(replace(token, signed=replace(signed, key_id=bytes(32)))) is Fault.KEY_UNKNOWN
    assert fault_of(token, now=END) is Fault.NOT_FRESH
    elsewhere = new_token(TokenChallenge("issuer.example", b"", ("other.example",)))
    assert fault_of(elsewhere) is Fault.WRONG_CHALLENGE


def test_forged_tokens_take_no_room_and_a_full_memory_refuses() -> None:
    target = verifier(max_spent=2)
    forged = replace(new_token(), authenticator=bytes(256))
    for _ in range(10):
        assert fault_of(forged, target) is Fault.FORGED
    for _ in range(2):
        target.redeem(new_token(), NOW)
    assert fault_of(new_token(), target) is Fault.OVERLOADED


def test_a_challenge_has_to_be_for_us() -> None:
    with pytest.raises(ValueError, match="origin"):
        TokenVerifier([AcceptedKey(KEY.public, CHALLENGE, END)], "other.example")
    assert CHALLENGE.is_for("DP.example")
    assert TokenChallenge("issuer.example").is_for("anywhere.example")


def test_the_quota_is_per_client_and_day_and_only_for_what_is_signed() -> None:
    source = issuer(2)
    request = ask_token(KEY.public, CHALLENGE).request.encode()
    hostile = request[:3] + b"\xff" * 256
    for bad in (b"", request[:-1], request + b"\0", hostile, b"\0\1" + request[2:]):
        with pytest.raises(PrivacyError):
            source.issue(bad, "b.example", NOW)
    for _ in range(2):
        source.issue(request, "b.example", NOW)
    with pytest.raises(PrivacyError, match="quota_used_up"):
        source.issue(request, "b.example", NOW)
    source.issue(request, "c.example", NOW)
    with pytest.raises(PrivacyError, match="quota_used_up"):
        source.issue(request, "b.example", NOW - 10)
    source.issue(request, "b.example", NOW + DAY - 100_000 % DAY)


def test_quotas_are_bounded_and_say_what_is_left() -> None:
    quota = DailyQuota(2, max_clients=1)
    quota.take("a", NOW)
    assert (quota.left("a", NOW), quota.left("b", NOW), quota.left("a", NOW + DAY)) == (1, 2, 2)
    with pytest.raises(PrivacyError, match="overloaded"):
        quota.take("b", NOW)
    quota.take("b", NOW + DAY)


def test_keys_sign_in_their_time_and_tell_apart_by_their_last_octet() -> None:
    fresh = IssuerKey.generate(
        not_before=NOW + DAY,
        issue_until=NOW + 2 * DAY,
        accept_until=END,
        avoid=[KEY.public.truncated_key_id],
    )
    assert fresh.public.truncated_key_id != KEY.public.truncated_key_id
    source = issuer(9, KEY, fresh)
    request = ask_token(fresh.public, CHALLENGE).request.encode()
    with pytest.raises(PrivacyError, match="key_unknown"):
        source.issue(request, "b.example", NOW)
    source.issue(request, "b.example", NOW + DAY)
    with pytest.raises(PrivacyError, match="key_unknown"):
        source.issue(ask_token(KEY.public, CHALLENGE).request.encode(), "b.example", NOW + DAY)
    directory = source.directory("/request", NOW)
    assert directory.key(NOW) == KEY.public
    assert directory.key(NOW + DAY) == fresh.public
    assert parse_issuer_directory(directory.encode()) == directory
    assert source.directory("/request", NOW + DAY).keys == ((fresh.public, NOW + DAY),)


@pytest.mark.parametrize(
    "members",
    [
        [],
        {},
        {"issuer-request-uri": "", "token-keys": []},
        {"issuer-request-uri": "/r", "token-keys": {}},
        {"issuer-request-uri": "/r", "token-keys": [7]},
        {"issuer-request-uri": "/r", "token-keys": [{"token-type": 2}]},
        {"issuer-request-uri": "/r", "token-keys": [{"token-type": 2, "token-key": "%%"}]},
        {"issuer-request-uri": "/r", "token-keys": [{"token-type": 2, "token-key": "AAAA"}]},
        {"issuer-request-uri": "/r", "token-keys": [{}] * 65},
    ],
)
def test_directories_that_are_none_are_refused(members: object) -> None:
    with pytest.raises(PrivacyError):
        parse_issuer_directory(json.dumps(members).encode())


def test_keys_of_other_types_are_passed_over_and_a_time_has_to_be_one() -> None:
    keys = [{"token-type": 1, "token-key": 7}]
    members: dict[str, object] = {"issuer-request-uri": "/r", "token-keys": keys}
    directory = parse_issuer_directory(json.dumps(members).encode())
    assert directory == IssuerDirectory("/r", ())
    with pytest.raises(PrivacyError, match="key_unknown"):
        directory.key(NOW)
    with pytest.raises(PrivacyError, match="oversized"):
        parse_issuer_directory(bytes(70_000))
    text = IssuerDirectory("/r", ((KEY.public, 0),)).encode()
    with pytest.raises(PrivacyError, match="malformed"):
        parse_issuer_directory(text.replace(b'"not-before": 0', b'"not-before": true'))


def test_token_keys_have_one_form_only() -> None:
    spki = KEY.public.spki
    assert parse_token_key(spki) == KEY.public
    even = bytearray(spki)
    even[-6] &= 0xFE
    for bad in (b"", spki[:-1], spki + b"\0", b"\0" + spki[1:], bytes(even), spki[:-1] + b"\3"):
        with pytest.raises(PrivacyError, match="malformed"):
            parse_token_key(bad)
    with pytest.raises(PrivacyError, match="malformed"):
        TokenKey(RsaPublicKey(3 * 5, 65_537))


def test_challenges_that_are_none_are_refused() -> None:
    good = CHALLENGE.encode()
    bad_names = good.replace(b"dp.example", b"dp,example"), good.replace(b"dp.ex", b"dp,,x")
    for bad in (b"", good[:-1], good + b"\0", b"\0\0" + good[2:], good.replace(b"dp", b"\xff\0")):
        with pytest.raises(PrivacyError):
            parse_token_challenge(bad)
    assert parse_token_challenge(bad_names[0]).origins == ("dp", "example")
    with pytest.raises(PrivacyError, match="malformed"):
        parse_token_challenge(bad_names[1])
    with pytest.raises(PrivacyError, match="malformed"):
        TokenChallenge("issuer.example", b"short")
    with pytest.raises(PrivacyError, match="oversized"):
        parse_token_challenge(bytes(3_000))


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        ("", Fault.NOT_ACCEPTED),
        ("Bearer abc", Fault.NOT_ACCEPTED),
        ("PrivateToken", Fault.MALFORMED),
        ("PrivateToken abc=", Fault.MALFORMED),
        ('PrivateToken nonce="abc"', Fault.MALFORMED),
        ('PrivateToken token="abc', Fault.MALFORMED),
        ('PrivateToken token="AA=="', Fault.NOT_ACCEPTED),
        ('PrivateToken token="AAI="', Fault.MALFORMED),
        ('PrivateToken token="AAI"', Fault.MALFORMED),
        ('PrivateToken token="AAJ="', Fault.MALFORMED),
        ('PrivateToken token="AA+/"', Fault.MALFORMED),
        ('PrivateToken token="AAI=", token="AAI="', Fault.MALFORMED),
        ('PrivateToken token="AAI=" x="y"', Fault.MALFORMED),
        ('PrivateToken token="AAI=", PrivateToken token="AAI="', Fault.NOT_ACCEPTED),
        ('PrivateToken\ttoken="é"', Fault.MALFORMED),
        ("PrivateToken " + ", ".join(f"a{i}=b" for i in range(17)), Fault.MALFORMED),
        (", ".join(["Basic"] * 17), Fault.OVERSIZED),
        ("x" * 20_000, Fault.OVERSIZED),
        ("=", Fault.MALFORMED),
        ("a=b", Fault.MALFORMED),
    ],
)
def test_credentials_that_are_none_have_their_fault(header: str, fault: Fault) -> None:
    with pytest.raises(PrivacyError) as caught:
        parse_authorization(header)
    assert caught.value.fault is fault


def test_credentials_are_read_however_they_are_spelt() -> None:
    token = new_token()
    value = format_authorization(token).split('"')[1]
    for header in (
        f"privatetoken token={value}",
        f'PRIVATETOKEN  TOKEN = "{value}" , extra=1',
        f', PrivateToken extra="a\\"b", token="{value}",',
    ):
        assert parse_authorization(header) == token
    with pytest.raises(PrivacyError, match="not_accepted"):
        verifier().redeem_header(None, NOW)


def test_challenges_not_well_formed_are_passed_over() -> None:
    assert parse_challenges('PrivateToken challenge="AAAA", Basic, PrivateToken') == ()
    assert parse_challenges('Negotiate abc==, PrivateToken challenge="!"') == ()


def test_a_purse_gives_each_token_once_and_none_that_has_ended() -> None:
    purse = TokenPurse(max_tokens=3)
    first, second, third = new_token(), new_token(), new_token()
    assert purse.put(first, NOW + 10)
    assert purse.put(second, NOW + 5)
    assert purse.put(third, NOW + 20)
    assert not purse.put(third, NOW + 20)
    assert purse.take(NOW) is second
    assert purse.take(NOW + 10) is third
    assert purse.take(NOW) is None
    assert len(purse) == 0


def test_secrets_are_in_no_representation() -> None:
    pending = ask_token(KEY.public, CHALLENGE)
    token = new_token()
    shown = repr((KEY, pending, token, PRIVATE, issuer(), verifier()))
    for secret in (PRIVATE.d, PRIVATE.p, PRIVATE.q, pending.inverse):
        assert str(secret) not in shown
    for hidden in (token.signed.nonce, token.authenticator, pending.signed.nonce):
        assert repr(hidden)[2:-1] not in shown


def test_tokens_and_requests_survive_their_encoding() -> None:
    token = new_token()
    assert parse_token(token.encode()) == token
    request = ask_token(KEY.public, CHALLENGE).request
    assert parse_token_request(request.encode()) == request


def test_what_was_used_is_remembered_until_it_ends() -> None:
    once = Once(slot=10, max_entries=2)
    once.take(b"a", NOW + 5, NOW)
    once.take(b"b", float("inf"), NOW)
    with pytest.raises(PrivacyError, match="replayed"):
        once.take(b"a", NOW + 50, NOW + 5)
    once.take(b"a", NOW + 50, NOW + 20)
    assert len(once) == 2
