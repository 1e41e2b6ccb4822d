"""What `spingate check` finds out about certificates: fit, trusted, not revoked, days left."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path

from cryptography import x509

from gateway.config.root import Config
from gateway.finding import Finding, until
from gateway.http.fetch import FetchFailed, FetchRefused, GuardedClient
from gateway.own_numbers import not_covered
from sip.dns import DnsUnavailable
from stir.certificates.certificate import (
    Credential,
    MalformedCredential,
    load_certificates,
    name_of,
    unfitness,
)
from stir.certificates.chain import Path as CertificationPath
from stir.certificates.chain import PathBuilder, validity_of_issuers
from stir.certificates.crl import UnusableList, load_revocation_list
from stir.certificates.grant import granted_by
from stir.certificates.revocation_sources import (
    ListSource,
    PolicyAdministrator,
    SourceFinder,
)
from stir.reason import Reason, printable

_RENEW = "renew it at the STI-CA"
_MAX_NAMED = 4


def own_certificate(config: Config, credential: Credential) -> Iterable[Finding]:
    """The certificate that signs: fit, for the own numbers. In the order a verifier looks."""
    now = time.time()
    problems = unfitness(credential.leaf, now)
    if problems:
        text = "; ".join(problem.reason.prose for problem in problems)
        yield Finding("STI certificate", "failed", text, _RENEW)
    else:
        what = f"{credential.subject} is fit to sign"
        yield until("STI certificate", what, credential.not_after, now, _RENEW)
    yield _authority(config, credential.leaf)


def _authority(config: Config, leaf: x509.Certificate) -> Finding:
    grant = granted_by(leaf)
    listed = grant.tn_auth_list
    if grant.pending:
        return Finding("TNAuthList", "skipped", f"by reference: {grant.reference}")
    if listed is None:
        return Finding(
            "TNAuthList", "failed", "the certificate has none", "request an STI certificate"
        )
    if not listed.names_numbers:
        codes = ", ".join(sorted(listed.codes))
        return Finding("TNAuthList", "passed", f"service provider codes {codes}, no numbers")
    missing = not_covered(config.provider.numbers, listed)
    if missing:
        return Finding(
            "TNAuthList",
            "failed",
            f"does not cover all of {', '.join(missing)}",
            "request a certificate for the numbers of [provider]",
        )
    return Finding("TNAuthList", "passed", f"covers {', '.join(config.provider.numbers)}")


def own_chain(
    config: Config, credential: Credential, anchors: Sequence[x509.Certificate]
) -> tuple[Finding, CertificationPath | None]:
    """The path of the own certificate to the trust anchors peers are held to, if there are any."""
    name = "STI chain"
    if not anchors:
        return Finding(name, "skipped", "no [stir.verification] trust anchors"), None
    path = PathBuilder(anchors).find(credential).at(time.time())
    problem = path.problem or validity_of_issuers(path, time.time())
    if problem is None:
        names = " < ".join(printable(name_of(each), 60) for each in path.certificates)
        return Finding(name, "passed", names), path
    if problem.reason is Reason.CHAIN_UNTRUSTED and config.stir.trust_list is not None:
        detail = "no path to the configured anchors; perhaps one to the trust list, when fetched"
        return Finding(name, "skipped", detail), None
    return Finding(
        name, "failed", f"{problem.reason.prose} ({problem.got})", problem.reason.fix
    ), None


def trust_anchors(anchors: Sequence[x509.Certificate]) -> Iterable[Finding]:
    """Every trusted STI root: a peer's calls fail the day its root ends."""
    now = time.time()
    endings = [(each.not_valid_after_utc.timestamp(), name_of(each)) for each in anchors]
    if not endings:
        return
    ended = [name for end, name in endings if end < now]
    if ended:
        detail = f"expired: {', '.join(printable(name, 60) for name in ended[:_MAX_NAMED])}"
        yield Finding("trust anchors", "failed", detail, "replace them in [stir.verification]")
        return
    first, name = min(endings)
    what = f"{len(endings)} valid, the first to end is {printable(name, 60)}"
    yield until("trust anchors", what, first, now, "ask its STI-CA for the new root")


async def revocation(
    path: CertificationPath | None,
    administrators: Sequence[PolicyAdministrator],
    client: GuardedClient,
) -> AsyncIterator[Finding]:
    """The revocation lists of the own chain and of policy administrators: to be had and current."""
    finder = SourceFinder(administrators)
    subjects = () if path is None else finder.subjects(path)
    lists: dict[ListSource, list[x509.Certificate]] = {each: [] for each in finder.configured}
    for subject in subjects:
        for source in subject.sources:
            if isinstance(source, ListSource):
                lists.setdefault(source, []).append(subject.certificate)
    for source, certificates in lists.items():
        yield await _list(source, certificates, client)
    if not lists:
        why = next((subject.without for subject in subjects if subject.without), "")
        detail = why or (
            "no chain to a trust anchor" if path is None else "the chain names no list"
        )
        yield Finding("CRL", "skipped", detail)


async def _list(
    source: ListSource, certificates: Sequence[x509.Certificate], client: GuardedClient
) -> Finding:
    now, name = time.time(), "CRL"
    url = printable(source.url, 100)
    hint = "ask whoever publishes it: without it nobody sees that a certificate is good"
    try:
        answer = await client.get(source.url)
    except (FetchRefused, FetchFailed, DnsUnavailable) as error:
        return Finding(name, "failed", f"{url}: {error}", hint)
    try:
        found = load_revocation_list(answer.body, source.signers, now)
    except UnusableList as error:
        return Finding(name, "failed", f"{url}: status {answer.status}: {error}", hint)
    for certificate in certificates:
        reason = found.revocation(certificate)
        if reason is not None:
            detail = f"{printable(name_of(certificate), 60)} is revoked: {reason}"
            return Finding(name, "failed", detail, "request a new certificate with a new key")
    age, left = (now - found.this_update) / 3600, (found.next_update - now) / 3600
    if left < 0:
        return Finding(name, "failed", f"{url}: ended {-left:.0f} h ago, {age:.0f} h old", hint)
    return Finding(name, "passed", f"{url}: {age:.0f} h old, the next is due in {left:.0f} h")


def served_certificates(config: Config) -> Iterable[Finding]:
    """The TLS certificates of the own listeners, the one that ends first."""
    endings = []
    for key, path in _served(config):
        try:
            leaf = load_certificates(path.read_bytes())[0]
        except (OSError, MalformedCredential):
            continue  # told under "keys"
        endings.append((leaf.not_valid_after_utc.timestamp(), key))
    if endings:
        first, key = min(endings)
        what = f"{len(endings)} in use, the first to end is {key}'s"
        yield until("TLS certificates", what, first, time.time(), f"renew the file of {key}")


def _served(config: Config) -> Iterable[tuple[str, Path]]:
    for index, listener in enumerate(config.listen):
        if listener.certificate is not None:
            yield f"listen[{index}]", listener.certificate
    for key, section in (("stir.repository", config.stir.repository), ("spin", config.spin)):
        if section is not None:
            yield key, section.certificate


def repository(config: Config) -> Iterable[Finding]:
    """The own certificate repository's folder: nothing there may be a private key."""
    section = config.stir.repository
    if section is None:
        return
    try:
        files = sorted(path for path in section.directory.iterdir() if path.is_file())
        keys = [path.name for path in files if b"PRIVATE KEY" in path.read_bytes()[:65_536]]
    except OSError as error:
        detail = f"{section.directory}: {error.strerror}"
        yield Finding("repository", "failed", detail, "make the folder readable for the gateway")
        return
    if keys:
        hint = "take it out of the folder; if it was ever served, revoke the certificate"
        yield Finding("repository", "failed", f"a private key in {', '.join(keys[:4])}", hint)
    else:
        yield Finding("repository", "passed", f"{len(files)} files, none with a private key")
