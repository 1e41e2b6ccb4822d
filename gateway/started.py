"""What a process does once all of it has been made."""

from __future__ import annotations

import gc
from typing import Final

# A request makes some thousand objects and hardly a cycle: looking for cycles every 700 objects, as
# Python does, takes a tenth of the time.
_THRESHOLDS: Final = (20_000, 20, 20)


def settle_memory() -> None:
    """Leave what start-up made out of every later search for cycles.

    It lives as long as the process; visiting all of it holds the event loop for some 100 ms, and
    who sends thousands of brackets could choose when.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
