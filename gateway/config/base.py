"""What every section of the configuration shares: strict scalar types and checked texts."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Strict

from discovery.number import NumberRanges

_DOMAIN: Final = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*"
)
_NUMBER: Final = re.compile(r"\+[1-9][0-9]{2,14}")
_NUMBER_RANGE: Final = re.compile(r"\+[1-9][0-9]{2,14}(?:-\+[1-9][0-9]{2,14})?")
_NUMBER_PREFIX: Final = re.compile(r"\+(?:[1-9][0-9]{0,14})?")
_ENDPOINT: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9.]+):([0-9]{1,5})")


class Section(BaseModel):
    """A table of the configuration file: unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


def _domain(text: str) -> str:
    lowered = text.lower()
    if not _DOMAIN.fullmatch(lowered):
        raise ValueError(f"'{text}' is not a domain name")
    return lowered


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError(f"'{text}' is not an IPv4 or IPv6 address") from None


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise ValueError(f"'{text}' is not a network in CIDR form ({error})") from None


def _number(text: str) -> str:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"'{text}' is not an E.164 number such as +12125550100")
    return text


def _number_prefix(text: str) -> str:
    if not _NUMBER_PREFIX.fullmatch(text):
        raise ValueError(f"'{text}' is not the beginning of an E.164 number, such as +44")
    return text


def _number_range(text: str) -> str:
    if not _NUMBER_RANGE.fullmatch(text):
        raise ValueError(f"'{text}' is not a number or range such as +12125550100-+12125550199")
    NumberRanges((text,))
    return text


def _endpoint(text: str) -> str:
    match = _ENDPOINT.fullmatch(text)
    if not match or not 0 < int(match[2]) < 65536:
        raise ValueError(f"'{text}' is not ADDRESS:PORT, such as 192.0.2.53:53")
    _address(match[1].strip("[]"))
    return text


Text = Annotated[str, Strict()]
Count = Annotated[int, Strict()]
Flag = Annotated[bool, Strict()]
Seconds = Annotated[float, Strict()]
Port = Annotated[int, Strict()]
Domain = Annotated[str, Strict(), AfterValidator(_domain)]
IpAddress = Annotated[str, Strict(), AfterValidator(_address)]
Network = Annotated[str, Strict(), AfterValidator(_network)]
Number = Annotated[str, Strict(), AfterValidator(_number)]
NumberPrefix = Annotated[str, Strict(), AfterValidator(_number_prefix)]
NumberRange = Annotated[str, Strict(), AfterValidator(_number_range)]
HostPort = Annotated[str, Strict(), AfterValidator(_endpoint)]
FilePath = Path


def split_endpoint(text: str) -> tuple[str, int]:
    """Split a checked `ADDRESS:PORT` into the address without brackets and the port."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


class NumberSet:
    """The numbers named by a list of E.164 numbers and ranges, all with their plus."""

    def __init__(self, ranges: tuple[str, ...]) -> None:
        self._ranges = NumberRanges(ranges)

    def __contains__(self, number: object) -> bool:
        return isinstance(number, str) and number[:1] == "+" and number[1:] in self._ranges
