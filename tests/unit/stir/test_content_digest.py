"""Digests as rcdi and msgi write them."""

import hashlib
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stir.content_digest import HashName, digest_of, is_digest_of, read_digest


@pytest.mark.parametrize("name", ["sha256", "sha384", "sha512"])
def test_a_digest_is_the_name_of_the_hash_and_base64(name: HashName) -> None:
    expected = b64encode(hashlib.new(name, b"Hello").digest()).decode()
    assert digest_of(b"Hello", name) == f"{name}-{expected}"


def test_padding_may_be_left_out() -> None:
    assert is_digest_of(digest_of(b"Hello").rstrip("="), b"Hello")


@given(st.binary(), st.binary())
def test_only_the_same_octets_have_the_digest(one: bytes, other: bytes) -> None:
    assert is_digest_of(digest_of(one), other) == (one == other)


@pytest.mark.parametrize(
    "written",
    [
        None,
        7,
        "",
        "sha256-",
        "md5-1B2M2Y8AsgTpgAmY7PhCfg==",
        "sha256-" + "A" * 44,
        "sha384-" + "A" * 43,
        "SHA256-" + "A" * 43,
        digest_of(b"Hello").replace("-", ":"),
        digest_of(b"Hello") + "=",
    ],
)
def test_nothing_else_is_a_digest(written: object) -> None:
    assert not is_digest_of(written, b"Hello")


def test_hash_and_size_have_to_agree() -> None:
    assert read_digest("sha512-" + digest_of(b"Hello")[7:]) is None
