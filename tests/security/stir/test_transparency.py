"""Signed certificate timestamps: good, bad, missing, of logs that nobody knows."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from stir.certificates.certificate import Credential, MalformedCredential, load_credential
from stir.certificates.issuing import make_intermediate, make_root, to_pem
from stir.certificates.transparency import (
    MAX_TIMESTAMPS,
    Log,
    MalformedLogKey,
    MalformedTimestamps,
    Transparency,
    load_log_key,
    parse_timestamps,
)
from stir.reason import Reason
from stir.verdict import CallVerdict
from stir.verification import VerificationPolicy, VerificationService
from tests.security.stir.test_bad_passports import only_reason
from tests.support.stir_authority import FACTS, NOW, StirWorld, make_certificate
from tests.support.transparency import (
    TestLog,
    altered,
    encoded,
    logged,
    octet_string,
    timestamp_list,
    vector,
    with_timestamps,
)

FIRST, SECOND, STRANGE = TestLog(), TestLog("second log", "Op"), TestLog("strange log")
KNOWN = (FIRST.public, SECOND.public)
ONE = encoded(FIRST.sign(b"entry"))


def call(
    world: StirWorld,
    credential: Credential,
    *,
    require: int = 0,
    logs: tuple[Log, ...] = KNOWN,
    now: float = NOW,
) -> CallVerdict:
    service = VerificationService(
        VerificationPolicy(),
        world.root.certificates,
        None,
        transparency=Transparency(logs, require=require),
    )
    begun = service.begin([world.identity(iat=int(now))], FACTS, now)
    return service.conclude(begun, dict.fromkeys(begun.needed, credential), now)


def got(verdict: CallVerdict) -> tuple[str, str]:
    check = verdict.verdicts[0].check("transparency")
    return check.outcome, check.got or ""


@pytest.mark.parametrize("position", [0, 1, 99])
def test_timestamps_of_known_logs_vouch_for_a_certificate(world: StirWorld, position: int) -> None:
    credential = logged(world, [FIRST, SECOND], position=position)
    verdict = call(world, credential, require=2)
    assert verdict.outcome == "valid"
    assert got(verdict) == ("passed", "2 timestamps, known: first log, second log")


def test_a_log_with_an_rsa_key(world: StirWorld) -> None:
    log = TestLog("rsa log", key=rsa.generate_private_key(65537, 2048))
    credential = logged(world, [log])
    assert call(world, credential, require=1, logs=(log.public,)).outcome == "valid"


def test_the_library_makes_the_same_octets_of_a_list(world: StirWorld) -> None:
    [extension] = [
        each.value
        for each in iter(logged(world, [FIRST]).leaf.extensions)
        if isinstance(each.value, x509.PrecertificateSignedCertificateTimestamps)
    ]
    [theirs], [ours] = list(extension), parse_timestamps(extension.public_bytes())
    assert (theirs.log_id, theirs.signature) == (ours.log_id, ours.signature)
    assert theirs.timestamp.timestamp() * 1000 == ours.at


def of_another_certificate(world: StirWorld) -> Credential:
    other = make_certificate(world.issuer, key=world.key.public_key())
    shown = with_timestamps(other, world.issuer, timestamp_list(b""))
    return logged(world, [FIRST], vouched=shown)


def of_another_issuer(world: StirWorld) -> Credential:
    """The log saw the same certificate as another issuer's: only the key hash differs."""
    twin = make_intermediate(world.root, "Test STI Issuing CA", NOW)
    credential = logged(world, [FIRST], issuer=twin)
    draft = make_certificate(world.issuer, key=world.key.public_key())
    [extension] = [
        each.value.public_bytes()
        for each in iter(credential.leaf.extensions)
        if isinstance(each.value, x509.PrecertificateSignedCertificateTimestamps)
    ]
    final = with_timestamps(draft, world.issuer, extension)
    return load_credential(to_pem([final]) + world.issuer.chain_pem)


INVALID: dict[str, Callable[[StirWorld], Credential]] = {
    "of another certificate": of_another_certificate,
    "of another issuer": of_another_issuer,
    "a bad signature": lambda w: logged(w, [FIRST], change=altered(signature=b"\x30\x00")),
    "another time": lambda w: logged(w, [FIRST], change=altered(at=1)),
    "other extensions": lambda w: logged(w, [FIRST], change=altered(extensions=b"x")),
    "SHA-1": lambda w: logged(w, [FIRST], change=altered(hash_algorithm=2)),
    "named RSA": lambda w: logged(w, [FIRST], change=altered(signature_algorithm=1)),
    "of a known log's name only": lambda w: logged(
        w, [STRANGE], change=altered(log_id=FIRST.public.log_id)
    ),
    "one good, one bad": lambda w: logged(
        w, [SECOND], others=[encoded(FIRST.sign(b"something else"))]
    ),
    "in the future": lambda w: logged(w, [FIRST], at=NOW + 61.5),
    "at the end of time": lambda w: logged(w, [FIRST], at=2**63 / 1000),
}


@pytest.mark.parametrize("case", INVALID)
@pytest.mark.parametrize("require", [0, 1])
def test_a_timestamp_that_a_known_log_did_not_give_is_refused(
    world: StirWorld, case: str, require: int
) -> None:
    verdict = call(world, INVALID[case](world), require=require)
    assert only_reason(verdict) is Reason.TRANSPARENCY_INVALID
    assert verdict.sip_status == 437


def test_a_timestamp_of_the_future_counts_when_its_time_has_come(world: StirWorld) -> None:
    credential = logged(world, [FIRST], at=NOW + 120)
    checks = Transparency(KNOWN)
    service = VerificationService(
        VerificationPolicy(), world.root.certificates, None, transparency=checks
    )
    path = service.path_of(credential)
    assert checks.status(credential, path, NOW).problem is not None
    assert checks.status(credential, path, NOW + 60).problem is None
    assert checks.status(credential, path, NOW + 61) is checks.status(credential, path, NOW + 62)


@pytest.mark.parametrize(
    ("logs", "require", "reason"),
    [
        ([], 0, None),
        ([], 1, Reason.TRANSPARENCY_MISSING),
        ([STRANGE], 0, None),
        ([STRANGE], 1, Reason.TRANSPARENCY_MISSING),
        ([FIRST, STRANGE], 1, None),
        ([FIRST], 2, Reason.TRANSPARENCY_MISSING),
        ([FIRST, FIRST], 2, Reason.TRANSPARENCY_MISSING),
    ],
)
def test_enough_known_logs_have_to_vouch(
    world: StirWorld, logs: list[TestLog], require: int, reason: Reason | None
) -> None:
    credential = logged(world, logs) if logs else world.leaf()
    verdict = call(world, credential, require=require)
    assert only_reason(verdict) is reason
    vouched = FIRST in logs
    expected = "failed" if reason else "passed" if vouched else "skipped"
    assert got(verdict)[0] == expected


def test_logs_of_one_operator_count_as_one(world: StirWorld) -> None:
    twins = [TestLog("a", "Same"), TestLog("b", "Same")]
    credential = logged(world, twins)
    logs = tuple(twin.public for twin in twins)
    assert call(world, credential, require=1, logs=logs).outcome == "valid"
    verdict = call(world, credential, require=2, logs=logs)
    assert only_reason(verdict) is Reason.TRANSPARENCY_MISSING


def test_without_logs_or_path_the_step_is_skipped(world: StirWorld) -> None:
    check = world.verify(world.identity()).verdicts[0].check("transparency")
    assert check.outcome == "skipped"
    stranger = make_intermediate(make_root("Stranger", NOW), "Stranger CA", NOW)
    verdict = call(world, world.leaf(issuer=stranger), require=1)
    assert only_reason(verdict) is Reason.CHAIN_UNTRUSTED


def test_a_certificate_that_is_an_anchor_itself_needs_no_log(world: StirWorld) -> None:
    credential = world.leaf()
    service = VerificationService(
        VerificationPolicy(), [credential.leaf], None, transparency=Transparency(KNOWN, require=1)
    )
    begun = service.begin([world.identity()], FACTS, NOW)
    verdict = service.conclude(begun, dict.fromkeys(begun.needed, credential), NOW)
    assert got(verdict)[0] == "skipped"


def test_a_list_that_cannot_be_read_spoils_the_certificate(world: StirWorld) -> None:
    draft = make_certificate(world.issuer, key=world.key.public_key())
    certificate = with_timestamps(draft, world.issuer, b"\x04\x01x")
    with pytest.raises(MalformedCredential):
        load_credential(to_pem([certificate]))


def test_answers_are_bounded(world: StirWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stir.certificates.transparency.MAX_CREDENTIALS", 3)
    checks = Transparency(KNOWN)
    service = VerificationService(VerificationPolicy(), world.root.certificates, None)
    for _ in range(6):
        credential = world.leaf()
        checks.status(credential, service.path_of(credential), NOW)
    assert len(checks._known) == 3


# --- the list ------------------------------------------------------------------------------------


def test_a_list_of_several_and_one_of_a_later_version() -> None:
    later = encoded(FIRST.sign(b"x"), version=1) + b"whatever follows"
    found = parse_timestamps(timestamp_list(ONE, later, encoded(SECOND.sign(b"y"))))
    assert [each.log_id for each in found] == [FIRST.public.log_id, SECOND.public.log_id]
    assert parse_timestamps(timestamp_list()) == ()


MALFORMED = {
    "empty": b"",
    "another type": b"\x30\x02\x00\x00",
    "cut off": timestamp_list(ONE)[:-1],
    "octets after the end": timestamp_list(ONE) + b"\0",
    "octets after the list": octet_string(vector(vector(ONE)) + b"\0"),
    "octets after a timestamp": timestamp_list(ONE + b"\0"),
    "a short timestamp": timestamp_list(ONE[:40]),
    "an empty timestamp": timestamp_list(b""),
    "a list longer than it is": octet_string(b"\xff\xff" + vector(ONE)),
    "a length of length zero": b"\x04\x80" + vector(b""),
    "a length that is too long": b"\x04\x81\x02" + vector(b""),
    "a length of four octets": b"\x04\x84\x00\x00\x00\x02" + vector(b""),
    "seventeen": timestamp_list(*[ONE] * (MAX_TIMESTAMPS + 1)),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_list(case: str) -> None:
    with pytest.raises(MalformedTimestamps):
        parse_timestamps(MALFORMED[case])


@given(st.binary(max_size=200) | st.binary(max_size=120).map(lambda b: timestamp_list(ONE[:1] + b)))
def test_any_octets_are_a_list_or_malformed(octets: bytes) -> None:
    with contextlib.suppress(MalformedTimestamps):
        assert all(len(each.log_id) == 32 for each in parse_timestamps(octets))


# --- keys ----------------------------------------------------------------------------------------


def test_the_key_of_a_log_and_its_name() -> None:
    key = FIRST.key.public_key()
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    for form in (serialization.Encoding.PEM, serialization.Encoding.DER):
        assert load_log_key(key.public_bytes(form, spki)) == key
    digest = hashes.Hash(hashes.SHA256())
    digest.update(key.public_bytes(serialization.Encoding.DER, spki))
    assert FIRST.public.log_id == digest.finalize()


def test_a_key_that_no_log_has() -> None:
    spki = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    weak = rsa.generate_private_key(65537, 1024).public_key().public_bytes(*spki)
    other = ec.generate_private_key(ec.SECP384R1()).public_key().public_bytes(*spki)
    for data in (b"", b"junk", b"\x30\x00", weak, other):
        with pytest.raises(MalformedLogKey):
            load_log_key(data)
