"""The OpenAPI description of our STI-AS/VS, as served under /stir/v1/openapi.json."""

from __future__ import annotations

from typing import Final

_TN: Final = {"type": "string", "pattern": "^[0-9*#+. ()-]{1,64}$"}
_ONE: Final = {"type": "object", "required": ["tn"], "properties": {"tn": _TN}}
_MANY: Final = {
    "type": "object",
    "required": ["tn"],
    "properties": {"tn": {"type": "array", "items": _TN, "minItems": 1, "maxItems": 10}},
}
_TEXTS: Final = {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
_ERROR: Final = {
    "description": "requestError with a serviceException or policyException",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["requestError"],
                "properties": {"requestError": {"type": "object"}},
            }
        }
    },
}
_SIGNING: Final = {
    "type": "object",
    "required": ["attest", "dest", "iat", "orig", "origid"],
    "properties": {
        "attest": {"enum": ["A", "B", "C"]},
        "dest": _MANY,
        "iat": {"type": "integer"},
        "orig": _ONE,
        "origid": {"type": "string", "format": "uuid"},
        "ppt": {"const": "shaken"},
    },
}
_VERIFICATION: Final = {
    "type": "object",
    "required": ["from", "to", "time"],
    "properties": {
        "from": _ONE,
        "to": _MANY,
        "time": {"type": "integer"},
        "identity": _TEXTS,
        "identityHeader": {"type": "string"},
        "identityHeaders": _TEXTS,
    },
}


def _operation(summary: str, request: str, schema: object, response: str) -> dict[str, object]:
    def body(name: str, content: object) -> dict[str, object]:
        inner = {"type": "object", "required": [name], "properties": {name: content}}
        return {"application/json": {"schema": inner}}

    errors = ("400", "401", "403", "404", "405", "406", "408", "411", "413", "415", "429", "503")
    done = {"description": "Done", "content": body(response, {"type": "object"})}
    return {
        "post": {
            "summary": summary,
            "security": [{"token": []}],
            "requestBody": {"required": True, "content": body(request, schema)},
            "responses": {"200": done, **dict.fromkeys(errors, _ERROR)},
        }
    }


DESCRIPTION: Final[dict[str, object]] = {
    "openapi": "3.1.0",
    "info": {
        "title": "Spingate STI-AS and STI-VS",
        "version": "1",
        "description": "ATIS-1000082; with identityHeader(s) and verstatValue 3GPP TS 24.229 "
        "annex V. X-RequestID is returned.",
    },
    "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    "paths": {
        "/stir/v1/signing": _operation(
            "Sign a call", "signingRequest", _SIGNING, "signingResponse"
        ),
        "/stir/v1/verification": _operation(
            "Verify a call", "verificationRequest", _VERIFICATION, "verificationResponse"
        ),
    },
}
