"""Whatever stands in an Authorization or a challenge, only the declared error comes out."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from sip.digest_fields import Challenge, DigestFields, MalformedDigest, parse_digest

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=40)
WORDS = 'Digest |username|realm|nc|qop|algorithm|=|,|"|\\| |\t|MD5|auth|00000001|cnonce|nonce|uri'
PIECES = st.lists(st.sampled_from(WORDS.split("|")) | st.characters(), max_size=60).map("".join)


@given(PIECES | TEXT.map("Digest {}".format))
def test_reading_never_raises_anything_else(value: str) -> None:
    for read in (parse_digest, Challenge.parse):
        with contextlib.suppress(MalformedDigest):
            read(value)


@given(TEXT, TEXT, TEXT, st.integers(0, 2**32 - 1))
def test_credentials_read_back_as_they_were_written(
    username: str, realm: str, opaque: str, count: int
) -> None:
    fields = DigestFields(
        username, realm, "n", "sip:x", "0" * 64, "SHA-256", "c", f"{count:08x}", "auth", opaque
    )
    assert parse_digest(fields.to_value()) == fields


@given(TEXT, TEXT)
def test_challenges_read_back_as_they_were_written(realm: str, opaque: str) -> None:
    challenge = Challenge(realm, "n", "SHA-256", stale=True, opaque=opaque)
    assert Challenge.parse(challenge.to_value()) == challenge
