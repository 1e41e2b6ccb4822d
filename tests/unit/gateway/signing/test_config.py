"""The section of our STI-AS/VS interface: it never starts open to strangers."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gateway.config import ConfigError, load_config
from gateway.keys import load_keys
from gateway.services import dns_resolver, make_fetch_client
from gateway.signing.remote_identity import RemoteIdentityServices
from gateway.stir_service import StirService
from tests.unit.gateway.test_config import MINIMAL, write

API = '\n[stir.api]\n{more}\n[[stir.api.client]]\nname = "switch"\n{client}\n'
TOKEN = 'token = "sixteen characters"'


@pytest.mark.parametrize(
    ("more", "client", "says"),
    [
        ("", "", "nobody is served unknown"),
        ('address = "192.0.2.1"', TOKEN, "beyond loopback"),
        ('address = "0.0.0.0"', TOKEN, "beyond loopback"),
        ('certificate = "a.pem"', TOKEN, "both"),
        ("", 'domain = "switch.example"', "client_trust_anchors"),
        ("", f'{TOKEN}\ntoken_file = "x"', "only one"),
        ("", f'{TOKEN}\n[[stir.api.client]]\nname = "switch"\n{TOKEN}', "same name"),
    ],
)
def test_what_would_be_open_is_refused(tmp_path: Path, more: str, client: str, says: str) -> None:
    text = MINIMAL + API.format(more=more, client=client)
    with pytest.raises(ConfigError) as error:
        load_config(write(tmp_path, text), {})
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("client", "says"),
    [
        ('token = "short"', "16 characters"),
        (f'{TOKEN}\n[[stir.api.client]]\nname = "other"\n{TOKEN}', "another client's"),
    ],
)
def test_tokens_are_long_and_each_clients_own(tmp_path: Path, client: str, says: str) -> None:
    config = load_config(write(tmp_path, MINIMAL + API.format(more="", client=client)), {})
    with pytest.raises(ConfigError) as error:
        load_keys(config)
    assert says in str(error.value)
    assert "sixteen" not in str(error.value)


REMOTE = "\n[stir.remote]\n{more}\n[[stir.remote.instance]]\n{instance}\n"
SIGNING = 'signing = "https://sti.example:8443/stir/v1/signing?id=1&key=secret"'


@pytest.mark.parametrize(
    ("more", "instance", "says"),
    [
        ("", SIGNING, "no instance has 'verification'"),
        ("verify = false", "", "no instance has 'signing'"),
        ("verify = false", SIGNING.replace("https", "http"), "not an https URL"),
        ('verify = false\ncertificate = "a.pem"', SIGNING, "both"),
        ('verify = false\ntoken = "a"\ntoken_file = "b"', SIGNING, "only one"),
    ],
)
def test_a_remote_service_that_cannot_work_is_refused(
    tmp_path: Path, more: str, instance: str, says: str
) -> None:
    text = MINIMAL + REMOTE.format(more=more, instance=instance)
    with pytest.raises(ConfigError) as error:
        load_config(write(tmp_path, text), {})
    assert says in str(error.value)
    assert "secret" not in str(error.value)


async def test_the_gateway_signs_where_it_is_told_to(tmp_path: Path) -> None:
    more = 'verify = false\ntoken = "a token"\nunsigned = "refuse"'
    text = MINIMAL + REMOTE.format(more=more, instance=SIGNING)
    config = load_config(write(tmp_path, text), {})
    resolver = dns_resolver(config.dns)
    fetch = make_fetch_client(config, resolver)
    service = StirService(config, load_keys(config), fetch, time.time, resolver)
    assert isinstance(service.identity, RemoteIdentityServices)
    assert service.remote is not None
    await service.start()
    await service.stop()
    await resolver.close()
