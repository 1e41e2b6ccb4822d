"""What an issuer keeps: keys in a folder, the counts of a day in a file; and how it signs apart."""

from __future__ import annotations

import io
import stat
from pathlib import Path

import pytest

from discovery.privacy.blind_rsa import PSS_DETERMINISTIC, blind, finalize
from discovery.privacy.reason import Fault, PrivacyError
from discovery.privacy.rsa_numbers import RsaPrivateKey
from gateway.config.load import ConfigError
from gateway.token_issuer.key_folder import KeyFolder
from gateway.token_issuer.quota import SqliteQuota
from gateway.token_issuer.signer import MAX_FRAME, frame, frame_length, sign_all

NOW = 1_795_000_000.0
DAY = 86_400


def test_the_first_key_is_made_for_its_owner_alone_and_read_again(tmp_path: Path) -> None:
    folder = KeyFolder(tmp_path / "keys", 100.0)
    (made,) = folder.load(NOW)
    (again,) = KeyFolder(tmp_path / "keys", 100.0).load(NOW)
    assert again.public == made.public
    (path,) = (tmp_path / "keys").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_keys_overlap_and_what_has_ended_is_deleted(tmp_path: Path) -> None:
    folder = KeyFolder(tmp_path, 100.0)
    folder.load(NOW)
    folder.make(NOW + 1_000, NOW)
    new, old = folder.load(NOW)
    assert (new.not_before, old.issue_until) == (NOW + 1_000, NOW + 1_100)
    assert new.public.truncated_key_id != old.public.truncated_key_id
    assert len(folder.load(NOW + 1_099)) == 2
    assert [key.public for key in folder.load(NOW + 1_100)] == [new.public]
    assert len(list(tmp_path.iterdir())) == 1


def test_two_keys_for_one_moment_and_too_many_are_refused(tmp_path: Path) -> None:
    folder = KeyFolder(tmp_path, 1e9)
    folder.load(NOW)
    with pytest.raises(ConfigError, match="begins at that moment"):
        folder.make(NOW, NOW)
    for number in range(1, 8):
        folder.make(NOW + number, NOW)
    with pytest.raises(ConfigError, match="8 keys"):
        folder.make(NOW + 9, NOW)


@pytest.mark.parametrize("content", [b"", b"nonsense", RsaPrivateKey.generate(1_024).to_pem()])
def test_a_file_that_is_no_key_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token-1.key").write_bytes(content)
    (tmp_path / "notes.txt").write_bytes(b"left alone")
    with pytest.raises(ConfigError, match=r"token-1\.key"):
        KeyFolder(tmp_path, 1.0).load(NOW)


def test_counts_of_a_day_outlive_the_process_and_a_clock_set_back(tmp_path: Path) -> None:
    file = tmp_path / "state" / "quota.db"
    quota = SqliteQuota(file, {"alpha": 2, "beta": 1})
    quota.take("alpha", NOW)
    quota.take("beta", NOW)
    quota.close()
    quota = SqliteQuota(file, {"alpha": 2, "beta": 1})
    quota.take("alpha", NOW)
    for client, moment in (("alpha", NOW), ("beta", NOW), ("alpha", NOW - DAY), ("nobody", NOW)):
        with pytest.raises(PrivacyError) as refused:
            quota.take(client, moment)
        assert refused.value.fault is Fault.QUOTA_USED_UP
    quota.take("alpha", NOW + DAY)
    assert quota.given("alpha") == 1
    quota.close()
    with pytest.raises(PrivacyError) as failed:
        quota.take("alpha", NOW + DAY)
    assert failed.value.fault is Fault.OVERLOADED


def test_a_clock_that_was_years_ahead_once_ends_no_quota(tmp_path: Path) -> None:
    file = tmp_path / "quota.db"
    quota = SqliteQuota(file, {"alpha": 1})
    quota.take("alpha", NOW + 20 * 365 * DAY)
    quota.close()
    quota = SqliteQuota(file, {"alpha": 1})
    quota.take("alpha", NOW)
    with pytest.raises(PrivacyError):
        quota.take("alpha", NOW)
    quota.take("alpha", NOW + DAY)
    quota.close()


def test_a_quota_file_that_is_none_is_named(tmp_path: Path) -> None:
    file = tmp_path / "quota.db"
    file.write_bytes(b"this is no database at all" * 100)
    with pytest.raises(ConfigError, match=r"issuer\.state_directory"):
        SqliteQuota(file, {})


def test_a_process_signs_job_after_job_and_says_nothing_for_a_bad_one() -> None:
    key = RsaPrivateKey.generate()
    prepared = b"message"
    blinded = blind(PSS_DETERMINISTIC, key.public, prepared)
    pem = key.to_pem()
    jobs = b"".join(
        frame(part)
        for part in (pem, blinded.message, pem, b"short", b"no key", blinded.message, pem)
    )
    answers = io.BytesIO()
    sign_all(io.BytesIO(jobs + b"\0\0"), answers)
    answers.seek(0)
    said = []
    while head := answers.read(4):
        said.append(answers.read(frame_length(head)))
    assert [len(each) for each in said] == [256, 0, 0]
    finalize(PSS_DETERMINISTIC, key.public, prepared, said[0], blinded.inverse)


@pytest.mark.parametrize("head", [b"", b"\0\0\0", (MAX_FRAME + 1).to_bytes(4, "big")])
def test_a_length_out_of_range_is_none(head: bytes) -> None:
    with pytest.raises(ValueError, match="no frame"):
        frame_length(head)
