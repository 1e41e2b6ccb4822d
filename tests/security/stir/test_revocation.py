"""What lists and responders mean for a call: revoked, stale, not to be had (security case C9)."""

from __future__ import annotations

import pytest
from cryptography import x509

from stir.certificates.certificate import Credential
from stir.certificates.crl import load_revocation_list
from stir.certificates.issuing import Authority, make_intermediate, make_root, new_key
from stir.certificates.ocsp import OcspAnswer
from stir.certificates.revocation import RevocationPolicy, RevocationRecords
from stir.certificates.revocation_records import IDLE, RETRY
from stir.certificates.revocation_sources import (
    ListSource,
    PolicyAdministrator,
    ResponderSource,
    Source,
)
from stir.reason import Reason
from stir.verdict import CallVerdict
from stir.verification import VerificationPolicy, VerificationService
from tests.security.stir.test_bad_passports import only_reason
from tests.support.revocation import (
    ADMINISTRATOR_URL,
    DAY,
    LIST_URL,
    RESPONDER_URL,
    Added,
    ListMaker,
    RevocationWorld,
    issued_by,
    issuing_point,
    list_of,
    points,
    responder,
)
from tests.support.stir_authority import FACTS, NOW, StirWorld, make_certificate

HARD = RevocationPolicy(hard=True)
ADMINISTRATOR = make_root("STI-PA CRL", NOW)


def records(
    policy: RevocationPolicy | None = None, *, administered: bool = False
) -> RevocationRecords:
    whose = PolicyAdministrator(ADMINISTRATOR_URL, ADMINISTRATOR.certificates)
    chosen = policy or RevocationPolicy()
    return RevocationRecords(chosen, (whose,) if administered else (), rand=lambda: 1.0)


def scene(
    world: StirWorld, policy: RevocationPolicy | None = None, *, administered: bool = False
) -> RevocationWorld:
    return RevocationWorld(world, records(policy, administered=administered))


def leaf(world: StirWorld, *added: Added) -> Credential:
    return world.leaf(extensions=added or [points(LIST_URL)])


def learn(there: RevocationWorld, source: Source, der: bytes, now: float = NOW) -> None:
    assert isinstance(source, ListSource)
    there.records.store(source, load_revocation_list(der, source.signers, now), now)


def call(there: RevocationWorld, credential: Credential, now: float = NOW) -> CallVerdict:
    anchors = there.world.root.certificates
    service = VerificationService(VerificationPolicy(), anchors, None, revocation=there.records)
    begun = service.begin([there.world.identity(iat=int(now))], FACTS, now)
    return service.conclude(begun, dict.fromkeys(begun.needed, credential), now)


def got(verdict: CallVerdict) -> tuple[str, str]:
    check = verdict.verdicts[0].check("revocation")
    return check.outcome, check.got or ""


def long_lived(world: StirWorld) -> Credential:
    return world.leaf(extensions=[points(LIST_URL)], not_after=NOW + 9 * DAY)


def intermediate(world: StirWorld, *added: Added) -> Authority:
    key = new_key()
    certificate = make_certificate(
        world.root,
        key=key.public_key(),
        entries=None,
        usage=None,
        ca=True,
        name="Middle",
        not_after=NOW + 9 * DAY,
        extensions=added,
    )
    return Authority((certificate, *world.root.certificates), key)


# --- the list of a distribution point ------------------------------------------------------------


def test_a_certificate_that_is_not_on_the_list_passes(world: StirWorld) -> None:
    there, credential = scene(world, HARD), leaf(world)
    issuer_list = there.sources(credential)[0]
    assert (issuer_list.url, type(issuer_list)) == (LIST_URL, ListSource)
    learn(there, issuer_list, list_of(world.issuer).der())
    assert there.status(credential).grade == "unknown"  # the intermediate names no list


def test_every_certificate_of_the_path_is_looked_up(world: StirWorld) -> None:
    middle_url = "https://crl.sti-ca.example/root.crl"
    middle = intermediate(world, points(middle_url))
    credential = world.leaf(issuer=middle, extensions=[points(LIST_URL)])
    there = scene(world, HARD)
    lists = {source.url: source for source in there.sources(credential)}
    assert set(lists) == {LIST_URL, middle_url}
    learn(there, lists[LIST_URL], list_of(middle).der())
    learn(there, lists[middle_url], list_of(world.root).der())
    verdict = call(there, credential)
    assert verdict.outcome == "valid"
    assert got(verdict) == ("passed", "3 certificates, none revoked")
    revoking = list_of(world.root).der(middle.certificate, this_update=NOW - 1)
    learn(there, lists[middle_url], revoking)
    verdict = call(there, credential)
    assert only_reason(verdict) is Reason.CREDENTIAL_REVOKED
    assert (verdict.sip_status, verdict.verstat) == (437, "TN-Validation-Failed")
    assert "keyCompromise" in got(verdict)[1]


@pytest.mark.parametrize("policy", [RevocationPolicy(), HARD])
def test_a_revoked_certificate_is_refused_however_old_the_list(
    world: StirWorld, policy: RevocationPolicy
) -> None:
    for next_update in (NOW + DAY, NOW - 1, NOW - 99 * DAY):
        there, credential = scene(world, policy), leaf(world)
        revoking = list_of(world.issuer).der(
            credential.leaf, this_update=NOW - 100 * DAY, next_update=next_update
        )
        learn(there, there.sources(credential)[0], revoking)
        assert only_reason(call(there, credential)) is Reason.CREDENTIAL_REVOKED


def test_soft_policy_believes_a_list_for_a_day_after_it_expired(world: StirWorld) -> None:
    there, credential = scene(world), long_lived(world)
    source = there.sources(credential)[0]
    learn(there, source, list_of(world.issuer).der(next_update=NOW + 3600))
    for after, outcome, reason in (
        (3599.0, "skipped", None),  # fresh, but the intermediate's is not known
        (3601.0, "skipped", None),
        (3600.0 + DAY - 1, "skipped", None),
        (3600.0 + DAY, "failed", Reason.REVOCATION_UNAVAILABLE),
    ):
        there.records.failed(source, "server down", NOW + after)
        verdict = call(there, credential, NOW + after)
        assert only_reason(verdict) is reason
        assert got(verdict)[0] == outcome
    assert verdict.sip_status == 437
    assert "server down" in got(verdict)[1]


def test_staleness_is_said_and_counted(world: StirWorld) -> None:
    there = scene(world, administered=True)
    credential = long_lived(world)
    named, configured = there.sources(credential)
    assert isinstance(configured, ListSource)
    assert configured.configured
    learn(there, named, list_of(world.issuer).der(next_update=NOW + 3600))
    learn(there, configured, administrators_list(next_update=NOW + 9 * DAY))
    assert got(call(there, credential)) == ("passed", "3 certificates, none revoked")
    outcome, text = got(call(there, credential, NOW + 3660))
    assert (outcome, "expired since 60 s" in text) == ("passed", True)
    counts = there.records.counts
    assert (counts["good"], counts["stale"]) == (1, 1)


def test_hard_policy_wants_a_current_list_of_every_certificate(world: StirWorld) -> None:
    there, credential = scene(world, HARD), leaf(world)
    assert only_reason(call(there, credential)) is Reason.REVOCATION_UNAVAILABLE
    learn(there, there.sources(credential)[0], list_of(world.issuer).der())
    verdict = call(there, credential)
    assert only_reason(verdict) is Reason.REVOCATION_UNAVAILABLE
    assert "names neither a revocation list nor a responder" in got(verdict)[1]


def test_a_list_that_was_never_had_leaves_the_call_its_verdict(world: StirWorld) -> None:
    there, credential = scene(world), leaf(world)
    [source] = there.sources(credential)
    assert there.status(credential).missing == (source,)
    there.records.failed(source, "timeout: nothing within 2 s", NOW)
    status = there.status(credential)
    assert (status.missing, status.due) == ((), ())
    verdict = call(there, credential)
    assert (verdict.outcome, verdict.verstat) == ("valid", "TN-Validation-Passed")
    outcome, text = got(verdict)
    assert outcome == "skipped"
    assert text.startswith("not checked: the list at https://crl.sti-ca.example/issuing.crl")


def test_certificates_that_name_nobody_are_not_checked(world: StirWorld) -> None:
    there = scene(world)
    assert there.sources(world.credential) == ()
    assert call(there, world.credential).outcome == "valid"


def test_without_records_or_path_the_step_is_skipped(world: StirWorld) -> None:
    check = world.verify(world.identity()).verdicts[0].check("revocation")
    assert check.outcome == "skipped"
    stranger = make_intermediate(make_root("Stranger", NOW), "Stranger CA", NOW)
    there, credential = scene(world, HARD), world.leaf(issuer=stranger)
    assert only_reason(call(there, credential)) is Reason.CHAIN_UNTRUSTED
    assert there.records.sources.records() == []


# --- who may say it ------------------------------------------------------------------------------


def test_a_list_named_by_two_authorities_is_asked_for_each(world: StirWorld) -> None:
    other = make_intermediate(world.root, "Another CA", NOW)
    there = scene(world)
    [mine] = there.sources(leaf(world))
    [theirs] = there.sources(world.leaf(issuer=other, extensions=[points(LIST_URL)]))
    assert mine.url == theirs.url
    assert mine != theirs


def test_a_list_of_another_scope_says_nothing(world: StirWorld) -> None:
    for point in (issuing_point(ca=True), issuing_point(url=LIST_URL + "x")):
        there, credential = scene(world), leaf(world)
        learn(there, there.sources(credential)[0], list_of(world.issuer).der(extensions=[point]))
        assert "not about" in got(call(there, credential))[1]


@pytest.mark.parametrize(
    ("added", "text"),
    [
        (points("http://crl.example/a.crl"), "names no list by https"),
        (points("ldap://crl.example/a"), "names no list by https"),
        (points(LIST_URL, issuer=ADMINISTRATOR.certificate.subject), "is not configured"),
        (responder("http://ocsp.example/"), "names neither"),
    ],
)
def test_who_is_never_asked(world: StirWorld, added: Added, text: str) -> None:
    there, credential = scene(world, HARD), leaf(world, added)
    assert there.sources(credential) == ()
    assert text in got(call(there, credential))[1]


def test_http_is_asked_where_policy_says_so(world: StirWorld) -> None:
    there = scene(world, RevocationPolicy(allow_http=True))
    [source] = there.sources(leaf(world, points("http://crl.example/a.crl")))
    assert source.url == "http://crl.example/a.crl"


def test_a_certificate_with_very_many_points_has_three_asked(world: StirWorld) -> None:
    many = points(*(f"https://crl.example/{number}.crl" for number in range(50)))
    assert len(scene(world).sources(leaf(world, many))) == 3


def test_one_current_list_of_several_suffices(world: StirWorld) -> None:
    there = scene(world)
    credential = leaf(world, points(LIST_URL, "https://mirror.example/a.crl"))
    first, second = there.sources(credential)
    there.records.failed(first, "server down", NOW)
    learn(there, second, list_of(world.issuer).der())
    assert there.status(credential).missing == ()


# --- the policy administrator --------------------------------------------------------------------


def administrators_list(*entries: tuple[int, list[Added]], next_update: float = NOW + DAY) -> bytes:
    maker = ListMaker(
        ADMINISTRATOR.certificate.subject,
        ADMINISTRATOR.key,
        extensions=[issuing_point(indirect=True)],
        entries=entries,
    )
    return maker.der(next_update=next_update)


def revoked_by_administrator(certificate: x509.Certificate) -> bytes:
    return administrators_list((certificate.serial_number, [issued_by(certificate.issuer)]))


def test_the_administrators_list_covers_certificates_that_name_it(world: StirWorld) -> None:
    subject = ADMINISTRATOR.certificate.subject
    for added in (
        points(ADMINISTRATOR_URL, issuer=subject),
        points("https://mirror.sti-pa.example/crl", issuer=subject),
        points(ADMINISTRATOR_URL),
    ):
        there, credential = scene(world, HARD, administered=True), leaf(world, added)
        [source] = there.sources(credential)
        assert source.url == ADMINISTRATOR_URL
        learn(there, source, administrators_list())
        assert call(there, credential).outcome == "valid"
        learn(there, source, revoked_by_administrator(credential.leaf))
        assert only_reason(call(there, credential)) is Reason.CREDENTIAL_REVOKED


def test_the_administrator_revokes_intermediates_and_anchors(world: StirWorld) -> None:
    for certificate in (world.issuer.certificate, world.root.certificate):
        there = scene(world, administered=True)
        [source] = there.sources(world.credential)
        learn(there, source, revoked_by_administrator(certificate))
        assert only_reason(call(there, world.credential)) is Reason.CREDENTIAL_REVOKED


def test_the_administrator_revokes_what_names_another_list(world: StirWorld) -> None:
    there, credential = scene(world, administered=True), leaf(world)
    own, administrators = there.sources(credential)
    assert set(there.status(credential).missing) == {own, administrators}
    learn(there, own, list_of(world.issuer).der())
    learn(there, administrators, revoked_by_administrator(credential.leaf))
    assert only_reason(call(there, credential)) is Reason.CREDENTIAL_REVOKED


def test_a_serial_of_another_issuer_on_the_administrators_list_is_not_ours(
    world: StirWorld,
) -> None:
    there, credential = scene(world, administered=True), leaf(world, points(ADMINISTRATOR_URL))
    [source] = there.sources(credential)
    entry = (credential.leaf.serial_number, [issued_by(world.root.certificate.subject)])
    learn(there, source, administrators_list(entry))
    assert call(there, credential).outcome == "valid"


def test_an_authority_above_may_sign_an_indirect_list(world: StirWorld) -> None:
    subject = world.root.certificate.subject
    there, credential = scene(world), leaf(world, points(LIST_URL, issuer=subject))
    [source] = there.sources(credential)
    entry = (credential.leaf.serial_number, [issued_by(credential.leaf.issuer)])
    learn(there, source, list_of(world.root).der())
    assert "not an indirect list" in got(call(there, credential))[1]
    indirect = [issuing_point(indirect=True)]
    learn(there, source, list_of(world.root).der(extensions=indirect, entries=[entry]))
    assert only_reason(call(there, credential)) is Reason.CREDENTIAL_REVOKED


# --- answers of responders -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (OcspAnswer("good", NOW - 60, NOW + 60), Reason.REVOCATION_UNAVAILABLE),
        (OcspAnswer("revoked", NOW - 60, NOW + 60), Reason.CREDENTIAL_REVOKED),
        (OcspAnswer("revoked", NOW - 2 * DAY, NOW - DAY), Reason.CREDENTIAL_REVOKED),
        (OcspAnswer("unknown", NOW - 60, NOW + 60), Reason.REVOCATION_UNAVAILABLE),
    ],
)
def test_a_responders_answer(world: StirWorld, answer: OcspAnswer, reason: Reason) -> None:
    there, credential = scene(world, HARD), leaf(world, responder(RESPONDER_URL))
    [source] = there.sources(credential)
    assert isinstance(source, ResponderSource)
    assert source.certificate == credential.leaf
    there.records.store(source, answer, NOW)
    verdict = call(there, credential)
    assert only_reason(verdict) is reason
    good = "Test STI Issuing CA names neither" in got(verdict)[1]
    assert good is (answer.status == "good")


def test_responders_are_asked_only_where_no_list_can_be(world: StirWorld) -> None:
    both = leaf(world, points(LIST_URL), responder(RESPONDER_URL))
    assert [source.url for source in scene(world).sources(both)] == [LIST_URL]
    unusable = leaf(world, points("http://crl.example/x"), responder(RESPONDER_URL))
    assert [source.url for source in scene(world).sources(unusable)] == [RESPONDER_URL]


# --- when what is fetched ------------------------------------------------------------------------


def test_an_answer_is_kept_until_something_changes(world: StirWorld) -> None:
    there, credential = scene(world), leaf(world)
    [source] = there.sources(credential)
    learn(there, source, list_of(world.issuer).der())
    first = there.status(credential)
    assert there.status(credential, NOW + 59) is first
    assert there.status(credential, NOW + 61) is not first
    second = there.status(credential, NOW + 61)
    learn(there, source, list_of(world.issuer).der(credential.leaf))
    assert there.status(credential, NOW + 61) is not second


def test_a_list_is_fetched_again_before_it_expires(world: StirWorld) -> None:
    for lifetime, due in ((1000.0, 750.0), (10 * DAY, 3600.0), (10.0, 60.0), (-99.0, 60.0)):
        there, credential = scene(world), leaf(world)
        [source] = there.sources(credential)
        there.records.sources.started(source, NOW)
        assert there.status(credential).due == ()
        learn(there, source, list_of(world.issuer).der(next_update=NOW + lifetime))
        assert there.records.sources.next_due(NOW) == NOW + due
        assert there.records.sources.due(NOW + due - 1) == ()
        assert there.records.sources.due(NOW + due) == (source,)


def test_times_of_fetching_are_spread(world: StirWorld) -> None:
    early = RevocationRecords(RevocationPolicy(), rand=lambda: 0.0)
    there, credential = RevocationWorld(world, early), leaf(world)
    [source] = there.sources(credential)
    learn(there, source, list_of(world.issuer).der())
    assert early.sources.next_due(NOW) == NOW + 3600 * 0.8


def test_a_server_that_is_down_is_asked_less_and_less(world: StirWorld) -> None:
    there, credential = scene(world), leaf(world)
    [source] = there.sources(credential)
    waits = []
    for _ in range(12):
        there.records.failed(source, "server down", NOW)
        waits.append(there.records.sources.next_due(NOW) - NOW)
    assert waits[:5] == [RETRY, 2 * RETRY, 4 * RETRY, 8 * RETRY, 900.0]
    assert set(waits[5:]) == {900.0}


def test_an_older_list_does_not_replace_a_newer_one(world: StirWorld) -> None:
    there, credential = scene(world), leaf(world)
    [source] = there.sources(credential)
    learn(there, source, list_of(world.issuer).der(credential.leaf))
    learn(there, source, list_of(world.issuer).der(this_update=NOW - 9999))
    assert there.status(credential).grade == "revoked"


def test_what_no_call_needs_is_not_fetched_again(world: StirWorld) -> None:
    there, credential = scene(world, administered=True), leaf(world)
    own, administrators = there.sources(credential)
    later = NOW + IDLE
    assert there.records.sources.due(later) == (administrators,)
    learn(there, own, list_of(world.issuer).der(next_update=later + DAY))
    later_call = there.status(credential, later)
    assert own in later_call.due


# --- bounds --------------------------------------------------------------------------------------


def test_lists_and_answers_are_bounded_and_the_least_needed_go_first(world: StirWorld) -> None:
    policy = RevocationPolicy(max_lists=8, max_answers=8)
    there = scene(world, policy, administered=True)
    for number in range(40):
        url = f"https://crl.example/{number}"
        for added in (points(url), responder(url)):
            there.status(leaf(world, added), NOW + number)
    kept = [source for source, _ in there.records.sources.records()]
    assert len(kept) <= 1 + 8 + 8
    assert kept[0].url == ADMINISTRATOR_URL
    assert "https://crl.example/39" in {source.url for source in kept}
    assert "https://crl.example/0" not in {source.url for source in kept}


def test_revoked_certificates_are_bounded_over_all_lists(world: StirWorld) -> None:
    there = scene(world, RevocationPolicy(max_entries=100))
    crowded = list_of(world.issuer).der(entries=[(number + 1, []) for number in range(60)])
    for number in range(4):
        credential = leaf(world, points(f"https://crl.example/{number}"))
        [source] = there.sources(credential, NOW + number)
        learn(there, source, crowded)
    assert len(there.records.sources.records()) == 1
    [(source, _)] = there.records.sources.records()
    assert source.url == "https://crl.example/3"


def test_paths_are_bounded(world: StirWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stir.certificates.revocation.MAX_PATHS", 5)
    there = scene(world)
    for _ in range(9):
        there.status(world.leaf())
    assert len(there.records._known) == 5
