"""The OpenAPI description of directory and authority, as served under /openapi.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from discovery.directory.answer import MAX_CERTIFICATES, MAX_CHAIN, MAX_RECORDS
from discovery.directory.identifier import MAX_IDENTIFIER
from discovery.directory.orders import MAX_ORDER
from discovery.directory.record import MAX_RECORD
from discovery.directory.statements import MAX_STATEMENT
from discovery.model import Service

Schema = Mapping[str, object]


def _token(limit: int, description: str) -> Schema:
    pattern = r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$"
    return {"type": "string", "maxLength": limit, "pattern": pattern, "description": description}


def _object(properties: Schema, optional: Schema | None = None) -> Schema:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(properties),
        "properties": {**properties, **(optional or {})},
    }


_TIME: Final = {"type": "integer", "minimum": 0, "description": "Epoch seconds."}
_CSI: Final = {
    "type": "string",
    "maxLength": MAX_IDENTIFIER,
    "pattern": r"^(tel:\+[1-9][0-9]{2,14}|mailto:[!-~]+@[a-z0-9.-]+)$",
    "description": "tel:+E164 or mailto: and an address in lower case.",
}
_SERVICE: Final = {"type": "string", "enum": [str(service) for service in Service]}
_CHAIN: Final = {
    "type": "array",
    "minItems": 1,
    "maxItems": MAX_CERTIFICATES,
    "items": {"type": "string", "contentEncoding": "base64", "maxLength": MAX_CHAIN},
    "description": "DER certificates in base64, the leaf first.",
}
_RELEASE: Final = _object(
    {"token": _token(MAX_STATEMENT, "A JWS of type spin-release."), "chain": _CHAIN}
)
_CLAIMS: Final = {
    "type": "array",
    "description": "Other keys that claim the identifier; its holder may object.",
    "items": _object({"key": {"type": "string"}, "at": _TIME, "effective_at": _TIME}),
}
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
_ANSWER: Final = _object(
    {
        "answer": _token(4096, "A JWS of type spin-dp-answer."),
        "records": {
            "type": "array",
            "maxItems": MAX_RECORDS,
            "items": _object(
                {
                    "record": _token(MAX_RECORD, "A JWS of type spin-record."),
                    "chain": _CHAIN,
                    "proof": {"type": ["object", "null"]},
                }
            ),
        },
        "pad": {"type": "string", "description": "Makes every answer equally long."},
    }
)
_HEX: Final = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_RECEIPT: Final = {
    **_object(
        {
            "csi": _CSI,
            "label": {"type": "string", "description": "Base64url, 32 octets."},
            "known": {"type": "array", "items": _HEX},
        },
        {"label_proof": {"type": "string", "description": "Base64url (RFC 9381), 80 octets."}},
    ),
    "description": "What the owner watches the log with; absent without a log.",
}
_KEPT: Final = _object(
    {"state": {"enum": ["live", "held"]}, "live_at": _TIME, "claims": _CLAIMS},
    {"receipt": _RECEIPT},
)
_CERTIFIED: Final = _object(
    {
        "state": {"enum": ["issued", "held"]},
        "effective_at": _TIME,
        "x5u": {"type": "string", "format": "uri"},
        "chain": {"type": ["string", "null"], "description": "PEM, the leaf first."},
        "claims": _CLAIMS,
    },
    {"receipt": _RECEIPT},
)
_REMOVED: Final = _object({"state": {"const": "removed"}, "receipt": _RECEIPT})
_CHALLENGE: Final = _object(
    {
        "id": {"type": "string"},
        "part2": {"type": "string"},
        "routes": {"type": "integer", "minimum": 1, "maximum": 2},
        "expires_at": _TIME,
    }
)
_ORDER: Final = _token(MAX_ORDER, "A JWS of type spin-order.")


def _json(schema: Schema, description: str) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _body(schema: Schema) -> Schema:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _errors(*statuses: int) -> dict[str, object]:
    return {str(status): _PROBLEM for status in (400, 408, 413, 415, 422, 429, 503, *statuses)}


def _operation(
    name: str,
    summary: str,
    tag: str,
    responses: Mapping[str, object],
    *,
    body: Schema | None = None,
    secured: bool = False,
) -> Schema:
    operation: dict[str, object] = {
        "operationId": name,
        "summary": summary,
        "tags": [tag],
        "responses": responses,
        "security": [{"bearer": []}, {"privateToken": []}] if secured else [],
    }
    return operation if body is None else {**operation, "requestBody": _body(body)}


_PATHS: Final[Schema] = {
    "/dp/v1/lookup": {
        "post": _operation(
            "lookup",
            "All live records of an identifier, and how many there are: none, one, several",
            "directory",
            {"200": _json(_ANSWER, "The answer, of one size whatever it says"), **_errors(401)},
            body=_object({"csi": _CSI}, {"svc": _SERVICE}),
            secured=True,
        )
    },
    "/dp/v1/records": {
        "put": _operation(
            "register",
            "Keep a record, signed by its owner, in the place of the owner's former one",
            "directory",
            {
                "200": _json(_KEPT, "Kept"),
                "202": _json(_KEPT, "Held: another key has the identifier"),
                **_errors(403, 409),
            },
            body=_object(
                {"record": _token(MAX_RECORD, "A JWS of type spin-record."), "chain": _CHAIN},
                {"release": _RELEASE},
            ),
        ),
        "delete": _operation(
            "remove",
            "Take an identifier's records away, for their owner or the identifier's provider",
            "directory",
            {
                "200": _json(_REMOVED, "Removed by its owner"),
                "204": {"description": "Removed by the provider, or no log is kept"},
                **_errors(403, 409),
            },
            body=_object(
                {"removal": _token(MAX_STATEMENT, "A JWS of type spin-removal."), "chain": _CHAIN}
            ),
        ),
    },
    "/dp/v1/objections": {
        "post": _operation(
            "object",
            "Refuse the claims of other keys, by the key that holds the identifier",
            "directory",
            {"204": {"description": "They claim it no more"}, **_errors(403)},
            body=_object({"order": _ORDER}),
        )
    },
    "/ca/v1/challenges": {
        "post": _operation(
            "challenge",
            "Send part 1 of a challenge to the number or mailbox; part 2 is the answer",
            "authority",
            {"201": _json(_CHALLENGE, "Sent"), **_errors(403)},
            body=_object({"order": _ORDER}),
        )
    },
    "/ca/v1/certificates": {
        "post": _operation(
            "certify",
            "Answer a challenge, or renew by the key alone",
            "authority",
            {
                "201": _json(_CERTIFIED, "Issued"),
                "202": _json(_CERTIFIED, "Held: another key has the identifier"),
                **_errors(403, 404, 409),
            },
            body=_object({"order": _ORDER}, {"release": _RELEASE}),
        )
    },
    "/ca/v1/certificates/{id}": {
        "parameters": [
            {
                "name": "id",
                "in": "path",
                "required": True,
                "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{16,43}$"},
            }
        ],
        "get": _operation(
            "certificate",
            "The latest certificate of a key, with its chain",
            "authority",
            {
                "200": {
                    "description": "PEM, the leaf first",
                    "content": {
                        "application/pem-certificate-chain": {"schema": {"type": "string"}}
                    },
                },
                "404": _PROBLEM,
                "503": _PROBLEM,
            },
        ),
    },
    "/.well-known/spin-dp": {
        "get": _operation(
            "describe",
            "Our keys, the key configuration of Oblivious HTTP, token issuers, the log's key",
            "directory",
            {"200": _json({"type": "object"}, "About this directory")},
        )
    },
    "/openapi.json": {
        "get": _operation(
            "openapi",
            "This description",
            "directory",
            {"200": _json({"type": "object"}, "OpenAPI 3.1")},
        )
    },
}

DESCRIPTION: Final[dict[str, object]] = {
    "openapi": "3.1.0",
    "info": {
        "title": "Spingate directory",
        "version": "1",
        "description": "From a number or mail address to the providers its owner chose.",
    },
    "servers": [{"url": "/"}],
    "tags": [
        {"name": "directory", "description": "Records and lookups."},
        {"name": "authority", "description": "Certificates for single numbers and mailboxes."},
    ],
    "components": {
        "securitySchemes": {
            "bearer": {"type": "http", "scheme": "bearer"},
            "privateToken": {"type": "http", "scheme": "PrivateToken"},
        }
    },
    "paths": _PATHS,
}
