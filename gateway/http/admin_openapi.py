"""The OpenAPI description of the operator's interface, as served under /openapi.json."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

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
                    "type": _TEXT,
                    "title": _TEXT,
                    "status": {"type": "integer"},
                    "detail": _TEXT,
                },
            }
        }
    },
}
_UNAUTHORISED: Final = {"description": "Not with exactly the one token"}
_RESULTS: Final = {
    "type": "object",
    "required": ["results"],
    "properties": {
        "results": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["url", "refused"],
                "properties": {"url": _TEXT, "refused": {"type": ["string", "null"]}},
            },
        }
    },
}


def _json(schema: Schema) -> Schema:
    return {"description": "Done", "content": {"application/json": {"schema": schema}}}


def _object(properties: Schema) -> Schema:
    return {"type": "object", "required": list(properties), "properties": properties}


def _get(summary: str, answer: Schema, *more: tuple[str, Schema]) -> Schema:
    responses = {"200": answer, "400": _PROBLEM, "401": _UNAUTHORISED, **dict(more)}
    return {"get": {"summary": summary, "responses": responses}}


def _post(summary: str, body: Schema, answer: Schema) -> Schema:
    errors = dict.fromkeys(("400", "408", "413", "415"), _PROBLEM)
    return {
        "post": {
            "summary": summary,
            "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
            "responses": {"200": _json(answer), "401": _UNAUTHORISED, **errors},
        }
    }


_HEALTH: Final = _json(_object({"status": _TEXT}))


def description(
    names: Iterable[str], *, cache: bool = False, discover: bool = True
) -> dict[str, object]:
    """Return the description for states of these names.

    cache: with the certificate cache; discover: with looking numbers up.
    """
    paths: dict[str, object] = {
        "/metrics": _get(
            "Counters and gauges",
            {"description": "Prometheus text format", "content": {"text/plain": {}}},
        ),
        "/healthz": {
            "get": {
                "summary": "Whether all is well",
                "security": [],
                "responses": {"200": _HEALTH, "503": {**_HEALTH, "description": "Not well"}},
            }
        },
        "/openapi.json": _get("This description", _json({"type": "object"})),
    }
    if discover:
        paths["/v1/discover"] = _DISCOVER
    for name in names:
        listed = {name: {"type": "array", "items": {"type": "object"}}}
        paths[f"/v1/{name}"] = _get(f"What is held of {name}", _json(_object(listed)))
    if cache:
        paths |= _CACHE
    return {
        "openapi": "3.1.0",
        "info": {"title": "Spingate operator's interface", "version": "1"},
        "security": [{"bearer": []}],
        "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
        "paths": paths,
    }


_DISCOVER: Final = _post(
    "Look a number up, as a call would",
    _object({"number": _TEXT, "service": {"enum": ["voice", "video", "message"]}, "from": _TEXT}),
    {"type": "object"},
)
_CACHE: Final[Schema] = {
    "/v1/cache/import": _post(
        "Put certificates into the cache",
        _object(
            {
                "certificates": {
                    "type": "array",
                    "maxItems": 50,
                    "items": _object({"url": _TEXT, "pem": _TEXT}),
                }
            }
        ),
        _RESULTS,
    ),
    "/v1/cache/fetch": _post(
        "Fetch certificates into the cache",
        _object({"urls": {"type": "array", "maxItems": 32, "items": _TEXT}}),
        _RESULTS,
    ),
    "/v1/cache/clear": _post(
        "Forget a certificate, or all of them",
        {"type": "object", "properties": {"url": {"type": ["string", "null"]}}},
        _object({"cleared": {"type": "integer"}}),
    ),
}
