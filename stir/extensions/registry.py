"""The PASSporT types this service knows, by their ppt."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from stir.extensions.div import DIVERTED, DIVERTED_WITH_ORIGINAL
from stir.extensions.extension import Extension
from stir.extensions.msec import MSEC
from stir.extensions.msg import MSG
from stir.extensions.rcd import RCD
from stir.extensions.rph import RPH
from stir.extensions.rsp import RSP
from stir.extensions.shaken import SHAKEN

EXTENSIONS: Final[Mapping[str, Extension]] = MappingProxyType(
    {
        extension.ppt: extension
        for extension in (SHAKEN, DIVERTED, DIVERTED_WITH_ORIGINAL, RPH, RCD, MSG, MSEC, RSP)
    }
)
# None is the plain PASSporT of RFC 8225, without ppt.
SUPPORTED_TYPES: Final[frozenset[str | None]] = frozenset({None, *EXTENSIONS})


def is_supported(ppt: str | None, chosen: frozenset[str | None] | None) -> bool:
    """Whether a type is considered: one of `chosen`, or where that is None, any known one."""
    return ppt in (SUPPORTED_TYPES if chosen is None else chosen)
