"""The log against published values: the roots of Certificate Transparency, Go's notes, C2SP's."""

from __future__ import annotations

from base64 import b64decode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from discovery.log.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from discovery.log.cosignature import cosignatures, parse_witness
from discovery.log.merkle import (
    EMPTY_ROOT,
    CompactRange,
    hash_leaf,
    verify_consistency,
    verify_inclusion,
)
from discovery.log.note import NoteSigner, parse_note, parse_verifier, verified
from discovery.log.reason import LogRefusal, LogRefused
from discovery.log.tiles import Tile, tile_width

# The eight leaves that every implementation of RFC 6962 is tested with, and their roots.
LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    bytes.fromhex(root)
    for root in (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
]
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_SEED = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
GO_NOTE = (
    f"{GO_TEXT}\n\u2014 PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
SOFA = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "\u2014 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5"
    "/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "\u2014 witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlr"
    "DJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
)
# A checkpoint that a public Certificate Transparency log once served, with one of its cosignatures.
ARCHE = (
    "arche2025h1.staging.ct.transparency.dev\n1432088532\n"
    "U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=\n\n"
    "\u2014 arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6"
    "hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=\n"
    "\u2014 arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwh"
    "UkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=\n"
    "\u2014 transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/"
    "KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==\n"
    "\u2014 remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI"
    "+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==\n"
)
ARCHE_KEY = (
    "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f"
)
REMORA_KEY = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"
GARDEN_KEY = (
    "transparency.dev/DEV:witness-little-garden+d8042a87+"
    "BCtusOxINQNUTN5Oj8HObRkh2yHf/MwYaGX4CPdiVEPM"
)


@pytest.mark.rfc(9162, "2.1.1")
def test_the_roots_are_those_of_certificate_transparency() -> None:
    tree = CompactRange()
    assert tree.root() == EMPTY_ROOT
    for leaf, root in zip(LEAVES, ROOTS, strict=True):
        tree.extend([hash_leaf(leaf)])
        assert tree.root() == root


@pytest.mark.rfc(9162, "2.1.3.2")
def test_a_published_inclusion_proof_holds() -> None:
    path = [ROOTS[1]]
    assert verify_inclusion(hash_leaf(LEAVES[2]), 2, 3, path, ROOTS[2])
    assert not verify_inclusion(hash_leaf(LEAVES[1]), 2, 3, path, ROOTS[2])


@pytest.mark.rfc(9162, "2.1.4.2")
def test_published_consistency_proofs_hold() -> None:
    from_six = [
        bytes.fromhex(each)
        for each in (
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        )
    ]
    from_two = [
        bytes.fromhex(each)
        for each in (
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        )
    ]
    assert verify_consistency(6, ROOTS[5], 8, ROOTS[7], from_six)
    assert not verify_consistency(6, ROOTS[4], 8, ROOTS[7], from_six)
    assert verify_consistency(2, ROOTS[1], 5, ROOTS[4], from_two)


def test_a_note_of_go_is_read_verified_and_written_to_the_octet() -> None:
    key = parse_verifier(GO_KEY)
    assert str(key) == GO_KEY
    note = parse_note(GO_NOTE)
    assert [found.name for found, _ in verified(note, [key])] == ["PeterNeumann"]
    private = Ed25519PrivateKey.from_private_bytes(b64decode(GO_SEED)[1:])
    assert str(NoteSigner("PeterNeumann", private).sign(GO_TEXT)) == GO_NOTE


def test_the_cosigned_checkpoint_of_the_specification_is_read() -> None:
    signed = parse_checkpoint(SOFA)
    root = b64decode("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=")
    assert signed.checkpoint == Checkpoint("example.com/behind-the-sofa", 20852163, root)
    assert str(signed.note) == SOFA
    witness = signed.note.signatures[1]
    assert int.from_bytes(witness.signature[:8], "big") == 1679315147


def test_the_checkpoint_of_a_public_log_and_two_public_witnesses_verifies() -> None:
    signed = open_checkpoint(ARCHE, parse_verifier(ARCHE_KEY))
    witnesses = [parse_witness(REMORA_KEY), parse_witness(GARDEN_KEY)]
    assert [str(one) for one in witnesses] == [REMORA_KEY, GARDEN_KEY]
    found = {one.witness.name: one.at for one in cosignatures(signed, witnesses)}
    assert found == dict.fromkeys((witnesses[0].name, witnesses[1].name), 1_779_573_024)
    with pytest.raises(LogRefused) as caught:
        open_checkpoint(ARCHE.replace("\n1432088532\n", "\n42\n"), parse_verifier(ARCHE_KEY))
    assert caught.value.reason is LogRefusal.FORGED


def test_tiles_lie_where_the_specification_says() -> None:
    assert Tile(0, 1234067).path == "tile/0/x001/x234/067"
    assert Tile(0, 273, 112).path == "tile/0/273.p/112"
    assert [tile_width(0, index, 70_000) for index in (0, 272, 273, 274)] == [256, 256, 112, 0]
    assert [tile_width(1, index, 70_000) for index in (0, 1, 2)] == [256, 17, 0]
    assert [tile_width(level, 0, 70_000) for level in (2, 3)] == [1, 0]
    assert [tile_width(level, 0, 256) for level in (0, 1)] == [256, 1]
