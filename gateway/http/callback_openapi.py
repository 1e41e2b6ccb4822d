"""The OpenAPI description of what strangers reach at an agent, as served under /openapi.json.

The answers to invitations, the invitations by reference, and the messages that an SMS provider or
an MMSC brings; the last two where they are configured.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from discovery.spin.reference import MEDIA_TYPE

Schema = Mapping[str, object]

_TEXT: Final = {"type": "string"}
_PROBLEM: Final = {
    "description": "RFC 9457 problem",
    "content": {
        "application/problem+json": {
            "schema": {
                "type": "object",
                "required": ["type", "title", "status"],
                "properties": {
                    "type": {"type": "string", "pattern": "^(about:blank|urn:spin:error:.+)$"},
                    "title": _TEXT,
                    "status": {"type": "integer"},
                    "detail": _TEXT,
                },
            }
        }
    },
}
_ID: Final = {
    "name": "id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
}


def _responses(success: str, answer: Schema, *errors: int) -> Schema:
    failing = {str(status): _PROBLEM for status in (400, 404, 429, *errors)}
    return {success: answer, **failing}


_PATHS: Final[Schema] = {
    "/s/{id}": {
        "parameters": [_ID],
        "post": {
            "summary": "Answer an invitation, with the token that came in it",
            "security": [{"bearer": []}],
            "requestBody": {
                "required": True,
                "content": {
                    "application/jose": {
                        "schema": {
                            "type": "string",
                            "description": "PASSporT with ppt spin-ans in compact form.",
                        }
                    }
                },
            },
            "responses": _responses(
                "204",
                {"description": "Taken; the same again is, too"},
                *(401, 403, 408, 409, 410, 413, 415, 422, 503),
            ),
        },
    },
    "/r/{id}": {
        "parameters": [_ID],
        "get": {
            "summary": "Fetch an invitation that was sent by reference",
            "security": [],
            "responses": _responses(
                "200",
                {"description": "The invitation", "content": {MEDIA_TYPE: {"schema": _TEXT}}},
                503,
            ),
        },
    },
    "/sms": {
        "post": {
            "summary": "Deliver a short message (an SMS provider, signed by HMAC)",
            "security": [{"signature": []}],
            "parameters": [
                {
                    "name": "X-Spingate-Timestamp",
                    "in": "header",
                    "required": True,
                    "schema": {"type": "string", "pattern": "^[0-9]{1,12}$"},
                },
                {
                    "name": "X-Spingate-Signature",
                    "in": "header",
                    "required": True,
                    "schema": {"type": "string", "pattern": "^v1=[0-9a-f]{64}$"},
                    "description": "HMAC-SHA256 of timestamp, a full stop and the body.",
                },
            ],
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "additionalProperties": False,
                            "required": ["from", "to", "text"],
                            "properties": {
                                "from": {"type": "string", "minLength": 1, "maxLength": 32},
                                "to": {"type": "string", "pattern": r"^\+?[0-9]{3,15}$"},
                                "text": _TEXT,
                            },
                        }
                    }
                },
            },
            "responses": _responses(
                "200",
                {
                    "description": "Taken; what is no invitation is the provider's to deliver",
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "required": ["invitation"],
                                "properties": {"invitation": {"type": "boolean"}},
                            }
                        }
                    },
                },
                *(401, 408, 409, 413, 415, 422, 503),
            ),
        }
    },
    "/mm7": {
        "post": {
            "summary": "Deliver a multimedia message (an MMSC, 3GPP TS 23.140)",
            "security": [{"basic": []}],
            "requestBody": {
                "required": True,
                "content": {"text/xml": {"schema": _TEXT}, "multipart/related": {"schema": _TEXT}},
            },
            "responses": _responses(
                "200",
                {
                    "description": "DeliverRsp; StatusCode 4006: the MMSC delivers it itself",
                    "content": {"text/xml": {"schema": _TEXT}},
                },
                *(401, 408, 413, 415),
            ),
        }
    },
    "/openapi.json": {
        "get": {
            "summary": "This description",
            "security": [],
            "responses": {
                "200": {
                    "description": "OpenAPI 3.1",
                    "content": {"application/json": {"schema": {"type": "object"}}},
                }
            },
        }
    },
}


def description(served: Iterable[str]) -> dict[str, object]:
    """Return the description of the paths that are served."""
    held = frozenset(served)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Spingate SPIN callbacks", "version": "1"},
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
                "signature": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-Spingate-Signature",
                },
            }
        },
        "paths": {path: item for path, item in _PATHS.items() if path in held},
    }
