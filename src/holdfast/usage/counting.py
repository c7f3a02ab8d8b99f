"""Counting calls over a span of time, in buckets, slice by slice."""

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from holdfast import ids
from holdfast.errors import Invalid
from holdfast.storage import Database
from holdfast.usage import store
from holdfast.usage.call import Ended, ended

MOST_BUCKETS = 30
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_WIDTHS = (
    *(_MINUTE * n for n in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * n for n in (1, 2, 3, 6, 12)),
    *(_DAY * n for n in (1, 2, 7, 14, 30, 90, 365)),
)
SLICE = 10_000
"""Entries per transaction: some 20 ms of the one thread that SQLite has."""
MOST_COUNTED = 500_000
"""Entries per request: about a second of work, in slices."""
LONGEST_SECONDS = _WIDTHS[-1] * (MOST_BUCKETS - 1)


class TooMuch(Invalid):
    """There are more calls in that time than one request counts."""

    default_code = "too_many_calls"


@dataclass(frozen=True, slots=True)
class Buckets:
    """Spans of equal width that cover `since` to `until`: 30 at most. They begin at multiples of their width (UTC)."""

    since: float
    until: float
    seconds: int

    @classmethod
    def over(cls, since: float, until: float) -> "Buckets":
        """Return the narrowest that do. Raises Invalid for an empty span, or one of 29 years and more."""
        if not since < until:
            raise Invalid("the span ends before it begins", code="invalid_span")
        for width in _WIDTHS:
            if math.ceil(until / width) - math.floor(since / width) <= MOST_BUCKETS:
                return cls(since, until, width)
        raise Invalid("the span is too long", code="invalid_span")

    def starts(self) -> Iterator[int]:
        first = math.floor(self.since / self.seconds)
        for number in range(first, math.ceil(self.until / self.seconds)):
            yield number * self.seconds


@dataclass(frozen=True, slots=True)
class Counted:
    """So many calls of a connection that began their bucket at `bucket` and ended alike."""

    bucket: int
    connection_id: str
    ended: Ended
    count: int


async def count(
    database: Database,
    environment_id: str,
    buckets: Buckets,
    *,
    connections: Collection[str] | None = None,
    size: int = SLICE,
    most: int = MOST_COUNTED,
) -> list[Counted]:
    """Count the calls of `connections` (None = all) in each bucket. Raises TooMuch.

    Each slice is a transaction of its own: calls that end meanwhile may be counted or not.
    """
    counted: list[Counted] = []
    left = most
    for bucket in buckets.starts():
        since = ids.first_at(max(bucket, buckets.since))
        until = ids.first_at(min(bucket + buckets.seconds, buckets.until))
        at: str | None = since
        while at is not None:
            if left <= 0:
                raise TooMuch("there are too many calls in that time to count at once: ask for a shorter one")
            groups, last = await database.transact(
                lambda tx, at=at, until=until: store.grouped(  # type: ignore[misc]
                    tx, environment_id, since=at, until=until, limit=size, connections=connections
                )
            )
            counted += [Counted(bucket, one.connection_id, ended(one.status, one.outcome), one.count) for one in groups]
            left -= size if last is not None else sum(one.count for one in groups)
            at = None if last is None else ids.encode(ids.decode(last) + 1)
    return counted
