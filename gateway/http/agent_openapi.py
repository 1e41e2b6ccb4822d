"""The OpenAPI description of the agent's interface, as served under /os/v1/openapi.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from discovery.model import Service
from discovery.spin.handlers import MAX_TEMPLATE

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

_HANDLER_MEMBERS: Final[Schema] = {
    "app_id": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    "number": _NUMBER,
    "svc": {"type": "array", "items": _SERVICE, "minItems": 1, "uniqueItems": True},
    "uri": {
        "type": "string",
        "maxLength": MAX_TEMPLATE,
        "description": "URI template at the domain msp; {number} or {tn} becomes +digits.",
    },
    "msp": {"type": "string", "description": "The provider's domain, lower case."},
}
_NEW_HANDLER: Final[Schema] = {
    "type": "object",
    "additionalProperties": False,
    "required": list(_HANDLER_MEMBERS),
    "properties": _HANDLER_MEMBERS,
}
_HANDLER: Final = {
    "type": "object",
    "required": ["id", *_HANDLER_MEMBERS, "registered_at"],
    "properties": {
        **_HANDLER_MEMBERS,
        "id": _HANDLER_ID,
        "registered_at": {"type": "number", "description": "Epoch seconds."},
    },
}
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
    return {str(status): _PROBLEM for status in (400, 401, 429, 503, *statuses)}


def _body(schema: Schema) -> Schema:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


_HANDLER_PATH: Final = {"name": "id", "in": "path", "required": True, "schema": _HANDLER_ID}
_SERVICE_PATH: Final = {"name": "svc", "in": "path", "required": True, "schema": _SERVICE}

DESCRIPTION: Final[dict[str, object]] = {
    "openapi": "3.1.0",
    "info": {
        "title": "Spingate SPIN agent",
        "version": "1",
        "description": "Applications register as handlers for numbers; users choose defaults.",
    },
    "servers": [{"url": "/os/v1"}],
    "security": [{"bearer": []}],
    "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
    "paths": {
        "/handlers": {
            "post": {
                "summary": "Register a handler",
                "requestBody": _body(_NEW_HANDLER),
                "responses": {
                    "201": _json(_HANDLER, "Registered"),
                    **_errors(403, 408, 409, 413, 415, 422),
                },
            },
            "get": {
                "summary": "All handlers",
                "responses": {
                    "200": _json(_list_of("handlers", _HANDLER), "Handlers"),
                    **_errors(),
                },
            },
        },
        "/handlers/{id}": {
            "parameters": [_HANDLER_PATH],
            "get": {
                "summary": "One handler",
                "responses": {"200": _json(_HANDLER, "The handler"), **_errors(404)},
            },
            "delete": {
                "summary": "Remove a handler and the defaults that name it",
                "responses": {"204": {"description": "Removed"}, **_errors(404)},
            },
        },
        "/defaults/{svc}": {
            "parameters": [_SERVICE_PATH],
            "put": {
                "summary": "Choose who answers for a number and a service; null to choose nobody",
                "requestBody": _body(
                    {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["number", "handler"],
                        "properties": {
                            "number": _FULL_NUMBER,
                            "handler": {"anyOf": [_HANDLER_ID, {"type": "null"}]},
                        },
                    }
                ),
                "responses": {
                    "204": {"description": "Chosen"},
                    **_errors(403, 404, 408, 413, 415, 422),
                },
            },
        },
        "/audit": {
            "get": {
                "summary": "What the agent did lately, newest first; numbers are masked",
                "responses": {"200": _json(_list_of("audit", _AUDIT), "Entries"), **_errors()},
            },
        },
        "/openapi.json": {
            "get": {
                "summary": "This description",
                "security": [],
                "responses": {"200": {"description": "OpenAPI 3.1"}},
            }
        },
    },
}
