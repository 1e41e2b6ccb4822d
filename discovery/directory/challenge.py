"""Proof of control over a number or mailbox, in the two parts of RFC 8823.

Part 1 goes to the number (by one or two SMS routes) or mailbox, part 2 comes back over HTTPS. The
answer binds both to the key that is to be certified: SHA-256 over part 1, part 2, a dot, and the
thumbprint of the JWK (RFC 8823 section 3, RFC 8555 section 8.1).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from discovery.directory.identifier import Identifier, Scheme
from discovery.directory.jws import encode
from discovery.directory.reason import Refusal, Refused

LIFETIME: Final = 600.0
MAX_TRIES: Final = 5
CODE_DIGITS: Final = 8
MAX_ROUTES: Final = 2
# RFC 8823 section 3: at least 128 bits. A text message is read and typed by a person instead: there
# few tries, few challenges and a short life stand for the missing bits.
_TOKEN_OCTETS: Final = 16
_SEPARATORS: Final = re.compile(r"[ \-.]")


@dataclass(frozen=True, slots=True)
class Challenge:
    """A challenge as its maker keeps it: not the parts, but what the right answer is.

    `sent` are the parts to deliver, one a route; never kept, never logged.
    """

    challenge_id: str
    csi: Identifier
    thumbprint: str
    part2: str = field(repr=False)
    answer: str = field(repr=False)
    sent: tuple[str, ...] = field(repr=False)


def make_challenge(
    csi: Identifier, thumbprint: str, random: Callable[[int], bytes], *, routes: int = 1
) -> Challenge:
    """Make a challenge for a key; `random` gives octets of chance, `routes` is 1 or 2."""
    if csi.scheme is Scheme.MAILTO:
        sent: tuple[str, ...] = (encode(random(_TOKEN_OCTETS)),)
    else:
        sent = tuple(_digits(random) for _ in range(routes))
    part2 = encode(random(_TOKEN_OCTETS))
    answer = key_authorization("".join(sent), part2, thumbprint)
    return Challenge(encode(random(_TOKEN_OCTETS)), csi, thumbprint, part2, answer, sent)


def key_authorization(part1: str, part2: str, thumbprint: str) -> str:
    """Return the base64url digest by which a key holder answers."""
    return encode(
        hashlib.sha256(f"{part1}{part2}.{thumbprint}".encode("ascii", "replace")).digest()
    )


def read_code(text: str, csi: Identifier) -> str:
    """Return part 1 as a person typed it: codes of text messages without their separators."""
    return text.strip() if csi.scheme is Scheme.MAILTO else _SEPARATORS.sub("", text.strip())


def check_challenge_answer(given: str, expected: str) -> None:
    """Compare in constant time; raises Refused(WRONG_CODE)."""
    if not hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode("ascii")):
        raise Refused(Refusal.WRONG_CODE, "the code is not the one that was sent")


def message_text(code: str, place: int, places: int) -> str:
    """Return the text message that carries one part: in fixed words, without links."""
    order = f" ({place} of {places})" if places > 1 else ""
    return (
        f"Code{order}: {code[:4]}-{code[4:]}. It lets a device be found under this number. "
        "Do not pass it on to anybody. If you asked for nothing, ignore this message."
    )


def _digits(random: Callable[[int], bytes]) -> str:
    """Eight digits, each value as likely as any other but for one part in 10^11."""
    return f"{int.from_bytes(random(8)) % 10**CODE_DIGITS:0{CODE_DIGITS}d}"
