"""A request of an HTTP SMS provider from the operator's template: values can never become syntax.

JSON is filled in after it was parsed and forms field by field, so that quoting is by construction;
in a URL everything but letters, digits and `-._~` is escaped; a header with control characters is
refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, urlencode

from pydantic import JsonValue

_PLACE: Final = re.compile(r"\{(from|to|text|secret|udh|data|id)\}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """Method, URL, header fields and body with placeholders; at most one of json and form."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    json_body: Mapping[str, JsonValue] | None = None
    form: Mapping[str, str] | None = None

    @property
    def carries_binary(self) -> bool:
        """Whether there is a place for 8-bit data."""
        return self._names("{data}")

    @property
    def names_messages(self) -> bool:
        """Whether there is a place for a name of ours, by which receipts come back."""
        return self._names("{id}")

    def _names(self, place: str) -> bool:
        everything = [self.url, *self.headers.values(), json.dumps(self.json_body)]
        everything += list((self.form or {}).values())
        return any(place in text for text in everything)

    def fill(self, values: Mapping[str, str]) -> FilledRequest:
        """Put values in their places; raises ValueError for one that a header cannot carry."""
        headers = {name: _header(_plain(text, values)) for name, text in self.headers.items()}
        url = _PLACE.sub(lambda place: quote(values.get(place[1], ""), safe=""), self.url)
        body: bytes | None = None
        if self.json_body is not None:
            filled = _filled(dict(self.json_body), values)
            body = json.dumps(filled, separators=(",", ":")).encode()
            headers.setdefault("Content-Type", "application/json")
        elif self.form is not None:
            fields = {name: _plain(text, values) for name, text in self.form.items()}
            body = urlencode(fields).encode()
            headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
        return FilledRequest(self.method, url, headers, body)


@dataclass(frozen=True, slots=True)
class FilledRequest:
    """A request ready to be sent; it holds the secret, and shows none of it."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)


def _plain(text: str, values: Mapping[str, str]) -> str:
    return _PLACE.sub(lambda place: values.get(place[1], ""), text)


def _filled(value: JsonValue, values: Mapping[str, str]) -> JsonValue:
    if isinstance(value, str):
        return _plain(value, values)
    if isinstance(value, list):
        return [_filled(item, values) for item in value]
    if isinstance(value, dict):
        return {name: _filled(item, values) for name, item in value.items()}
    return value


def _header(text: str) -> str:
    if _CONTROL.search(text) or not text.isascii():
        raise ValueError("a value has characters that no header field carries")
    return text
