"""The record: what its owner says about an identifier, signed with the identifier's own key.

    {"v":1,"csi":"tel:+14155550123","seq":7,"new":false,"iat":1795000000,"exp":1797592000,
     "sel":"first","maps":[{"msp":"b.example","svc":["voice"],"uri":"sip:...","prio":10,
     "tags":["personal"]}],"sealed":[],"x5u":"https://ca1.example/c/..."}

No maps: the owner has opted out of being found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from discovery.directory import claims as read
from discovery.directory.identifier import Identifier, parse_identifier
from discovery.directory.jws import Kind, Signed, Signer, decode, sign
from discovery.directory.jws import read as read_token
from discovery.directory.reason import Refusal, Refused
from discovery.model import Service
from discovery.service_uri import MalformedServiceUri, is_domain, parse_service_uri

MAX_RECORD: Final = 2_560
MAX_MAPS: Final = 8
MAX_TAGS: Final = 8
MAX_TAG_OCTETS: Final = 32
MAX_LIFETIME: Final = 30 * 86_400
SKEW: Final = 60
SEALED_COUNTS: Final = frozenset({0, 4})
SEALED_OCTETS: Final = 160
_MAX_PRIO: Final = 65_535
_MAX_URL: Final = 512
_MEMBERS: Final = frozenset(
    {"v", "csi", "seq", "new", "iat", "exp", "sel", "maps", "sealed", "x5u"}
)
_MAP_MEMBERS: Final = frozenset({"msp", "svc", "uri", "prio", "tags"})


class Selection(StrEnum):
    """How many of the maps for a service a sender may use."""

    FIRST = "first"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Map:
    """A provider (`msp`, a domain), services and the URI where it serves them; lower prio first."""

    msp: str
    services: tuple[Service, ...]
    uri: str
    prio: int = 10
    tags: tuple[str, ...] = ()

    def claim(self) -> dict[str, object]:
        return {
            "msp": self.msp,
            "svc": [str(service) for service in self.services],
            "uri": self.uri,
            "prio": self.prio,
            "tags": list(self.tags),
        }


@dataclass(frozen=True, slots=True)
class Record:
    """A record's claims. Times are epoch seconds; `x5u` names the owner's certificate.

    `seq` grows with each record of one key; `new` drops the records of former owners. `sealed` are
    maps that only some senders can open, none or 4 of equal size, so that their number tells
    nothing.
    """

    csi: Identifier
    seq: int
    issued_at: int
    expires_at: int
    maps: tuple[Map, ...]
    x5u: str
    new: bool = False
    selection: Selection = Selection.FIRST
    sealed: tuple[str, ...] = ()

    @property
    def opted_out(self) -> bool:
        """Whether the owner wants not to be found at all."""
        return not self.maps and not self.sealed

    def claims(self) -> dict[str, object]:
        """Return the payload."""
        return {
            "v": 1,
            "csi": str(self.csi),
            "seq": self.seq,
            "new": self.new,
            "iat": self.issued_at,
            "exp": self.expires_at,
            "sel": str(self.selection),
            "maps": [each.claim() for each in self.maps],
            "sealed": list(self.sealed),
            "x5u": self.x5u,
        }


def sign_record(record: Record, signer: Signer) -> str:
    """Return the record's token; raises Refused where the record is one nobody would take."""
    token = sign(Kind.RECORD, record.claims(), signer)
    parse_record(token)
    return token


def parse_record(token: object) -> tuple[Signed, Record]:
    """Read a record; its signature, owner and time are still to be checked.

    Raises Refused: OVERSIZED, MALFORMED, WRONG_TYPE, NOT_CANONICAL, IDENTIFIER, BAD_URI,
    HOST_IS_NOT_MSP, BAD_TAGS, TOO_MANY_MAPS, LIFETIME.
    """
    signed = read_token(token, Kind.RECORD, max_length=MAX_RECORD)
    claims = signed.claims
    read.version(claims)
    read.exactly(claims, _MEMBERS)
    record = Record(
        csi=parse_identifier(claims["csi"]),
        seq=read.number(claims, "seq"),
        issued_at=read.moment(claims, "iat"),
        expires_at=read.moment(claims, "exp"),
        maps=_maps(claims),
        x5u=_url(claims),
        new=read.flag(claims, "new"),
        selection=_selection(claims),
        sealed=_sealed(claims),
    )
    if not 0 < record.expires_at - record.issued_at <= MAX_LIFETIME:
        raise Refused(Refusal.LIFETIME, f"lives not 1 s to {MAX_LIFETIME // 86_400} days")
    return signed, record


def check_times(record: Record, now: float) -> None:
    """Raise Refused: EXPIRED, or NOT_FRESH for a record dated ahead of `now` (epoch seconds)."""
    if now >= record.expires_at:
        raise Refused(Refusal.EXPIRED, "record")
    if record.issued_at > now + SKEW:
        raise Refused(Refusal.NOT_FRESH, "record is dated in the future")


def _maps(claims: Mapping[str, object]) -> tuple[Map, ...]:
    values = read.items(claims, "maps")
    if len(values) > MAX_MAPS:
        raise Refused(Refusal.TOO_MANY_MAPS, f"more than {MAX_MAPS} maps")
    maps = tuple(_map(value) for value in values)
    if len({each.uri for each in maps}) != len(maps):
        raise Refused(Refusal.MALFORMED, "two maps have one uri")
    return maps


def _map(value: object) -> Map:
    if not isinstance(value, dict):
        raise Refused(Refusal.MALFORMED, "a map is not an object")
    read.exactly(value, _MAP_MEMBERS)
    msp = read.text(value, "msp", max_length=253)
    if not is_domain(msp):
        raise Refused(Refusal.BAD_URI, "msp is not a domain in lower case")
    text = value.get("uri")
    try:
        uri = parse_service_uri(text if isinstance(text, str) else "")
    except MalformedServiceUri as error:
        raise Refused(Refusal.BAD_URI, str(error)) from None
    if uri.host != msp:
        raise Refused(Refusal.HOST_IS_NOT_MSP, "host of a uri is not its msp")
    prio = read.number(value, "prio", largest=_MAX_PRIO)
    return Map(msp, _services(value), uri.text, prio, _tags(value))


def _services(value: Mapping[str, object]) -> tuple[Service, ...]:
    names = read.items(value, "svc")
    try:
        services = tuple(Service(name) for name in names if isinstance(name, str))
    except ValueError:
        raise Refused(Refusal.MALFORMED, "a service is unknown") from None
    if not services or len(set(services)) != len(names):
        raise Refused(Refusal.MALFORMED, "svc is not a list of different services")
    return services


def _tags(value: Mapping[str, object]) -> tuple[str, ...]:
    tags = read.items(value, "tags")
    if len(tags) > MAX_TAGS:
        raise Refused(Refusal.BAD_TAGS, f"more than {MAX_TAGS} tags")
    for tag in tags:
        if not isinstance(tag, str) or not _is_tag(tag):
            raise Refused(Refusal.BAD_TAGS, f"a tag is not 1 to {MAX_TAG_OCTETS} octets of text")
    found = tuple(tag for tag in tags if isinstance(tag, str))
    if len(set(found)) != len(found):
        raise Refused(Refusal.BAD_TAGS, "a tag stands twice")
    return found


def _is_tag(tag: str) -> bool:
    try:
        return 0 < len(tag.encode("utf-8")) <= MAX_TAG_OCTETS and tag.isprintable()
    except UnicodeEncodeError:
        return False


def _sealed(claims: Mapping[str, object]) -> tuple[str, ...]:
    values = read.items(claims, "sealed")
    texts = tuple(value for value in values if isinstance(value, str))
    if len(values) not in SEALED_COUNTS or len(texts) != len(values):
        raise Refused(Refusal.MALFORMED, "sealed is not a list of none or 4 texts")
    if any(len(text) > 2 * SEALED_OCTETS or len(decode(text)) != SEALED_OCTETS for text in texts):
        raise Refused(Refusal.MALFORMED, f"a sealed map is not {SEALED_OCTETS} octets")
    return texts


def _selection(claims: Mapping[str, object]) -> Selection:
    try:
        return Selection(read.text(claims, "sel", max_length=16))
    except ValueError:
        raise Refused(Refusal.MALFORMED, "sel is not first or all") from None


def _url(claims: Mapping[str, object]) -> str:
    url = read.text(claims, "x5u", max_length=_MAX_URL)
    if not url.startswith("https://"):
        raise Refused(Refusal.BAD_URI, "x5u is not an https URL")
    return url
