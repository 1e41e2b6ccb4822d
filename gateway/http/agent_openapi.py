"""The OpenAPI description of the agent's interface, as served under /os/v1/openapi.json."""

from __future__ import annotations

from typing import Final

from gateway.http.agent_schemas import (
    APP,
    AUDIT,
    CONTACTS,
    CREDENTIAL,
    FULL_NUMBER,
    HANDLER,
    HANDLER_ID,
    LIFETIME,
    NEW_HANDLER,
    NUMBER,
    PROBLEM,
    QUESTION,
    RULES,
    SECONDS,
    SERVICE,
    Schema,
    closed_object,
)


def _json(schema: Schema, description: str) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _list_of(member: str, schema: Schema) -> Schema:
    items = {"type": "array", "items": schema}
    return {"type": "object", "required": [member], "properties": {member: items}}


def _errors(*statuses: int) -> Schema:
    return {str(status): PROBLEM for status in (400, 401, 403, 429, 503, *statuses)}


_BODY_ERRORS: Final = (408, 413, 415, 422)


def _body(schema: Schema) -> Schema:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


_HANDLER_PATH: Final = {"name": "id", "in": "path", "required": True, "schema": HANDLER_ID}
_SERVICE_PATH: Final = {"name": "svc", "in": "path", "required": True, "schema": SERVICE}


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
_APP_PATH: Final = {**_TEXT_PATH, "name": "app_id", "schema": APP}
_NUMBER_PATH: Final = {**_TEXT_PATH, "name": "number", "schema": FULL_NUMBER}

_CREDENTIAL_PATHS: Final = {
    "/sessions": {
        "post": _operation(
            "Open a session for the user of a number (provider)",
            {"201": _json(CREDENTIAL, "Opened")},
            409,
            body=closed_object({"number": FULL_NUMBER}, {"lifetime": LIFETIME}),
        )
    },
    "/sessions/{number}": {
        "parameters": [_NUMBER_PATH],
        "delete": _operation("End all sessions of a number (provider, user)", _DONE, 404),
    },
    "/apps": {
        "post": _operation(
            "Let an application in: a user for the own number, the provider for a prefix",
            {"201": _json(CREDENTIAL, "Let in")},
            409,
            body=closed_object({"app_id": APP}, {"number": NUMBER, "lifetime": LIFETIME}),
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
                            "expires_at": SECONDS,
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
            {"201": _json(HANDLER, "Registered")},
            409,
            502,
            body=NEW_HANDLER,
        ),
        "get": _operation(
            "The handlers this credential may see",
            {"200": _json(_list_of("handlers", HANDLER), "Handlers")},
        ),
    },
    "/handlers/{id}": {
        "parameters": [_HANDLER_PATH],
        "get": _operation("One handler", {"200": _json(HANDLER, "The handler")}, 404),
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
            body=closed_object(
                {"handler": {"anyOf": [HANDLER_ID, {"type": "null"}]}}, {"number": FULL_NUMBER}
            ),
        ),
    },
    "/rules": {
        "get": _operation("The rules, first match first (user)", {"200": _json(RULES, "Rules")}),
        "put": _operation("Replace the rules (user)", _DONE, body=RULES),
    },
    "/contacts": {
        "get": _operation("The contacts rules know of (user)", {"200": _json(CONTACTS, "All")}),
        "put": _operation("Replace the contacts (user)", _DONE, body=CONTACTS),
    },
}
_CALL_PATHS: Final = {
    "/resolve": {
        "post": _operation(
            "Find a number's URIs on behalf of the user (app, user)",
            {"202": _json(QUESTION, "Asked; Location says where the answer will be")},
            body=closed_object(
                {"tn": FULL_NUMBER, "svc": SERVICE},
                {
                    "from": FULL_NUMBER,
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
                        "application/json": {"schema": QUESTION},
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
            body=closed_object(
                {"resolve_id": {"type": "string"}, "svc": SERVICE},
                {
                    "mky": {
                        "type": "array",
                        "items": closed_object(
                            {"alg": {"type": "string"}, "dig": {"type": "string"}}
                        ),
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
                        "properties": {"passport": {"type": "string"}, "expires_at": SECONDS},
                    },
                    "A PASSporT of type spin-key",
                )
            },
            body=closed_object(
                {
                    "kind": {"enum": ["mls", "dtls"]},
                    "jkt": {
                        "type": "string",
                        "pattern": "^[A-Za-z0-9_-]{43}$",
                        "description": "Thumbprint of the key (RFC 7638), SHA-256.",
                    },
                },
                {"number": FULL_NUMBER},
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
                {"200": _json(_list_of("audit", AUDIT), "Entries")},
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
