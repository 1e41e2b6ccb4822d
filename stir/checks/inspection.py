"""What a verification works on: the policy, the facts of the request, one Identity's state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from stir.call_info import CallInfo
from stir.certificates.certificate import BareKey, Credential, CredentialUnavailable
from stir.certificates.chain import Path
from stir.certificates.revocation import RevocationRecords
from stir.certificates.transparency import Transparency
from stir.diversion import Trail
from stir.identity import Identity
from stir.media_keys import Fingerprint
from stir.passport import Passport, TokenOctets
from stir.reason import Reason
from stir.replay import ReplayCache
from stir.verdict import Check

AnyCredential = Credential | BareKey | CredentialUnavailable
Form = Literal["header", "token"]
Step = Callable[["Inspection"], Check]
_STOPPING: Final = frozenset({"failed", "unavailable"})


@dataclass(frozen=True, slots=True)
class VerificationPolicy:
    """What this service accepts; the limits protect it from hostile requests.

    `freshness`: seconds between `iat` and now, either way. `max_header`: octets of one Identity.
    `max_credentials`: different URLs fetched for one request. `accept_service_provider_codes`:
    codes that give a right to any number; None accepts every code in a list that names nothing
    but codes. `service_provider_numbers`: numbers known to belong to a code; a code that stands
    there is held to them. `supported_types`: PASSporT types considered, among which None is the
    plain one; None instead of a set takes every type of `stir.extensions.registry`.
    `priority_authorities`: for each namespace of Resource-Priority, in lower case, the provider
    codes and certificate fingerprints (SHA-256, lower-case hex) that may assert it; None: anybody.
    `max_diversions`: div PASSporTs from an original to the called number. `diverted_freshness`:
    how old, in seconds, a PASSporT may be that a fresh div diverts (RFC 8946 section 4.2); None:
    no older than any other.
    `p256_issuers` demands keys of the SHAKEN profile from authorities as well.
    `accept_x5c`: tokens that are no request's, and may bring their certificates instead of x5u
    (RFC 7515 section 4.1.6); whoever verifies hands these certificates over as the credential.
    `exhaustive` runs every check that can be run although an earlier one failed, to explain.
    """

    freshness: float = 60
    max_identities: int = 8
    max_header: int = 16_384
    max_credentials: int = 3
    accept_service_provider_codes: frozenset[str] | None = None
    service_provider_numbers: Mapping[str, frozenset[str]] = field(default_factory=dict)
    supported_types: frozenset[str | None] | None = None
    require_media_keys: bool = False
    p256_issuers: bool = False
    require_message_digest: bool = False
    priority_authorities: Mapping[str, frozenset[str]] | None = None
    extra_ports: frozenset[int] = frozenset()
    max_diversions: int = 5
    diverted_freshness: float | None = None
    exhaustive: bool = False
    accept_x5c: bool = False


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What the request itself says; None means not known, and the check is skipped.

    `orig_candidates`: URIs or numbers of P-Asserted-Identity, then From. `dest_candidates`: of To,
    then the Request-URI. `date`: the Date header in epoch seconds, for the compact form.
    `fingerprints`: hash name and value of every a=fingerprint of the SDP, empty without any.
    `call_id` lets a repeated request show its PASSporT again. `display_names`: of From, then
    P-Asserted-Identity, those that are there. `resource_priority`: the values of that header field;
    `priority`: the Priority header field. `call_info`: every Call-Info value. `body`: the octets of
    the MIME body. Of these, empty means that the request has none.
    """

    orig_candidates: tuple[str, ...] | None = None
    dest_candidates: tuple[str, ...] | None = None
    date: int | None = None
    fingerprints: tuple[Fingerprint, ...] | None = None
    method: str | None = None
    call_id: str | None = None
    display_names: tuple[str, ...] | None = None
    call_info: tuple[CallInfo, ...] | None = None
    resource_priority: tuple[str, ...] | None = None
    priority: str | None = None
    body: bytes | None = None


@dataclass(slots=True)
class Inspection:
    """One Identity on its way through the steps; each step reads what earlier ones found.

    `nested`: what a div-o holds in `opt`, what
    that holds, and so on, and `nested_trail` whether they fit together. `trail`: where this one's
    diversions lead, None in a request without any. `diverted_later`: another PASSporT claims to
    divert this one.
    """

    value: str
    form: Form
    facts: CallFacts
    policy: VerificationPolicy
    now: float
    identity: Identity | None = None
    octets: TokenOctets | None = None
    passport: Passport | None = None
    credential: AnyCredential | None = None
    find_path: Callable[[Credential], Path] | None = None
    path: Path | None = None
    revocation: RevocationRecords | None = None
    transparency: Transparency | None = None
    replay: ReplayCache | None = None
    nested: tuple[Inspection, ...] = ()
    nested_trail: Trail | None = None
    trail: Trail | None = None
    diverted_later: bool = False
    checks: list[Check] = field(default_factory=list)
    stopped: bool = False
    ignored: bool = False

    @property
    def url(self) -> str | None:
        """The URL of the credential, None where the token could not be read."""
        if self.passport is None:
            return None
        return self.passport.x5u

    @property
    def ppt(self) -> str | None:
        """The PASSporT type, None for a plain one and where the token could not be read."""
        return None if self.passport is None else self.passport.ppt

    def run(self, steps: tuple[tuple[str, Step], ...]) -> None:
        """Run steps in order; after a failure the rest is skipped unless policy is exhaustive."""
        checks = self.checks
        for name, step in steps:
            if self.stopped and not self.policy.exhaustive:
                checks.append(Check(name, "skipped", got="an earlier check did not pass"))
                continue
            check = step(self)
            checks.append(check)
            if check.outcome in _STOPPING:
                self.stopped = True
                self.ignored = self.ignored or check.reason is Reason.UNSUPPORTED_PPT
