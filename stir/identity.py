"""The Identity header field (RFC 8224 section 4): parse, format, compact form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple

MAX_VALUE: Final = 16_384
_NAME: Final = r"[A-Za-z0-9\-.!%*_+`'~]+"
_DIGEST: Final = re.compile(r"[A-Za-z0-9_\-+/=.]+")
_PARAMETER: Final = re.compile(
    rf"[ \t]*;[ \t]*({_NAME})(?:[ \t]*=[ \t]*"
    rf'(?:<([^<>"\s]*)>|"((?:[^"\\\r\n]|\\[^\r\n])*)"|({_NAME})))?'
)
_ABSOLUTE_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:[!-~]+")
_ESCAPE: Final = re.compile(r"\\(.)")
_MAX_KNOWN: Final = 1_024
_Parameters = tuple[str, str | None, str | None, Mapping[str, str | None]]


class MalformedIdentity(ValueError):
    """The value is not an Identity header field; `problem` says why, `token` what stood first."""

    def __init__(self, problem: str, token: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.token = token


class Identity(NamedTuple):
    """An Identity header field value: the token and its parameters, `info` without brackets."""

    token: str
    info: str
    alg: str | None = None
    ppt: str | None = None
    params: Mapping[str, str | None] = MappingProxyType({})

    @property
    def is_compact(self) -> bool:
        """Whether header and payload were left out (RFC 8224 section 4, RFC 8225 section 7)."""
        return self.token.startswith("..")

    def __str__(self) -> str:
        """Format as other carriers expect it: ``info``, ``alg``, then ``ppt`` without quotes."""
        text = f"{self.token};info=<{self.info}>"
        if self.alg is not None:
            text += f";alg={self.alg}"
        if self.ppt is not None:
            text += f";ppt={self.ppt}"
        return text


def parse_identity(value: str) -> Identity:
    """Parse one Identity value of at most 16,384 characters; raises MalformedIdentity only.

    ``info`` must be there once, in angle brackets; other parameters may come in any order, and
    ``ppt`` and ``alg`` with or without quotes, as carriers send both.
    """
    token, semicolon, rest = value[:MAX_VALUE].partition(";")
    token = token.strip(" \t")
    if len(value) > MAX_VALUE:
        raise MalformedIdentity(f"longer than {MAX_VALUE} characters", token)
    if _DIGEST.fullmatch(token) is None:
        raise MalformedIdentity("does not begin with a PASSporT", token)
    if not semicolon:
        raise MalformedIdentity("has no parameter, and info is mandatory", token)
    try:
        read = _known_parameters if len(rest) <= _MAX_KNOWN else _read_parameters
        info, alg, ppt, others = read(semicolon + rest)
    except MalformedIdentity as error:
        raise MalformedIdentity(error.problem, token) from None
    return Identity(token, info, alg, ppt, others)


def _read_parameters(text: str) -> _Parameters:
    params = _parameters(text)
    info, bracketed = params.pop("info", (None, False))
    if info is None or not bracketed:
        raise MalformedIdentity("has no info parameter in angle brackets")
    if _ABSOLUTE_URI.fullmatch(info) is None:
        raise MalformedIdentity("the info parameter is not an absolute URI")
    alg, _ = params.pop("alg", (None, False))
    ppt, _ = params.pop("ppt", (None, False))
    others = {name: text for name, (text, _) in params.items()}
    return info, alg, ppt, MappingProxyType(others)


# All Identity values of one signer end alike.
_known_parameters: Final = lru_cache(maxsize=1_024)(_read_parameters)


def _parameters(value: str) -> dict[str, tuple[str | None, bool]]:
    """Read ``;name=value`` to the end of the text: value and whether it stood in brackets."""
    params: dict[str, tuple[str | None, bool]] = {}
    position, end = 0, len(value.rstrip(" \t"))
    while position < end:
        match = _PARAMETER.match(value, position, end)
        if match is None:
            raise MalformedIdentity("a parameter does not begin with a semicolon and a name")
        name, bracketed, quoted, plain = match.groups()
        name = name.lower()
        if name in params:
            raise MalformedIdentity(f"the {name} parameter appears twice")
        if bracketed is not None:
            params[name] = (bracketed, True)
        elif quoted is not None:
            params[name] = (_ESCAPE.sub(r"\1", quoted), False)
        else:
            params[name] = (plain, False)
        position = match.end()
    for name in ("alg", "ppt"):
        if name in params and not params[name][0]:
            raise MalformedIdentity(f"the {name} parameter has no value")
    return params
