"""The OpenAPI description of the call placement service, as served under /openapi.json."""

from __future__ import annotations

from typing import Final

_NUMBER: Final = {"type": "string", "pattern": "^[*#]*[0-9][0-9*#]{0,31}$"}
_DEST: Final = {"name": "dest", "in": "path", "required": True, "schema": _NUMBER}
_ORIG: Final = {"name": "orig", "in": "path", "required": True, "schema": _NUMBER}
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


def _list(what: str, most: int) -> dict[str, object]:
    return {
        "type": "object",
        "required": ["passports"],
        "properties": {
            "passports": {
                "type": "array",
                "minItems": 1,
                "maxItems": most,
                "items": {"type": "string", "description": what},
            }
        },
    }


def _body(schema: dict[str, object]) -> dict[str, object]:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _answers(success: str, *, content: dict[str, object] | None = None) -> dict[str, object]:
    answer: dict[str, object] = {"description": "Done"}
    if content is not None:
        answer["content"] = {"application/json": {"schema": content}}
    codes = ("400", "401", "403", "404", "408", "413", "415", "422", "429", "503")
    return {success: answer, **dict.fromkeys(codes, _PROBLEM)}


_DONE: Final[dict[str, object]] = {
    "type": "object",
    "required": ["status", "message"],
    "properties": {"status": {"type": "integer"}, "message": {"type": "string"}},
}
_PLAIN: Final = _list("A PASSporT in full form (RFC 8225).", 8)
_SEALED: Final = _list("A compact JWE, ECDH-ES and A256GCM, of {passports: [...]}.", 1)

DESCRIPTION: Final[dict[str, object]] = {
    "openapi": "3.1.0",
    "info": {
        "title": "Spingate call placement service",
        "version": "1",
        "description": "PASSporTs out of band (RFC 8816): plain as in ATIS-1000096, or "
        "encrypted to the called party's provider.",
    },
    "components": {
        "securitySchemes": {
            "access": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "ES256, x5u of an STI certificate; iat, jti, aud, iss (a provider "
                "code or number of that certificate), sub, action (publish or retrieve), dest, "
                "orig (plain form only), and for publish passports: sha256- and the base64 digest "
                "of the list in the body as canonical JSON (RFC 8785).",
            }
        }
    },
    "paths": {
        "/health": {
            "get": {
                "summary": "Whether the service is up",
                "responses": _answers("200", content=_DONE),
            }
        },
        "/passports/{dest}/{orig}": {
            "parameters": [_DEST, _ORIG],
            "post": {
                "summary": "Publish the PASSporTs of a call",
                "security": [{"access": []}],
                "requestBody": _body(_PLAIN),
                "responses": _answers("201", content=_DONE),
            },
            "get": {
                "summary": "Retrieve the PASSporTs of calls between two numbers",
                "security": [{"access": []}],
                "responses": _answers("200", content=_PLAIN),
            },
        },
        "/encrypted/{dest}": {
            "parameters": [_DEST],
            "post": {
                "summary": "Publish the encrypted PASSporTs of a call",
                "security": [{"access": []}],
                "requestBody": _body(_SEALED),
                "responses": _answers("201", content=_DONE),
            },
            "get": {
                "summary": "Retrieve all that is stored for a called number, perhaps nothing",
                "security": [{"access": []}],
                "responses": _answers("200", content=_list("A compact JWE.", 256)),
            },
        },
    },
}
