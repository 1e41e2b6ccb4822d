"""Whether our own clock is right, judged by the Date fields of certificate servers' answers.

A clock that is a minute off makes every signature of ours stale to others and theirs to us, and
nothing inside the machine shows it. A heuristic with bounds: only servers count whose certificate
leads to one of our trust anchors, at least two must agree, and it says no more than "look at NTP".
"""

from __future__ import annotations

import calendar
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from statistics import median
from typing import Final

import structlog

from stir.certificates.certificate import Credential

TOLERANCE_SECONDS: Final = 20.0
_MAX_HOSTS: Final = 16
_MIN_HOSTS: Final = 2
_KEPT_SECONDS: Final = 3_600.0
_MAX_FIELD: Final = 64
_MAX_AGE: Final = 86_400
_log = structlog.get_logger("clock")


@dataclass(frozen=True, slots=True)
class _Seen:
    offset: float
    at: float


class ClockWatch:
    """Compares our clock with those of the last 16 certificate servers.

    `trusted` tells whether a credential leads to a trust anchor; `steady` gives seconds that never
    go back, by which what was seen is forgotten after an hour.
    """

    def __init__(
        self, trusted: Callable[[Credential], bool], *, steady: Callable[[], float]
    ) -> None:
        self._trusted = trusted
        self._steady = steady
        self._hosts: OrderedDict[str, _Seen] = OrderedDict()
        self._told = False

    def answered(
        self, url: str, headers: Mapping[str, str], credential: Credential, now: float
    ) -> None:
        """Note an answer's Date; `now` is our clock in epoch seconds when it was here."""
        date = _moment(headers)
        if date is None or not self._trusted(credential):
            return
        host = url.split("/", 3)[2].lower()
        self._hosts.pop(host, None)
        while len(self._hosts) >= _MAX_HOSTS:
            self._hosts.popitem(last=False)
        self._hosts[host] = _Seen(now - date, self._steady())
        self._tell()

    @property
    def offset(self) -> float | None:
        """Seconds our clock is ahead of the servers', None where too few are known."""
        since = self._steady() - _KEPT_SECONDS
        seen = [each.offset for each in self._hosts.values() if each.at >= since]
        return median(seen) if len(seen) >= _MIN_HOSTS else None

    @property
    def wrong(self) -> bool:
        """Whether more than half of the servers have a time that is far from ours."""
        since = self._steady() - _KEPT_SECONDS
        seen = [each.offset for each in self._hosts.values() if each.at >= since]
        ahead = sum(offset > TOLERANCE_SECONDS for offset in seen)
        behind = sum(offset < -TOLERANCE_SECONDS for offset in seen)
        return len(seen) >= _MIN_HOSTS and max(ahead, behind) * 2 > len(seen)

    def _tell(self) -> None:
        if self.wrong == self._told:
            return
        self._told = not self._told
        if self._told:
            _log.error(
                "our clock is wrong",
                culprit="this machine's clock",
                seconds_ahead=round(self.offset or 0.0),
                detail="signatures are refused as stale, ours and those of others: check NTP",
            )
        else:
            _log.info("our clock is right again")


def _moment(headers: Mapping[str, str]) -> float | None:
    """When the answer was sent, by its Date and, from a cache, its Age (RFC 9110, RFC 9111)."""
    date, age = headers.get("date", ""), headers.get("age", "0")
    if len(date) > _MAX_FIELD or not (age.isascii() and age.isdigit() and len(age) < 8):
        return None
    try:
        sent = calendar.timegm(parsedate_to_datetime(date).utctimetuple())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return sent + min(int(age), _MAX_AGE)
