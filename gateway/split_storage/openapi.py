"""The OpenAPI descriptions of evaluator and bucket store, as served under /openapi.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from discovery.privacy.split_storage import (
    BUCKET_OCTETS,
    LABEL_OCTETS,
    MAX_PREFIX_BITS,
    REQUEST_OCTETS,
)

Schema = Mapping[str, object]
_BEARER: Final[list[Schema]] = [{"bearer": []}]
_SECURITY: Final = {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}}
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
_GENERATION: Final = {
    "name": "generation",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
    "description": "Name of a pair of evaluation keys: the beginning of their SHA-256.",
}
_JSON: Final = {
    "description": "What the service is.",
    "content": {"application/json": {"schema": {"type": "object"}}},
}


def _octets(description: str) -> Schema:
    schema = {"type": "string", "format": "binary"}
    return {"description": description, "content": {"application/octet-stream": {"schema": schema}}}


def _body(description: str) -> Schema:
    return {**_octets(description), "required": True}


def _answers(good: Mapping[str, Schema], *refusals: int) -> Schema:
    return {**good, **{str(status): _PROBLEM for status in refusals}}


def _number(name: str, largest: int) -> Schema:
    schema = {"type": "integer", "minimum": 0, "maximum": largest}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _description(title: str, paths: Schema) -> Schema:
    info = {"title": title, "version": "1"}
    return {"openapi": "3.1.0", "info": info, "components": _SECURITY, "paths": paths}


_INSTANCE: Final = {
    "description": "Which store this is; another one has lost everything.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["instance"],
                "properties": {"instance": {"type": "string"}},
            }
        }
    },
}
_WRITTEN: Final = _answers({"200": _INSTANCE}, 400, 401, 408, 409, 413, 415, 429, 503)


def _written(summary: str, body: str | None = None) -> Schema:
    document: dict[str, object] = {
        "summary": summary,
        "security": _BEARER,
        "responses": _WRITTEN,
    }
    if body is not None:
        document["requestBody"] = _body(body)
    return document


EVALUATOR_DESCRIPTION: Final = _description(
    "Spingate evaluator (split storage, server A)",
    {
        "/ev/v1/evaluations/{generation}": {
            "parameters": [_GENERATION],
            "post": {
                "summary": "Evaluate blinded identifiers (RFC 9497, ristretto255-SHA512, VOPRF).",
                "security": _BEARER,
                "requestBody": _body(
                    f"1 to 16 questions of {REQUEST_OCTETS} octets: two elements each."
                ),
                "responses": _answers(
                    {"200": _octets("For each: proof and element, twice.")},
                    *(400, 401, 404, 408, 413, 415, 429),
                ),
            },
        },
        "/.well-known/spin-evaluator": {"get": {"responses": {"200": _JSON}}},
    },
)
BUCKETS_DESCRIPTION: Final = _description(
    "Spingate bucket store (split storage, server B)",
    {
        "/sb/v1/buckets/{generation}/{bits}/{number}": {
            "parameters": [
                _GENERATION,
                _number("bits", MAX_PREFIX_BITS),
                _number("number", (1 << MAX_PREFIX_BITS) - 1),
            ],
            "get": {
                "summary": "A bucket, by the first bits of the labels in it.",
                "responses": _answers(
                    {"200": _octets(f"{BUCKET_OCTETS} octets: entries, dummies and zeros.")},
                    *(404, 409, 429, 503),
                ),
            },
        },
        "/sb/v1/entries/{generation}": {
            "parameters": [_GENERATION],
            "put": _written(
                "Keep entries.", f"1 to 16 of: label ({LABEL_OCTETS}), length (2), sealed entry."
            ),
            "delete": _written("Delete entries.", f"1 to 16 labels of {LABEL_OCTETS} octets."),
        },
        "/sb/v1/generations/{generation}": {
            "parameters": [_GENERATION],
            "put": _written("Say that a generation has all there is."),
            "delete": _written("Delete a generation."),
        },
        "/.well-known/spin-buckets": {"get": {"responses": {"200": _JSON}}},
    },
)
