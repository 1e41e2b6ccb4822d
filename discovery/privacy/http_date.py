"""HTTP dates in their one preferred form, `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 5.6.7)."""

from __future__ import annotations

import re
from calendar import timegm
from datetime import UTC, datetime
from typing import Final

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = (
    "Jan",
    "Feb",
    "Mar",
    "Apr",
    "May",
    "Jun",
    "Jul",
    "Aug",
    "Sep",
    "Oct",
    "Nov",
    "Dec",
)
_IMF_FIXDATE: Final = re.compile(
    rf"(?:{'|'.join(_DAYS)}), ([0-9]{{2}}) ({'|'.join(_MONTHS)}) ([0-9]{{4}})"
    r" ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT"
)


def format_http_date(now: float) -> str:
    """Return a time in epoch seconds as IMF-fixdate."""
    moment = datetime.fromtimestamp(int(now), UTC)
    day, month = _DAYS[moment.weekday()], _MONTHS[moment.month - 1]
    return f"{day}, {moment:%d} {month} {moment:%Y %H:%M:%S} GMT"


def parse_http_date(text: str) -> int | None:
    """Return an IMF-fixdate in epoch seconds; None for anything else, obsolete forms included."""
    found = _IMF_FIXDATE.fullmatch(text)
    if found is None:
        return None
    day, month, year, hour, minute, second = found.groups()
    try:
        moment = datetime(
            int(year),
            _MONTHS.index(month) + 1,
            int(day),
            int(hour),
            int(minute),
            min(int(second), 59),  # 60 is a leap second
            tzinfo=UTC,
        )
    except ValueError:
        return None
    return timegm(moment.utctimetuple())
