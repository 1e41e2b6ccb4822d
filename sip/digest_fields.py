"""The header fields of digest authentication: challenges and credentials (RFC 7616 3.3, 3.4)."""

import re
from dataclasses import dataclass
from typing import Literal

Algorithm = Literal["SHA-256", "SHA-512-256", "MD5"]

MAX_VALUE = 4096
MAX_PARAMS = 32

_ALGORITHMS: dict[str, Algorithm] = {
    "md5": "MD5",
    "sha-256": "SHA-256",
    "sha-512-256": "SHA-512-256",
}
_SCHEME = re.compile(r"[ \t]*digest[ \t\r\n]+", re.IGNORECASE)
_PARAM = re.compile(
    r"[ \t\r\n]*([A-Za-z0-9!%*_+`'~.-]+)[ \t\r\n]*=[ \t\r\n]*"
    r'(?:"((?:[^"\\]|\\.)*)"|([^\s",;]+))[ \t\r\n]*(,|$)',
    re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_COUNT = re.compile(r"[0-9A-Fa-f]{8}")
_HEX = re.compile(r"[0-9A-Fa-f]{32,128}")


class MalformedDigest(ValueError):
    """A peer's digest challenge or credentials break the grammar."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """One Digest challenge that offers qop=auth."""

    realm: str
    nonce: str
    algorithm: Algorithm
    stale: bool = False
    opaque: str | None = None

    def to_value(self) -> str:
        """Format as the value of WWW-Authenticate or Proxy-Authenticate."""
        parts = [f"realm={_quote(self.realm)}", f"nonce={_quote(self.nonce)}"]
        if self.opaque is not None:
            parts.append(f"opaque={_quote(self.opaque)}")
        if self.stale:
            parts.append("stale=true")
        parts += [f"algorithm={self.algorithm}", 'qop="auth"']
        return "Digest " + ", ".join(parts)

    @classmethod
    def parse(cls, value: str) -> "Challenge | None":
        """Read a challenge; None for another scheme, an unknown algorithm or no qop=auth.

        Raises MalformedDigest.
        """
        params = _params(value)
        if params is None:
            return None
        algorithm = _ALGORITHMS.get(params.get("algorithm", "MD5").lower())
        offered = [qop.strip().lower() for qop in params.get("qop", "").split(",")]
        if algorithm is None or "auth" not in offered:
            return None
        return cls(
            realm=_needed(params, "realm"),
            nonce=_needed(params, "nonce"),
            algorithm=algorithm,
            stale=params.get("stale", "").lower() == "true",
            opaque=params.get("opaque"),
        )


@dataclass(frozen=True, slots=True)
class DigestFields:
    """Digest credentials, as in Authorization; `nonce_count` is 8 hex digits."""

    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: Algorithm
    cnonce: str
    nonce_count: str
    qop: str
    opaque: str | None = None

    def to_value(self) -> str:
        """Format as the value of Authorization or Proxy-Authorization."""
        parts = [
            f"username={_quote(self.username)}",
            f"realm={_quote(self.realm)}",
            f"nonce={_quote(self.nonce)}",
            f"uri={_quote(self.uri)}",
            f'response="{self.response}"',
            f"algorithm={self.algorithm}",
            f"cnonce={_quote(self.cnonce)}",
            f"qop={self.qop}",
            f"nc={self.nonce_count}",
        ]
        if self.opaque is not None:
            parts.append(f"opaque={_quote(self.opaque)}")
        return "Digest " + ", ".join(parts)


def parse_digest(value: str) -> DigestFields | None:
    """Read digest credentials; None for another scheme or an algorithm we do not know.

    Raises MalformedDigest, whose text never holds what the peer sent.
    """
    params = _params(value)
    if params is None:
        return None
    algorithm = _ALGORITHMS.get(params.get("algorithm", "MD5").lower())
    if algorithm is None:
        return None
    fields = DigestFields(
        username=_needed(params, "username"),
        realm=_needed(params, "realm"),
        nonce=_needed(params, "nonce"),
        uri=_needed(params, "uri"),
        response=_needed(params, "response"),
        algorithm=algorithm,
        cnonce=params.get("cnonce", ""),
        nonce_count=params.get("nc", ""),
        qop=params.get("qop", "").lower(),
        opaque=params.get("opaque"),
    )
    if _HEX.fullmatch(fields.response) is None:
        raise MalformedDigest("response is not hexadecimal")
    if fields.qop and (_COUNT.fullmatch(fields.nonce_count) is None or not fields.cnonce):
        raise MalformedDigest("qop without a cnonce and an nc of 8 hexadecimal digits")
    return fields


def _params(value: str) -> dict[str, str] | None:
    """The parameters of a Digest value by lower-case name; None for another scheme."""
    scheme = _SCHEME.match(value)
    if scheme is None:
        return None
    if len(value) > MAX_VALUE:
        raise MalformedDigest(f"longer than {MAX_VALUE} characters")
    params: dict[str, str] = {}
    at = scheme.end()
    while at < len(value):
        found = _PARAM.match(value, at)
        if found is None:
            raise MalformedDigest("not a list of name=value")
        name = found[1].lower()
        if name in params:
            raise MalformedDigest(f"{name if name in _KNOWN else 'a parameter'} is there twice")
        if len(params) == MAX_PARAMS:
            raise MalformedDigest(f"more than {MAX_PARAMS} parameters")
        params[name] = _ESCAPED.sub(r"\1", found[2]) if found[2] is not None else found[3]
        at = found.end()
    return params


_KNOWN = frozenset(
    ("username", "realm", "nonce", "uri", "response", "algorithm", "cnonce", "nc", "qop", "opaque")
)


def _needed(params: dict[str, str], name: str) -> str:
    if name not in params:
        raise MalformedDigest(f"{name} is missing")
    return params[name]


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
