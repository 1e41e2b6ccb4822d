"""Paths to an anchor: cross-certificates, keys of issuers, and chains made to cost time (C8)."""

import datetime
import time
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from stir.certificates import chain
from stir.certificates.certificate import Credential, Problem, load_credential
from stir.certificates.chain import PathBuilder, validity_of_issuers
from stir.certificates.issuing import Authority, make_intermediate, make_root, new_key, to_pem
from stir.reason import Reason
from stir.verification import VerificationPolicy, VerificationService
from tests.security.stir.test_bad_passports import only_reason
from tests.support.stir_authority import FACTS, NOW, StirWorld, make_certificate

AnyPrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
DAY = 86_400


def authority(
    name: str,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    signer: AnyPrivateKey,
    *,
    not_after: float = NOW + DAY,
    algorithm: hashes.HashAlgorithm | None = None,
) -> x509.Certificate:
    """An authority's certificate with any key, signed by any key."""
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime.fromtimestamp(NOW - 9 * DAY, datetime.UTC))
        .not_valid_after(datetime.datetime.fromtimestamp(not_after, datetime.UTC))
        .add_extension(x509.BasicConstraints(True, None), critical=True)
        .sign(signer, algorithm or hashes.SHA256())  # type: ignore[arg-type]
    )


class CrossCertified:
    """An authority certified by two roots, of which one or both may have expired."""

    def __init__(self, world: StirWorld, *, first: float, second: float) -> None:
        key = new_key()
        self.roots = [make_root("Root One", NOW), make_root("Root Two", NOW)]
        self.cross = [
            authority(
                "Crossed",
                root.certificate.subject,
                key.public_key(),
                root.key,
                not_after=not_after,
            )
            for root, not_after in zip(self.roots, (first, second), strict=True)
        ]
        leaf = make_certificate(Authority((self.cross[0],), key), key=world.key.public_key())
        self.credential = load_credential(to_pem([leaf, *self.cross]))

    def verify(self, world: StirWorld) -> Reason | None:
        anchors = [root.certificate for root in self.roots]
        service = VerificationService(VerificationPolicy(), anchors, None)
        begun = service.begin([world.identity()], FACTS, NOW)
        found = dict.fromkeys(begun.needed, self.credential)
        return only_reason(service.conclude(begun, found, NOW))


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (NOW + DAY, NOW + DAY, None),
        (NOW - DAY, NOW + DAY, None),
        (NOW + DAY, NOW - DAY, None),
        (NOW - DAY, NOW - DAY, Reason.CHAIN_EXPIRED),
    ],
)
def test_an_expired_cross_certificate_does_no_harm_beside_a_valid_one(
    world: StirWorld, first: float, second: float, reason: Reason | None
) -> None:
    assert CrossCertified(world, first=first, second=second).verify(world) is reason


def test_a_way_is_chosen_again_when_time_has_passed(world: StirWorld) -> None:
    scene = CrossCertified(world, first=NOW + 5 * DAY, second=NOW + DAY)
    path = PathBuilder([root.certificate for root in scene.roots]).find(scene.credential)
    for days, expected in ((0, None), (3, None), (6, Reason.CHAIN_EXPIRED)):
        moment = NOW + days * DAY
        problem = validity_of_issuers(path.at(moment), moment)
        assert (problem and problem.reason) is expected


def test_an_old_root_of_the_same_key_beside_the_new_one(world: StirWorld) -> None:
    key, name = new_key(), "Renewed Root"
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    old, new = (
        authority(name, subject, key.public_key(), key, not_after=end)
        for end in (NOW - DAY, NOW + DAY)
    )
    leaf = make_certificate(Authority((new,), key), key=world.key.public_key())
    for anchors in ([old, new], [new, old]):
        path = PathBuilder(anchors).find(load_credential(to_pem([leaf])))
        assert validity_of_issuers(path.at(NOW), NOW) is None


def p384(world: StirWorld) -> tuple[AnyPrivateKey, hashes.HashAlgorithm]:
    return ec.generate_private_key(ec.SECP384R1()), hashes.SHA384()


def brainpool(world: StirWorld) -> tuple[AnyPrivateKey, hashes.HashAlgorithm]:
    return ec.generate_private_key(ec.BrainpoolP256R1()), hashes.SHA256()


def rsa_2048(world: StirWorld) -> tuple[AnyPrivateKey, hashes.HashAlgorithm]:
    return rsa.generate_private_key(65_537, 2048), hashes.SHA256()


def rsa_1024(world: StirWorld) -> tuple[AnyPrivateKey, hashes.HashAlgorithm]:
    return rsa.generate_private_key(65_537, 1024), hashes.SHA256()


def rsa_3(world: StirWorld) -> tuple[AnyPrivateKey, hashes.HashAlgorithm]:
    return rsa.generate_private_key(3, 2048), hashes.SHA256()


KEYS = [
    (p384, None, Reason.CREDENTIAL_KEY),
    (rsa_2048, None, Reason.CREDENTIAL_KEY),
    (rsa_1024, Reason.CREDENTIAL_KEY, Reason.CREDENTIAL_KEY),
    (rsa_3, Reason.CREDENTIAL_KEY, Reason.CREDENTIAL_KEY),
    (brainpool, Reason.CREDENTIAL_KEY, Reason.CREDENTIAL_KEY),
]


@pytest.mark.parametrize(("make", "reason", "strict"), KEYS)
def test_keys_of_issuers(
    world: StirWorld,
    make: Callable[[StirWorld], tuple[AnyPrivateKey, hashes.HashAlgorithm]],
    reason: Reason | None,
    strict: Reason | None,
) -> None:
    key, algorithm = make(world)
    middle = authority("Odd key", world.root.certificate.subject, key.public_key(), world.root.key)
    leaf = authority("Leaf", middle.subject, world.key.public_key(), key, algorithm=algorithm)
    credential = load_credential(to_pem([leaf, middle]))
    for p256_issuers, expected in ((False, reason), (True, strict)):
        builder = PathBuilder(world.root.certificates, p256_issuers=p256_issuers)
        problem = builder.find(credential).problem
        assert (problem and problem.reason) is expected


def test_a_profile_of_p256_takes_the_chain_it_is_made_for(world: StirWorld) -> None:
    builder = PathBuilder(world.root.certificates, p256_issuers=True)
    assert builder.find(world.credential).problem is None


def test_extended_key_usage_of_another_purpose(world: StirWorld) -> None:
    server = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    anything = x509.ExtendedKeyUsage(
        [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]
    )
    for usage, critical, reason in (
        (server, False, None),
        (server, True, Reason.CREDENTIAL_KEY_USAGE),
        (anything, True, None),
    ):
        call = world.verify(world.identity(), credential=world.leaf(extensions=[(usage, critical)]))
        assert only_reason(call) is reason


def twins(world: StirWorld) -> Credential:
    """Nine authorities of one name and key each, issued by each other in every way there is."""
    key = new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Twin")])
    copies = [authority("Twin", name, key.public_key(), key) for _ in range(9)]
    leaf = make_certificate(Authority((copies[0],), key), key=world.key.public_key())
    return load_credential(to_pem([leaf, *copies]))


def large_keys(world: StirWorld) -> Credential:
    """Authorities with RSA keys whose exponent is as long as the modulus."""
    key = rsa.generate_private_key(65_537, 3072)
    numbers = key.public_key().public_numbers()
    slow = rsa.RSAPublicNumbers(numbers.n - 2, numbers.n).public_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Slow")])
    copies = [authority("Slow", subject, slow, key) for _ in range(9)]
    leaf = authority("Leaf", subject, world.key.public_key(), key)
    return load_credential(to_pem([leaf, *copies]))


def many_names(world: StirWorld) -> Credential:
    """A customer's own authority with a thousand constraints, and a leaf with as many names."""
    names = [x509.DNSName(f"n{number}.example") for number in range(1_000)]
    key = new_key()
    middle = make_certificate(
        world.root,
        key=key.public_key(),
        entries=None,
        usage=False,
        ca=True,
        name="Names",
        extensions=[(x509.NameConstraints(names, None), True)],
    )
    issuer = Authority((middle, world.root.certificate), key)
    return world.leaf(issuer=issuer, extensions=[(x509.SubjectAlternativeName(names), False)])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (twins, Reason.CHAIN_TOO_LONG),
        (large_keys, Reason.CREDENTIAL_KEY),
        (many_names, Reason.CHAIN_NAME_CONSTRAINTS),
    ],
)
def test_a_chain_made_to_cost_time_is_refused_in_50_ms(
    world: StirWorld, make: Callable[[StirWorld], Credential], reason: Reason
) -> None:
    credential = make(world)
    builder = PathBuilder(world.root.certificates)
    best = min(_measure(builder, credential, reason) for _ in range(3))
    assert best < 0.05


def _measure(builder: PathBuilder, credential: Credential, reason: Reason) -> float:
    started = time.process_time()
    problem = builder.find(credential).problem
    taken = time.process_time() - started
    assert problem is not None
    assert problem.reason is reason
    return taken


def test_a_deep_chain_of_issuers_below_a_valid_one_is_not_followed(world: StirWorld) -> None:
    issuer = make_intermediate(world.root, "Only", NOW)
    below = make_intermediate(issuer, "Below", NOW)
    assert (
        only_reason(world.verify(world.identity(), credential=world.leaf(issuer=below)))
        is Reason.CHAIN_TOO_LONG
    )


@pytest.mark.parametrize("name", ["Evil", "Test STI Root"])
def test_a_strangers_chain_costs_a_few_signatures(
    world: StirWorld, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Nine authorities of one name and key that vouch for each other, in any order."""
    key = ec.generate_private_key(ec.SECP521R1())

    def authority(issuer: Authority) -> x509.Certificate:
        return make_certificate(
            issuer, key=key.public_key(), name=name, ca=True, usage=False, entries=None,
            signed_by=key,
        )  # fmt: skip

    evil = Authority((authority(world.root),), key)
    evil = Authority((authority(evil), *(authority(evil) for _ in range(8))), key)
    checked: list[x509.Certificate] = []
    signed = chain._signature_problem

    def counted(certificate: x509.Certificate, issuer: x509.Certificate) -> Problem | None:
        checked.append(certificate)
        return signed(certificate, issuer)

    monkeypatch.setattr(chain, "_signature_problem", counted)
    credential = world.leaf(issuer=evil)
    path = PathBuilder(world.root.certificates).find(credential)
    assert path.problem is not None
    assert len(checked) <= 18
    assert not credential.granted.were_read


def test_a_strangers_list_of_numbers_is_not_read(world: StirWorld) -> None:
    stranger = make_root("Nobody's", NOW)
    leaf = world.leaf(issuer=stranger)
    assert only_reason(world.verify(world.identity(), credential=leaf)) is Reason.CHAIN_UNTRUSTED
    assert not leaf.granted.were_read
