"""The OpenAPI description of the agent's interface, as served under /os/v1/openapi.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from discovery.model import Service
from discovery.spin.app_proof import MAX_PROOF
from discovery.spin.handlers import MAX_TEMPLATE
from discovery.spin.rules import MAX_LABELS, MAX_NUMBERS, MAX_RULES, MAX_USED, Use
from gateway.http.agent_choices import MAX_CONTACTS

Schema = Mapping[str, object]

_SERVICE: Final = {"type": "string", "enum": [str(service) for service in Service]}
_NUMBER: Final = {
    "type": "string",
    "pattern": r"^\+?[0-9]{1,15}$",
    "description": "A telephone number or a prefix, E.164, ASCII digits.",
}
_FULL_NUMBER: Final = {"type": "string", "pattern": r"^\+?[0-9]{3,15}$"}
_HANDLER_ID: Final = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}

_PROBLEM: Final = {
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

_APP: Final = {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"}
_LABEL: Final = {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,32}$"}
_SECONDS: Final = {"type": "number", "description": "Epoch seconds."}


def _object(required: Schema, optional: Schema | None = None) -> Schema:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": {**required, **(optional or {})},
    }


_HANDLER_MEMBERS: Final[Schema] = {
    "app_id": _APP,
    "svc": {
        "type": "array",
        "items": _SERVICE,
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
_NEW_HANDLER: Final = _object(
    _HANDLER_MEMBERS,
    {
        "number": _NUMBER,
        "proof": {
            "type": "string",
            "maxLength": MAX_PROOF,
            "description": "JWS (ES256, typ spin-app) over app_id, aud, nonce, number, svc, uri by "
            "a key at https://{msp}/.well-known/spin-app/{app_id}; the provider's own applications "
            "do without at its own domains.",
        },
    },
)
_HANDLER: Final = {
    "type": "object",
    "required": ["id", *_HANDLER_MEMBERS, "number", "registered_at", "state"],
    "properties": {
        **_HANDLER_MEMBERS,
        "id": _HANDLER_ID,
        "number": _NUMBER,
        "registered_at": _SECONDS,
        "state": {"enum": ["active", "pending-consent"]},
    },
}
_NAMED: Final = {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"}
_RULE: Final = _object(
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
        "svc": {"type": "array", "items": _SERVICE, "maxItems": len(Service)},
        "if": _object(
            {},
            {
                "from": {
                    "type": "array",
                    "items": _FULL_NUMBER,
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
_RULES: Final = _object({"rules": {"type": "array", "items": _RULE, "maxItems": MAX_RULES}})
_LABELS: Final = {"type": "array", "items": _LABEL, "maxItems": MAX_LABELS}
_CONTACTS: Final = _object(
    {
        "contacts": {
            "type": "array",
            "maxItems": MAX_CONTACTS,
            "items": _object({"number": _FULL_NUMBER}, {"groups": _LABELS, "tags": _LABELS}),
        }
    }
)
_CREDENTIAL: Final = {
    "type": "object",
    "required": ["token", "number", "expires_at"],
    "properties": {
        "token": {"type": "string", "description": "Bearer token, told this once."},
        "number": _NUMBER,
        "expires_at": _SECONDS,
        "app_id": _APP,
    },
}
_QUESTION: Final = {
    "type": "object",
    "required": ["id", "state", "svc", "uris", "asked"],
    "properties": {
        "id": {"type": "string"},
        "state": {"enum": ["waiting", "done"]},
        "svc": _SERVICE,
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
_LIFETIME: Final = {"type": "number", "minimum": 60, "maximum": 366 * 86_400}
_AUDIT: Final = {
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


def _json(schema: Schema, description: str) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _list_of(member: str, schema: Schema) -> Schema:
    items = {"type": "array", "items": schema}
    return {"type": "object", "required": [member], "properties": {member: items}}


def _errors(*statuses: int) -> Schema:
    return {str(status): _PROBLEM for status in (400, 401, 403, 429, 503, *statuses)}


_BODY_ERRORS: Final = (408, 413, 415, 422)


def _body(schema: Schema) -> Schema:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


_HANDLER_PATH: Final = {"name": "id", "in": "path", "required": True, "schema": _HANDLER_ID}
_SERVICE_PATH: Final = {"name": "svc", "in": "path", "required": True, "schema": _SERVICE}


def _operation(
    summary: str, responses: Schema, *errors: int, body: Schema | None = None
) -> dict[str, object]:
    failing = _errors(*errors, *(_BODY_ERRORS if body else ()))
    operation: dict[str, object] = {"summary": summary, "responses": {**responses, **failing}}
    if body is not None:
        operation["requestBody"] = _body(body)
    return operation


_DONE: Final = {"204": {"description": "Done"}}
_TEXT_PATH: Final = {"in": "path", "required": True}
_APP_PATH: Final = {**_TEXT_PATH, "name": "app_id", "schema": _APP}
_NUMBER_PATH: Final = {**_TEXT_PATH, "name": "number", "schema": _FULL_NUMBER}

_CREDENTIAL_PATHS: Final = {
    "/sessions": {
        "post": _operation(
            "Open a session for the user of a number (provider)",
            {"201": _json(_CREDENTIAL, "Opened")},
            409,
            body=_object({"number": _FULL_NUMBER}, {"lifetime": _LIFETIME}),
        )
    },
    "/sessions/{number}": {
        "parameters": [_NUMBER_PATH],
        "delete": _operation("End all sessions of a number (provider, user)", _DONE, 404),
    },
    "/apps": {
        "post": _operation(
            "Let an application in: a user for the own number, the provider for a prefix",
            {"201": _json(_CREDENTIAL, "Let in")},
            409,
            body=_object({"app_id": _APP}, {"number": _NUMBER, "lifetime": _LIFETIME}),
        )
    },
    "/apps/{app_id}": {
        "parameters": [_APP_PATH],
        "delete": _operation("Put an application out, with its handlers (user)", _DONE, 404),
    },
}
_HANDLER_PATHS: Final = {
    "/nonces": {
        "post": _operation(
            "A nonce for one proof (app)",
            {
                "201": _json(
                    {
                        "type": "object",
                        "required": ["nonce", "aud", "expires_at"],
                        "properties": {
                            "nonce": {"type": "string"},
                            "aud": {"type": "string"},
                            "expires_at": _SECONDS,
                        },
                    },
                    "The nonce",
                )
            },
        )
    },
    "/handlers": {
        "post": _operation(
            "Register a handler (app); it answers once its user agrees",
            {"201": _json(_HANDLER, "Registered")},
            409,
            502,
            body=_NEW_HANDLER,
        ),
        "get": _operation(
            "The handlers this credential may see",
            {"200": _json(_list_of("handlers", _HANDLER), "Handlers")},
        ),
    },
    "/handlers/{id}": {
        "parameters": [_HANDLER_PATH],
        "get": _operation("One handler", {"200": _json(_HANDLER, "The handler")}, 404),
        "delete": _operation("Remove a handler and the defaults that name it", _DONE, 404),
    },
    "/handlers/{id}/consent": {
        "parameters": [_HANDLER_PATH],
        "post": _operation("Agree to a handler (user)", _DONE, 404),
    },
}
_CHOICE_PATHS: Final = {
    "/defaults": {
        "get": _operation(
            "Who answers by default, by service (user)",
            {"200": _json({"type": "object", "required": ["defaults"]}, "Defaults")},
        )
    },
    "/defaults/{svc}": {
        "parameters": [_SERVICE_PATH],
        "put": _operation(
            "Choose who answers by default; null to choose nobody (user)",
            _DONE,
            404,
            body=_object(
                {"handler": {"anyOf": [_HANDLER_ID, {"type": "null"}]}}, {"number": _FULL_NUMBER}
            ),
        ),
    },
    "/rules": {
        "get": _operation("The rules, first match first (user)", {"200": _json(_RULES, "Rules")}),
        "put": _operation("Replace the rules (user)", _DONE, body=_RULES),
    },
    "/contacts": {
        "get": _operation("The contacts rules know of (user)", {"200": _json(_CONTACTS, "All")}),
        "put": _operation("Replace the contacts (user)", _DONE, body=_CONTACTS),
    },
}
_CALL_PATHS: Final = {
    "/resolve": {
        "post": _operation(
            "Find a number's URIs on behalf of the user (app, user)",
            {"202": _json(_QUESTION, "Asked; Location says where the answer will be")},
            body=_object(
                {"tn": _FULL_NUMBER, "svc": _SERVICE},
                {
                    "from": _FULL_NUMBER,
                    "mode": {"enum": ["auto", "sms", "directory"]},
                    "timeout": {"type": "number", "minimum": 1, "maximum": 110},
                    "omsp": {
                        "type": "string",
                        "description": "The application's own domain, where it has a handler: for "
                        "people who want to be found in the same application only",
                        "maxLength": 253,
                    },
                    "tag": {
                        "type": "string",
                        "description": "What it is about, such as business",
                        "pattern": "^[A-Za-z0-9._-]{1,32}$",
                    },
                },
            ),
        )
    },
    "/resolve/{id}": {
        "parameters": [_HANDLER_PATH],
        "get": _operation(
            "How a question stands; with Accept: text/event-stream, events `waiting` and `done`",
            {
                "200": {
                    "description": "The question",
                    "content": {
                        "application/json": {"schema": _QUESTION},
                        "text/event-stream": {"schema": {"type": "string"}},
                    },
                }
            },
            404,
        ),
    },
    "/passport": {
        "post": _operation(
            "Sign a PASSporT from the user's number to a number that was resolved (app, user)",
            {
                "200": _json(
                    {
                        "type": "object",
                        "required": ["identity"],
                        "properties": {
                            "identity": {
                                "type": "string",
                                "description": "Value of an Identity header field (RFC 8224).",
                            }
                        },
                    },
                    "Signed",
                )
            },
            404,
            409,
            body=_object(
                {"resolve_id": {"type": "string"}, "svc": _SERVICE},
                {
                    "mky": {
                        "type": "array",
                        "items": _object({"alg": {"type": "string"}, "dig": {"type": "string"}}),
                    }
                },
            ),
        )
    },
    "/attest-key": {
        "post": _operation(
            "Attest that a key is the user's, for seven days (app, user)",
            {
                "201": _json(
                    {
                        "type": "object",
                        "required": ["passport", "expires_at"],
                        "properties": {"passport": {"type": "string"}, "expires_at": _SECONDS},
                    },
                    "A PASSporT of type spin-key",
                )
            },
            body=_object(
                {
                    "kind": {"enum": ["mls", "dtls"]},
                    "jkt": {
                        "type": "string",
                        "pattern": "^[A-Za-z0-9_-]{43}$",
                        "description": "Thumbprint of the key (RFC 7638), SHA-256.",
                    },
                },
                {"number": _FULL_NUMBER},
            ),
        )
    },
}

DESCRIPTION: Final[dict[str, object]] = {
    "openapi": "3.1.0",
    "info": {
        "title": "Spingate SPIN agent",
        "version": "1",
        "description": "Applications register as handlers for numbers and call through the agent; "
        "users choose who answers whom. Three kinds of bearer token: the provider's, an "
        "application's, a user session's; each operation says whose it takes. Served on "
        "loopback, at a Unix socket, or over TLS, where client certificates may be asked for.",
    },
    "servers": [{"url": "/os/v1"}],
    "security": [{"bearer": []}],
    "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
    "paths": {
        **_CREDENTIAL_PATHS,
        **_HANDLER_PATHS,
        **_CHOICE_PATHS,
        **_CALL_PATHS,
        "/audit": {
            "get": _operation(
                "What the agent did lately, newest first; numbers are masked (provider, user)",
                {"200": _json(_list_of("audit", _AUDIT), "Entries")},
            )
        },
        "/openapi.json": {
            "get": {
                "summary": "This description",
                "security": [],
                "responses": {"200": _json({"type": "object"}, "OpenAPI 3.1")},
            }
        },
    },
}
