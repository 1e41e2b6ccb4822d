"""The sections of out-of-band STIR: what is missing or wrong is one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import ConfigError, load_config
from gateway.config.load import load_file
from gateway.config.oob import OutOfBand, Recipient
from gateway.config.root import CallPlacementConfig
from gateway.oob.keys import load_out_of_band_keys
from stir.certificates.issuing import key_to_pem, new_key
from tests.unit.gateway.test_config import MINIMAL, write

OOB = '[stir.oob]\nurls = ["https://cps.example"]\nissuer = "1234"\n'
PLACEMENT = 'address = "127.0.0.1"\ncertificate = "a.pem"\nkey = "a.key"\nnames = ["cps.example"]\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (OOB, "needs [stir.authentication]"),
        (OOB.replace("https", "http"), "not a plain https URL"),
        (OOB.replace("cps.example", "u:p@cps.example"), "not a plain https URL"),
        (OOB.replace("cps.example", "cps.example/?a"), "not a plain https URL"),
        (OOB.replace("1234", "has space"), "issuer"),
        (f"[stir.call_placement]\n{PLACEMENT}", "needs trust_anchors"),
        (f"[stir.call_placement]\n{PLACEMENT}lifetime_seconds = 61.0\n", "lifetime_seconds"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(write(tmp_path, f"{MINIMAL}\n{text}"), {})
    assert says in str(error.value)


def test_a_service_by_itself_has_a_file_of_its_own(tmp_path: Path) -> None:
    text = f'[call_placement]\n{PLACEMENT}trust_anchors = ["root.pem"]\n'
    config = load_file(write(tmp_path, text), CallPlacementConfig, {})
    assert config.call_placement.trust_anchors == (tmp_path / "root.pem",)
    with pytest.raises(ConfigError, match="trust_anchors"):
        load_file(write(tmp_path, f"[call_placement]\n{PLACEMENT}"), CallPlacementConfig, {})


def test_keys_are_read_and_wrong_ones_named(tmp_path: Path) -> None:
    key = tmp_path / "own.key"
    key.write_bytes(key_to_pem(new_key()))
    settings = OutOfBand(
        urls=("https://cps.example/",), issuer="+12125550100", decryption_keys=(key,)
    )
    assert (settings.urls, settings.issuer) == (("https://cps.example",), "12125550100")
    assert len(load_out_of_band_keys(settings).own) == 1
    assert "key" not in repr(load_out_of_band_keys(settings)).split("recipients")[0]
    wrong = settings.model_copy(
        update={"recipient": (Recipient(numbers=("+14155550100",), key=key),)}
    )
    with pytest.raises(ConfigError, match=r"stir\.oob\.recipient\[0\]\.key"):
        load_out_of_band_keys(wrong)
    key.write_text("nothing")
    with pytest.raises(ConfigError, match=r"stir\.oob\.decryption_keys\[0\]"):
        load_out_of_band_keys(settings)
