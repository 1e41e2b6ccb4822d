"""The annotated examples in `configs`, a file a service, written from the models.

`python -m gateway.config.reference` prints `edge.toml`, with the name of another behind it that
one; a test holds the files to them, so that they cannot age.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from gateway.config import (
    directory,
    oblivious_services,
    sealed_maps,
    split_storage,
    split_storage_services,
)
from gateway.config.root import Config

_HEADING: Final = """\
# Every key of the configuration, with its meaning, unit and default.
# A key that is commented out has no default; tables in [[double brackets]] may be repeated.
# Relative paths are relative to this file. SPINGATE_TABLE__KEY=value in the environment
# overrides a key. `spingate check -c FILE` tells what is wrong before anything listens.
"""

_EXAMPLES: Final[dict[str, Any]] = {
    "stir.verification.diverted_freshness_seconds": 180,
    "provider.domain": "edge.example",
    "provider.numbers": ["+12125550100-+12125550199"],
    "provider.state_directory": "state",
    "listen.name": "access",
    "listen.role": "access",
    "listen.transport": "tls",
    "listen.address": "192.0.2.10",
    "listen.port": 5061,
    "listen.advertise": "sip.edge.example",
    "listen.certificate": "keys/sip.pem",
    "listen.key": "keys/sip.key",
    "listen.client_trust_anchors": "keys/clients.pem",
    "sip.trust_anchors": "keys/tls-roots.pem",
    "user.username": "alice",
    "user.password": "change-me",
    "user.password_file": "keys/alice.password",
    "user.numbers": ["+12125550100"],
    "user.origid": "123e4567-e89b-42d3-a456-426614174000",
    "user.verstat": "3gpp",
    "trunk.name": "pbx",
    "trunk.domain": "pbx.example",
    "trunk.default_number": "+12125550110",
    "trunk.origid": "123e4567-e89b-42d3-a456-426614174001",
    "trunk.sources": ["192.0.2.32/28"],
    "trunk.numbers": ["+12125550110-+12125550119"],
    "route.numbers": ["+12125550110-+12125550119"],
    "route.uri": "sip:{number}@192.0.2.33:5060;transport=udp",
    "route.verstat": "pbx",
    "peer.domain": "peer.example",
    "peer.anonymous_callers": "refuse",
    "peer.identity": "mark",
    "attestation.users": ["alice"],
    "attestation.at_least": "digest-tls",
    "attestation.attest": "A",
    "attestation.origid": "123e4567-e89b-42d3-a456-426614174002",
    "verstat.name": "pbx",
    "discovery.directory.owner_trust_anchors": ["keys/number-root.pem"],
    "discovery.directory.trust_anchors": "keys/https-roots.pem",
    "discovery.directory.certificate": "keys/https.pem",
    "discovery.directory.private_key": "keys/https.key",
    "discovery.directory.prefix_map": "keys/prefixes.jws",
    "discovery.directory.prefix_map_key": "keys/prefixes.pem",
    "discovery.directory.server.url": "https://dp.example",
    "discovery.directory.server.key": "cfvGzCmxVjKyeomGY3lSvt8WDeZ_7lfYO7p0TkC6B-0",
    "discovery.directory.server.token": "change-me-please-16",
    "discovery.directory.server.token_file": "keys/directory.token",
    "discovery.directory.server.log_keys": [
        "dp.example/log+924fb67c+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c"
    ],
    "discovery.directory.server.log_witnesses": [
        "witness.example/w1+ea2ad007+BNYvAWoe/R5P33k+tCzYRHHhup8M8E0Sh7XMcfYWKHy4"
    ],
    "discovery.directory.server.log_quorum": 1,
    "discovery.directory.server.log_labels": (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    ),
    **sealed_maps.EXAMPLES,
    "discovery.directory.ask_unlisted": False,
    "discovery.directory.server.oblivious.relay": "https://relay.example/relay/dp",
    "discovery.directory.server.oblivious.keys": (
        "AC0XACCPQMWtto8lYkrlshTqdnpuyU2CnT17XhrRum8+ITgoXwAIAAEAAQABAAM="
    ),
    "discovery.directory.server.oblivious.keys_file": "keys/dp.ohttp-keys",
    "discovery.directory.server.oblivious.issuer": "https://tokens.example",
    "discovery.directory.server.oblivious.issuer_name": "tokens.example",
    "discovery.directory.server.oblivious.issuer_keys": [
        "cfvGzCmxVjKyeomGY3lSvt8WDeZ_7lfYO7p0TkC6B-0"
    ],
    "discovery.directory.server.oblivious.token": "change-me-please-16",
    "discovery.directory.server.oblivious.token_file": "keys/tokens.token",
    **split_storage_services.EXAMPLES,
    "discovery.enum.tree.suffix": "e164.edge.example",
    "discovery.enum.tree.ds": [
        "27432 13 2 4a84a7c3c5ce6bfd1bbbf5a4a4d7a8a5f9d25d6e9f6a5ef0c0d1f6b4ac3d7e21"
    ],
    "discovery.enum.tree.nameservers": ["192.0.2.53:53"],
    "spin.callback_url": "https://spin.edge.example:8443",
    "spin.address": "192.0.2.10",
    "spin.certificate": "keys/https.pem",
    "spin.key": "keys/https.key",
    "spin.agent.token": "change-me",
    "spin.agent.socket": "state/agent.sock",
    "spin.agent.certificate": "keys/https.pem",
    "spin.agent.key": "keys/https.key",
    "spin.agent.client_trust_anchors": "keys/clients.pem",
    "spin.agent.token_file": "keys/agent.token",
    "spin.network.prefix": "+33",
    "spin.network.carriages": ["reference", "text"],
    "spin.mms.url": "https://mmsc.example/mm7",
    "spin.mms.vasp_id": "edge",
    "spin.mms.vas_id": "spin",
    "spin.mms.password": "change-me",
    "spin.mms.password_file": "keys/mmsc.password",
    "spin.mms.deliver_password": "change-me",
    "spin.mms.deliver_password_file": "keys/mmsc-deliver.password",
    "spin.mms.mail.host": "mmsc.example",
    "spin.mms.mail.trust_anchors": "keys/https-roots.pem",
    "spin.mms.mail.user": "edge",
    "spin.mms.mail.password": "change-me",
    "spin.mms.mail.password_file": "keys/mmsc-mail.password",
    "spin.mms.mail.sender": "+{number}/TYPE=PLMN@edge.example",
    "spin.mms.mail.recipient": "+{number}/TYPE=PLMN@mms.example",
    "sms.http.url": "https://sms.example/v1/messages",
    "sms.http.json_body": {"from": "+{from}", "to": "+{to}", "text": "{text}"},
    "sms.http.form_body": {"From": "+{from}", "To": "+{to}", "Body": "{text}"},
    "sms.http.secret": "change-me",
    "sms.http.secret_file": "keys/sms.secret",
    "sms.http.source_address": "+12125550100",
    "sms.http.webhook_secret": "change-me-please-16",
    "sms.http.webhook_secret_file": "keys/sms-webhook.key",
    "sms.smpp.host": "smsc.example",
    "sms.smpp.system_id": "edge",
    "sms.smpp.password": "change",
    "sms.smpp.password_file": "keys/smpp.password",
    "sms.smpp.source_address": "+12125550100",
    "sms.smpp.trust_anchors": "keys/smsc-roots.pem",
    "sms.smpp.certificate": "keys/smpp.pem",
    "sms.smpp.key": "keys/smpp.key",
    "sms.trust_anchors": "keys/smsc-roots.pem",
    "sms.certificate": "keys/smpp.pem",
    "sms.key": "keys/smpp.key",
    "sms.route.prefix": "+33",
    "sms.route.order": ["http", "smpp"],
    "sms.http.answer_id": "messages.0.id",
    "stir.authentication.certificate": "keys/sti.pem",
    "stir.authentication.key": "keys/sti.key",
    "stir.authentication.x5u": "https://certs.edge.example:8443/certs/sti.pem",
    "stir.acme.directory": "https://acme.sti-ca.example/directory",
    "stir.acme.publish_url": "https://certs.edge.example:8443/certs/",
    "stir.acme.publish_directory": "certs",
    "stir.acme.service_provider_codes": ["1234"],
    "stir.acme.organization": "Edge Telecom",
    "stir.acme.country": "US",
    "stir.acme.account_key": "keys/acme-account.key",
    "stir.acme.contact": ["mailto:certificates@edge.example"],
    "stir.acme.trust_anchors": "keys/https-roots.pem",
    "stir.acme.lifetime_days": 30.0,
    "stir.acme.external_account.key_id": "customer-1234",
    "stir.acme.external_account.mac_key_file": "keys/acme-external.key",
    "stir.acme.token.file": "keys/authority-token",
    "stir.acme.token.command": [],
    "stir.acme.token.url": "https://sti-pa.example/api/v1/account/1234/token",
    "stir.acme.token.login_url": "https://sti-pa.example/api/v1/auth/login",
    "stir.acme.token.user": "edge",
    "stir.acme.token.password_file": "keys/sti-pa.password",
    "stir.acme.token.bearer_token_file": "keys/sti-pa.token",
    "stir.acme.token.trust_anchors": "keys/https-roots.pem",
    "stir.verification.trust_anchors": ["keys/sti-root.pem"],
    "stir.repository.address": "192.0.2.11",
    "stir.repository.certificate": "keys/https.pem",
    "stir.repository.key": "keys/https.key",
    "stir.repository.directory": "certs",
    "peer.out_of_band": False,
    "stir.oob.urls": ["https://cps.example"],
    "stir.oob.issuer": "12125550100",
    "stir.oob.trust_anchors": "keys/https-roots.pem",
    "stir.oob.recipient.numbers": ["+14155550100-+14155550199"],
    "stir.oob.recipient.key": "keys/peer-oob.pem",
    "trunk.redirect_host": "switch.edge.example",
    "stir.api.certificate": "keys/https.pem",
    "stir.api.key": "keys/https.key",
    "stir.api.client_trust_anchors": "keys/clients.pem",
    "stir.api.client.name": "softswitch",
    "stir.api.client.token": "change-me-please-16",
    "stir.api.client.token_file": "keys/softswitch.token",
    "stir.api.client.domain": "switch.edge.example",
    "stir.api.client.numbers": ["+12125550110-+12125550119"],
    "stir.remote.instance.signing": "https://sti.example/stir/v1/signing",
    "stir.remote.instance.verification": "https://sti.example/stir/v1/verification",
    "stir.remote.token": "change-me",
    "stir.remote.token_file": "keys/sti.token",
    "stir.remote.trust_anchors": "keys/https-roots.pem",
    "stir.remote.certificate": "keys/https.pem",
    "stir.remote.key": "keys/https.key",
    "stir.call_placement.address": "192.0.2.12",
    "stir.call_placement.certificate": "keys/https.pem",
    "stir.call_placement.key": "keys/https.key",
    "stir.call_placement.names": ["cps.edge.example"],
    "stir.rich_call_data.users": ["alice"],
    "stir.rich_call_data.name": "Edge Example",
    "stir.rich_call_data.icon_url": "https://www.edge.example/icon-256x256.png",
    "stir.rich_call_data.icon_file": "icon-256x256.png",
    "stir.rich_call_data.call_reason": "Your order",
    "stir.priority.authority.namespaces": ["ets", "wps"],
    "stir.priority.authority.service_provider_codes": ["1234"],
    "stir.trust_list.url": "https://policy-administrator.example/api/v1/ca-list",
    "stir.trust_list.administrator": "keys/sti-pa.pem",
    "stir.transparency.log.name": "example log",
    "stir.transparency.log.key": "keys/log.pem",
    "stir.revocation.administrator.url": "https://sti-pa.example/crl",
    "stir.revocation.administrator.certificates": ["keys/sti-pa-crl.pem"],
    "fetch.trust_anchors": "keys/https-roots.pem",
    "media.access_advertise": "192.0.2.10",
    "media.peers_advertise": "192.0.2.10",
    "admin.token": "change-me",
    "admin.token_file": "keys/admin.token",
    "log.trace_file": "state/trace.jsonl",
    "log.call_record_file": "state/calls.jsonl",
}
_SHOWN: Final = frozenset(
    {
        "discovery.directory.server.oblivious.token_file",
        *sealed_maps.SHOWN,
        *split_storage.SHOWN,
        *split_storage_services.SHOWN,
        "listen.certificate",
        "listen.key",
        "listen.advertise",
        "user.password_file",
        "peer.domain",
        "peer.identity",
        "spin.agent.token_file",
        "stir.api.client.token_file",
        "stir.remote.instance.signing",
        "stir.remote.instance.verification",
        "stir.acme.token.file",
        "stir.authentication.certificate",
        "stir.authentication.key",
        "stir.authentication.x5u",
        "sms.smpp.password_file",
        "admin.token_file",
    }
)
_UNITS: Final = (
    ("_seconds", "seconds"),
    ("_bytes", "bytes"),
    ("_hour", "an hour"),
    ("_minute", "a minute"),
)


def edge_toml() -> str:
    """Return the text of the annotated example configuration (TOML 1.0)."""
    return _HEADING + "".join(_table(Config, "", repeated=False)).rstrip() + "\n"


def directory_toml() -> str:
    """Return the text of the annotated example of a directory service (TOML 1.0)."""
    return _service_toml(directory.DirectoryConfig, "directory run")


def issuer_toml() -> str:
    """Return the text of the annotated example of a token issuer (TOML 1.0)."""
    return _service_toml(oblivious_services.IssuerConfig, "directory issuer")


def relay_toml() -> str:
    """Return the text of the annotated example of a relay (TOML 1.0)."""
    return _service_toml(oblivious_services.RelayConfig, "directory relay")


def evaluator_toml() -> str:
    """Return the text of the annotated example of an evaluator (TOML 1.0)."""
    return _service_toml(split_storage_services.EvaluatorConfig, "directory evaluator")


def buckets_toml() -> str:
    """Return the text of the annotated example of a bucket store (TOML 1.0)."""
    return _service_toml(split_storage_services.BucketsConfig, "directory buckets")


def _service_toml(model: type[BaseModel], command: str) -> str:
    heading = _HEADING.replace("spingate check -c FILE", f"spingate {command} -c FILE")
    return heading + "".join(_table(model, "", repeated=False)).rstrip() + "\n"


def _model_of(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The model behind an annotation, and whether the table may be repeated."""
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [item for item in get_args(annotation) if item is not type(None)]
        return _model_of(inner[0])
    if get_origin(annotation) is tuple:
        return _model_of(get_args(annotation)[0])[0], True
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    return None, False


def _table(model: type[BaseModel], path: str, *, repeated: bool) -> list[str]:
    lines: list[str] = []
    if path:
        lines.append(f"[[{path}]]\n" if repeated else f"[{path}]\n")
    tables: list[str] = []
    for name, field in model.model_fields.items():
        key = f"{path}.{name}" if path else name
        inner, many = _model_of(field.annotation)
        if inner is None:
            lines += _key(key, name, field)
        else:
            tables += ["\n", _wrapped(field.description or ""), *_table(inner, key, repeated=many)]
    if path and not any("=" in line for line in lines):
        lines = []
    return lines + tables


def _key(key: str, name: str, field: FieldInfo) -> list[str]:
    default = field.default
    shown = default if default is not PydanticUndefined and default not in (None, ()) else None
    facts = [_facts(name, field)]
    example = _examples().get(key, shown)
    if example is None:
        example = [] if default == () else _examples()[key]
    commented = default is None and key not in _SHOWN | directory.SHOWN | oblivious_services.SHOWN
    if default is PydanticUndefined:
        facts.append("required")
    elif default is None:
        facts.append("no default")
    else:
        facts.append(f"default {_toml(default)}")
    comment = _wrapped(f"{field.description} ({', '.join(fact for fact in facts if fact)})")
    return [comment, f"{'# ' if commented else ''}{name} = {_toml(example)}\n"]


def _examples() -> dict[str, Any]:
    services = {**oblivious_services.ISSUER_EXAMPLES, **oblivious_services.RELAY_EXAMPLES}
    return {**services, **directory.EXAMPLES, **_EXAMPLES}


def _facts(name: str, field: FieldInfo) -> str:
    unit = next((unit for suffix, unit in _UNITS if name.endswith(suffix)), "")
    annotation = field.annotation
    if get_origin(annotation) in (Union, types.UnionType):
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Literal:
        return " | ".join(str(choice) for choice in get_args(annotation))
    return unit


def _wrapped(text: str, width: int = 94) -> str:
    lines, line = [], "#"
    for word in text.split():
        if len(line) + 1 + len(word) > width:
            lines.append(line)
            line = "#"
        line += f" {word}"
    return "\n".join([*lines, line]) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:_}" if isinstance(value, int) and value > 9_999 else str(value)
    if isinstance(value, dict):
        members = (f"{_toml(name)} = {_toml(item)}" for name, item in value.items())
        return "{ " + ", ".join(members) + " }" if value else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, SecretStr | Path):
        return _toml(str(value))
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


WRITTEN: Final = {
    "edge": edge_toml,
    "directory": directory_toml,
    "issuer": issuer_toml,
    "relay": relay_toml,
    "evaluator": evaluator_toml,
    "buckets": buckets_toml,
}

if __name__ == "__main__":
    sys.stdout.write(WRITTEN[(sys.argv[1:] or ["edge"])[0]]())
