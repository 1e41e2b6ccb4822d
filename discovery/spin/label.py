"""Labels: the names of groups and tags."""

from __future__ import annotations

import re
from typing import Final

_LABEL: Final = re.compile(r"[A-Za-z0-9._-]{1,32}")


def is_label(text: object) -> bool:
    """Tell whether text can name a group or a tag: 1 to 32 letters, digits, dots, dashes."""
    return isinstance(text, str) and _LABEL.fullmatch(text) is not None
