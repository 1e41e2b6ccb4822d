"""What the agent's interface takes and gives, as JSON Schema (OpenAPI 3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from discovery.model import Service
from discovery.spin.app_proof import MAX_PROOF
from discovery.spin.handlers import MAX_TEMPLATE
from discovery.spin.rules import MAX_LABELS, MAX_NUMBERS, MAX_RULES, MAX_USED, Use
from gateway.http.agent_choices import MAX_CONTACTS

Schema = Mapping[str, object]

SERVICE: Final = {"type": "string", "enum": [str(service) for service in Service]}
NUMBER: Final = {
    "type": "string",
    "pattern": r"^\+?[0-9]{1,15}$",
    "description": "A telephone number or a prefix, E.164, ASCII digits.",
}
FULL_NUMBER: Final = {"type": "string", "pattern": r"^\+?[0-9]{3,15}$"}
HANDLER_ID: Final = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}

PROBLEM: Final = {
    "description": "RFC 9457 problem",
    "content": {
        "application/problem+json": {
            "schema": {
                "type": "object",
                "required": ["type", "title", "status"],
                "properties": {
                    "type": {"type": "string"},
                    "title": {"type": "string"},
                    "status": {"type": "integer"},
                    "detail": {"type": "string"},
                },
            }
        }
    },
}

APP: Final = {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"}
_LABEL: Final = {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,32}$"}
SECONDS: Final = {"type": "number", "description": "Epoch seconds."}


def closed_object(required: Schema, optional: Schema | None = None) -> Schema:
    """Return the schema of an object with these members and no other."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": {**required, **(optional or {})},
    }


_HANDLER_MEMBERS: Final[Schema] = {
    "app_id": APP,
    "svc": {
        "type": "array",
        "items": SERVICE,
        "minItems": 1,
        "maxItems": len(Service),
        "uniqueItems": True,
    },
    "uri": {
        "type": "string",
        "maxLength": MAX_TEMPLATE,
        "description": "URI template at the domain msp; {number} or {tn} becomes +digits.",
    },
    "msp": {"type": "string", "description": "The provider's domain, lower case."},
}
NEW_HANDLER: Final = closed_object(
    _HANDLER_MEMBERS,
    {
        "number": NUMBER,
        "proof": {
            "type": "string",
            "maxLength": MAX_PROOF,
            "description": "JWS (ES256, typ spin-app) over app_id, aud, nonce, number, svc, uri by "
            "a key at https://{msp}/.well-known/spin-app/{app_id}; the provider's own applications "
            "do without at its own domains.",
        },
    },
)
HANDLER: Final = {
    "type": "object",
    "required": ["id", *_HANDLER_MEMBERS, "number", "registered_at", "state"],
    "properties": {
        **_HANDLER_MEMBERS,
        "id": HANDLER_ID,
        "number": NUMBER,
        "registered_at": SECONDS,
        "state": {"enum": ["active", "pending-consent"]},
    },
}
_NAMED: Final = {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"}
_RULE: Final = closed_object(
    {
        "use": {
            "description": "A handler's id or app_id, several in order, or a word of "
            + ", ".join(Use),
            "anyOf": [
                _NAMED,
                {"type": "array", "items": _NAMED, "minItems": 1, "maxItems": MAX_USED},
            ],
        }
    },
    {
        "svc": {"type": "array", "items": SERVICE, "maxItems": len(Service)},
        "if": closed_object(
            {},
            {
                "from": {
                    "type": "array",
                    "items": FULL_NUMBER,
                    "minItems": 1,
                    "maxItems": MAX_NUMBERS,
                },
                "group": _LABEL,
                "contact": {"type": "boolean"},
                "omsp": {"const": "same"},
                "tag": _LABEL,
            },
        ),
    },
)
RULES: Final = closed_object({"rules": {"type": "array", "items": _RULE, "maxItems": MAX_RULES}})
_LABELS: Final = {"type": "array", "items": _LABEL, "maxItems": MAX_LABELS}
CONTACTS: Final = closed_object(
    {
        "contacts": {
            "type": "array",
            "maxItems": MAX_CONTACTS,
            "items": closed_object({"number": FULL_NUMBER}, {"groups": _LABELS, "tags": _LABELS}),
        }
    }
)
CREDENTIAL: Final = {
    "type": "object",
    "required": ["token", "number", "expires_at"],
    "properties": {
        "token": {"type": "string", "description": "Bearer token, told this once."},
        "number": NUMBER,
        "expires_at": SECONDS,
        "app_id": APP,
    },
}
QUESTION: Final = {
    "type": "object",
    "required": ["id", "state", "svc", "uris", "asked"],
    "properties": {
        "id": {"type": "string"},
        "state": {"enum": ["waiting", "done"]},
        "svc": SERVICE,
        "detail": {"type": "string"},
        "uris": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["svc", "uri", "msp", "prio", "assurance", "expires_at"],
            },
        },
        "asked": {
            "type": "array",
            "items": {"type": "object", "required": ["name", "outcome", "detail", "seconds"]},
        },
    },
}
LIFETIME: Final = {"type": "number", "minimum": 60, "maximum": 366 * 86_400}
AUDIT: Final = {
    "type": "object",
    "properties": {
        name: {"type": kind}
        for name, kind in (
            ("at", "number"),
            ("event", "string"),
            ("outcome", "string"),
            ("caller", "string"),
            ("number", "string"),
            ("svc", "string"),
        )
    }
    | {"handler": {"type": ["string", "null"]}},
}
