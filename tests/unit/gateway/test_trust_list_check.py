"""What `spingate check` says of the list of trusted STI-CAs."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.keys import load_keys
from gateway.trust_list_check import kept_trust_list
from gateway.trust_list_file import NAME, KeptList, save_list
from stir.certificates.issuing import make_root, to_pem
from tests.support.call_scene import make_config
from tests.support.trust_lists import Administrator

DAY = 86_400


@pytest.mark.parametrize(
    ("state", "outcome", "roots"),
    [
        ("none", "skipped", 0),
        ("damaged", "failed", 0),
        ("current", "passed", 1),
        ("ends soon", "warning", 1),
        ("expired", "failed", 1),
        ("too old", "failed", 0),
    ],
)
def test_the_kept_list(tmp_path: Path, state: str, outcome: str, roots: int) -> None:
    now = time.time()
    administrator = Administrator(make_root("PA", now))
    certificate = administrator.certified(not_before=0, not_after=now + 99 * DAY)
    (tmp_path / "pa.pem").write_bytes(to_pem([certificate]))
    days = {"current": 30, "ends soon": 2, "expired": -1, "too old": -8}.get(state)
    if days is not None:
        data = administrator.signed(
            [make_root("Root", now).certificate], expires=int(now + days * DAY)
        )
        found = administrator.read(data, now, trusted=[certificate], expired=True)
        save_list(tmp_path, KeptList(found, now))
    elif state == "damaged":
        (tmp_path / NAME).write_text("{}")
    stir: dict[str, Any] = {
        "verification": {},
        "trust_list": {"administrator": tmp_path / "pa.pem"},
    }
    config = make_config(stir=stir, user=[], trunk=[], route=[])
    provider = config.provider.model_copy(update={"state_directory": tmp_path})
    listen = tuple(each.model_copy(update={"certificate": None}) for each in config.listen)
    config = config.model_copy(update={"provider": provider, "listen": listen})
    finding, anchors = kept_trust_list(config, load_keys(config))
    assert finding is not None
    assert (finding.outcome, len(anchors)) == (outcome, roots)


def test_without_the_section_nothing_is_said() -> None:
    config = make_config()
    listen = tuple(each.model_copy(update={"certificate": None}) for each in config.listen)
    stir = config.stir.model_copy(update={"verification": None})
    config = config.model_copy(update={"listen": listen, "stir": stir})
    keys = replace(load_keys(config), trust_list_administrator=())
    assert kept_trust_list(config, keys) == (None, ())
