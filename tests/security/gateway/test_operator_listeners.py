"""F1: the operator's listeners are for this machine and for whoever has the credential."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from gateway.config.directory import DirectoryConfig
from gateway.config.load import ConfigError
from gateway.config.oblivious_services import IssuerConfig, RelayConfig
from gateway.config.root import Admin, Config
from gateway.config.split_storage_services import BucketsConfig, EvaluatorConfig
from gateway.http.listener import HttpListener
from gateway.metrics import Exposition
from gateway.operator_listener import operator_listener

CONFIGS = (Config, DirectoryConfig, IssuerConfig, RelayConfig, EvaluatorConfig, BucketsConfig)


@pytest.mark.parametrize("config", CONFIGS)
def test_there_is_no_listener_unless_asked_for_and_then_on_loopback(
    config: type[BaseModel],
) -> None:
    field = config.model_fields["admin"]
    assert (field.default, field.annotation) == (None, Admin | None)
    assert Admin(token=SecretStr("x")).address == "127.0.0.1"


@pytest.mark.parametrize("given", [{}, {"token": "x", "token_file": "y"}])
def test_one_credential_is_demanded(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="exactly one of 'token' and 'token_file'"):
        Admin.model_validate(given)


class Nothing:
    """A service with nothing to count."""

    listener: HttpListener

    def measure(self, exposition: Exposition) -> None: ...

    def health(self) -> str:
        return "ok"


@pytest.mark.parametrize("text", [b"", b"\n", b" \nsecond line", b"\xff\xfe"])
def test_a_credential_that_is_none_is_an_error_that_names_its_key(
    tmp_path: Path, text: bytes
) -> None:
    file = tmp_path / "admin.token"
    file.write_bytes(text)
    with pytest.raises(ConfigError) as caught:
        operator_listener(Admin(token_file=file), Nothing(), "directory")
    assert caught.value.key == "admin.token_file"
