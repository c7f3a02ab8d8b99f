"""Time as a value that is passed in. Two clocks: the system's, and one that tests move by hand."""

import time
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Protocol

_EPOCH = date(1970, 1, 1).toordinal()
_FIRST, _LAST = -62_135_596_800.0, 253_402_300_799.999
"""The first and the last millisecond that `iso` can write, in the years 1 and 9999."""
_SECONDS = tuple(f":{second:02}." for second in range(60))
_MILLIS = tuple(f"{millis:03}Z" for millis in range(1000))


class Clock(Protocol):
    def now(self) -> float:
        """Return seconds since the epoch."""
        ...


class SystemClock:
    def now(self) -> float:
        return time.time()


class FrozenClock:
    """A clock that stands still until it is moved. For tests, and for the lab's fake time."""

    def __init__(self, at: float = 1_790_000_000.0) -> None:
        self.at = at

    def now(self) -> float:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += seconds


def iso(at: float) -> str:
    """Return ISO 8601 in UTC with milliseconds and `Z`, the form both wires use."""
    minute, second = divmod(at, 60)
    micros = round(second * 1e6)  # as datetime does, which takes four times as long
    if not 0 <= micros < 60_000_000:
        minute, micros = minute + 1, 0
    whole, millis = divmod(micros // 1000, 1000)
    return _minute(int(minute)) + _SECONDS[whole] + _MILLIS[millis]


@lru_cache(maxsize=4096)
def _minute(minute: int) -> str:
    day, rest = divmod(minute, 1440)
    return f"{date.fromordinal(_EPOCH + day).isoformat()}T{rest // 60:02}:{rest % 60:02}"


def from_iso(text: str) -> float:
    """Parse ISO 8601; a time without zone is UTC. Raises ValueError.

    What its zone, or rounding to a float, moves out of the years 1 to 9999 is the nearest that `iso` can write: people
    say `9999-12-31T23:59:59.999999Z` for never.
    """
    parsed = datetime.fromisoformat(text)
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    return min(max(parsed.timestamp(), _FIRST), _LAST)
