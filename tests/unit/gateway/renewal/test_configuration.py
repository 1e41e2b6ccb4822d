"""[stir.acme] says what is wrong in it; `spingate check` says what went wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.checks import _renewal
from gateway.config import ConfigError, load_config
from gateway.renewal.store import CertificateStore, Failure
from stir.certificates.tn_auth_list import One, Range, Spc

BASE = """
[provider]
domain = "alpha.example"
numbers = ["+14155550100-+14155550199"]
state_directory = "state"

[[listen]]
name = "peers"
role = "peers"
transport = "udp"
address = "127.0.0.1"
port = 5060
"""
SIGNING = "[stir.authentication]\n"
ACME = """
[stir.acme]
directory = "https://acme.sti-ca.example/directory"
publish_url = "https://certs.alpha.example:8443/certs/"
publish_directory = "certs"
service_provider_codes = ["1234"]
"""
TOKEN = '[stir.acme.token]\nfile = "token"\n'


def load(folder: Path, text: str) -> None:
    path = folder / "gateway.toml"
    path.write_text(BASE + text, encoding="utf-8")
    load_config(path, {})


def test_the_numbers_and_codes_become_the_list_that_is_ordered(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    numbers = 'numbers = ["+14155550100", "+14155550110-+14155550119"]\n'
    path.write_text(BASE + SIGNING + ACME + numbers + TOKEN, encoding="utf-8")
    acme = load_config(path, {}).stir.acme
    assert acme is not None
    assert acme.tn_auth_list().entries == (
        Spc("1234"),
        One("14155550100"),
        Range("14155550110", 10),
    )


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (SIGNING, "needs 'certificate', 'key' and 'x5u'"),
        (SIGNING + 'x5u = "https://a.example/a.pem"\n', "go together"),
        (ACME + TOKEN, r"\[stir.acme\] needs \[stir.authentication\]"),
        (SIGNING + ACME, "stir.acme.token: is missing"),
        (SIGNING + ACME.replace('publish_directory = "certs"', "") + TOKEN, "publish_directory"),
        (SIGNING + ACME.replace("https://acme", "http://acme") + TOKEN, "stir.acme.directory"),
        (SIGNING + ACME.replace("/certs/", "/certs") + TOKEN, "ends with '/'"),
        (SIGNING + ACME.replace('["1234"]', "[]") + TOKEN, "make no TNAuthList"),
        (SIGNING + ACME.replace('"1234"', '"12 34"') + TOKEN, "make no TNAuthList"),
        (SIGNING + ACME + 'contact = ["tel:+1"]\n' + TOKEN, "stir.acme.contact"),
        (SIGNING + ACME + "renew_life_left = 1.0\n" + TOKEN, "stir.acme.renew_life_left"),
        (SIGNING + ACME + TOKEN + 'command = ["a"]\n', "exactly one"),
        (SIGNING + ACME + "[stir.acme.token]\n", "exactly one"),
        (SIGNING + ACME + TOKEN + 'bearer_token_file = "b"\n', "go with 'url'"),
        (
            SIGNING + ACME + '[stir.acme.token]\nurl = "https://a.example/t"\n'
            'login_url = "https://a.example/l"\n',
            "needs 'user'",
        ),
    ],
)
def test_a_wrong_section_is_told_with_its_key(tmp_path: Path, text: str, part: str) -> None:
    with pytest.raises(ConfigError, match=part):
        load(tmp_path, text)


def test_check_tells_why_the_last_renewal_failed_and_what_to_do(tmp_path: Path) -> None:
    store = CertificateStore(tmp_path)
    assert _renewal(store).outcome == "passed"
    store.note_failure(Failure(0.0, 3, "the order was refused", "token authority", "get a token"))
    finding = _renewal(store)
    assert (finding.outcome, finding.hint) == ("failed", "get a token")
    assert "attempt 3; fault: token authority" in finding.detail
    store.forget_failure()
    assert _renewal(store).outcome == "passed"
