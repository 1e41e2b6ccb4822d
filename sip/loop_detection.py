"""Loop detection by a keyed hash in the branch (RFC 3261 section 16.3 item 4, RFC 5393 section 4).

Each branch this proxy makes ends in a token: a hash of all that decided where the request went.
A request that comes back with a Via carrying the token it would get again is a loop; one that
comes back changed (another Request-URI, fewer Routes) is a spiral, which is legal.

The key is what says that a Via is ours: no peer can make such a token, and the members of a
cluster, who share the key, recognise each other's.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from sip.message import Request

_TOKEN_BYTES: Final = 8
# A token character that hardly any branch or host holds: most requests need not be hashed.
_MARK: Final = "~"
_HASHED: Final = ("Call-ID", "CSeq", "Route", "Proxy-Require", "Proxy-Authorization")


def branch_suffix(request: Request, loop_key: bytes) -> str:
    """Return what the branch of every forwarded copy of a request has to end in.

    The request is as received, with this proxy's own Route values taken off: the Request-URI and
    the Routes decide where it goes, Call-ID and CSeq tell it from the other requests of a call
    (RFC 5393 section 4.2.1). They are hashed as written, so a copy made from other headers of
    the same request has the same token. `loop_key` is 16 to 64 secret bytes.
    """
    parts = [request.request_uri]
    headers = request.headers
    for name in _HASHED:
        parts += headers.all(name)
        parts.append("")
    # A line break ends each part, which no part can hold: none can pass for two.
    text = "\n".join(parts).encode("utf-8", "surrogateescape")
    return _MARK + blake2b(text, digest_size=_TOKEN_BYTES, key=loop_key).hexdigest()


def may_be_loop(request: Request) -> bool:
    """Tell whether `is_loop` is worth asking: no Via of a request seen first holds a token."""
    return any(_MARK in via for via in request.headers.all("Via"))


def is_loop(request: Request, loop_key: bytes) -> bool:
    """Tell whether a request has been forwarded by us before, just as it is now.

    Like `branch_suffix`, it is given the request without our own Route values.
    """
    suffix = branch_suffix(request, loop_key)
    return any(suffix in via for via in request.headers.all("Via"))
