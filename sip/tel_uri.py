"""tel: URIs (RFC 3966): telephone numbers, global or local within a context."""

import re
from dataclasses import dataclass

from sip.grammar import NO_PARAMETERS, NotGrammatical, Parameters, normalise_escapes
from sip.host import canonical_host, parse_host

_SEPARATORS = str.maketrans("", "", "-.()")
_GLOBAL = re.compile(r"\+[.()\-]*+[0-9][0-9.()\-]*+")
_LOCAL = re.compile(r"[.()\-]*+[0-9A-Fa-f*#][0-9A-Fa-f*#.()\-]*+")
# The grammar would let an extension be separators only; that names nothing.
_EXTENSION = re.compile(r"[.()\-]*+[0-9][0-9.()\-]*+")
_UNRESERVED = r"A-Za-z0-9\-_.!~*'()"
# paramchar, but an ISDN subaddress is uric.
_PARAMETER = re.compile(
    rf"(?:;([Ii][Ss][Uu][Bb])=((?:[{_UNRESERVED}\[\]/?:@&=+$,]|%[0-9A-Fa-f]{{2}})++)"
    rf"|;([A-Za-z0-9\-]++)(?:=((?:[{_UNRESERVED}\[\]/:&+$]|%[0-9A-Fa-f]{{2}})++))?+)(?=;|\Z)"
)
# RFC 3966 section 3: isub and ext first, then the context, then the others by name.
_ORDER = {"isub": 0, "ext": 1, "phone-context": 2}


@dataclass(frozen=True, slots=True)
class TelUri:
    """A tel: URI; `number` is as written, visual separators and leading "+" included."""

    number: str
    params: Parameters = NO_PARAMETERS

    @property
    def scheme(self) -> str:
        return "tel"

    @property
    def is_global(self) -> bool:
        return self.number.startswith("+")

    @property
    def digits(self) -> str:
        """The number without visual separators, with its "+" when it is global."""
        return self.number.translate(_SEPARATORS)

    def __str__(self) -> str:
        return f"tel:{self.number}{self.params}"

    def canonical(self) -> str:
        """Return a form shared by all equal URIs (RFC 3966 sections 3 and 4)."""
        params = sorted(
            (_ORDER.get(name, 3), name, _canonical_value(name, value))
            for name, value in self.params.items()
        )
        written = "".join(f";{n}" if v is None else f";{n}={v}" for _, n, v in params)
        return f"tel:{self.digits.lower()}{written}"


def parse_tel(rest: str) -> TelUri:
    """Parse what follows "tel:"; raises NotGrammatical (RFC 3966 section 3)."""
    number, semicolon, tail = rest.partition(";")
    params = _parse_parameters(semicolon + tail)
    if number.startswith("+"):
        if _GLOBAL.fullmatch(number) is None:
            raise NotGrammatical("not a global telephone number")
        return TelUri(number, params)
    if _LOCAL.fullmatch(number) is None:
        raise NotGrammatical("not a telephone number")
    # RFC 3966 section 5.1.5 wants a phone-context here, but tel:911 is on many wires without one,
    # and a proxy does well to let it through.
    return TelUri(number, params)


def _parse_parameters(text: str) -> Parameters:
    items: dict[str, str | None] = {}
    at = 0
    while at < len(text):
        found = _PARAMETER.match(text, at)
        if found is None:
            raise NotGrammatical("malformed tel parameter")
        name = (found.group(1) or found.group(3)).lower()
        if name in items:
            raise NotGrammatical(f"parameter {name} twice")
        items[name] = _checked(name, found.group(2) or found.group(4))
        at = found.end()
    return Parameters(items) if items else NO_PARAMETERS


def _checked(name: str, value: str | None) -> str | None:
    if name == "phone-context":
        if value is None or not (
            _GLOBAL.fullmatch(value) or (not value.startswith("[") and parse_host(value))
        ):
            raise NotGrammatical("phone-context is neither a domain nor a global number")
    elif name == "ext":
        if value is None or _EXTENSION.fullmatch(value) is None:
            raise NotGrammatical("extension is not digits")
    elif name == "isub" and value is None:
        raise NotGrammatical("empty ISDN subaddress")
    return value


def _canonical_value(name: str, value: str | None) -> str | None:
    if value is None:
        return None
    if name == "ext" or (name == "phone-context" and value.startswith("+")):
        return value.translate(_SEPARATORS)
    if name == "phone-context":
        return canonical_host(value)
    return normalise_escapes(value).lower()
