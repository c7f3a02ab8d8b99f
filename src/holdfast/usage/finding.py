"""Finding calls, newest first, in pages. The log is looked through in short steps, and others get turns between."""

from collections.abc import Collection
from dataclasses import dataclass

from holdfast import ids
from holdfast.storage import Database
from holdfast.usage import store
from holdfast.usage.call import Call, End, call_of

STEP = 500
"""Entries per transaction: some 10 ms of the one thread that SQLite has."""
MOST_LOOKED_AT = 10_000
"""Entries per request. A rare call among many takes several pages to find, some of them empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which calls. None = all; an empty collection = none. Times in seconds, `since` inclusive, `until` exclusive."""

    since: float | None = None
    until: float | None = None
    ends: Collection[End] | None = None
    connections: Collection[str] | None = None
    account_id: str | None = None
    identifier: str | None = None
    """The user's id, or the organization's."""

    def holds(self, call: Call) -> bool:
        if self.ends is not None and call.ended.end not in self.ends:
            return False
        if self.connections is not None and call.connection_id not in self.connections:
            return False
        return self.identifier is None or self.identifier in (call.user_id, call.organization_id)


@dataclass(frozen=True, slots=True)
class Found:
    """A page. `after`, `before`: where its neighbours begin, if there are any."""

    calls: list[Call]
    after: str | None
    before: str | None


async def get(database: Database, environment_id: str, call_id: str) -> Call | None:
    found = await database.transact(lambda tx: store.entry(tx, environment_id, call_id))
    return None if found is None else call_of(found)


async def find(
    database: Database,
    environment_id: str,
    wanted: Wanted,
    *,
    size: int,
    after: str | None = None,
    before: str | None = None,
    step: int = STEP,
    most: int = MOST_LOOKED_AT,
) -> Found:
    """Return calls older than `after` (or newer than `before`), newest first."""
    backwards = before is not None
    calls, stopped_at = await _look(
        database, environment_id, wanted, size + 1, before or after, older=not backwards, step=step, most=most
    )
    more, calls = len(calls) > size, calls[:size]
    onward = calls[-1].id if more else stopped_at
    if not backwards:
        return Found(calls, onward, None if after is None else calls[0].id if calls else after)
    calls.reverse()
    return Found(calls, calls[-1].id if calls else before, onward)


async def _look(
    database: Database,
    environment_id: str,
    wanted: Wanted,
    enough: int,
    start: str | None,
    *,
    older: bool,
    step: int,
    most: int,
) -> tuple[list[Call], str | None]:
    """Return matching calls, and where looking stopped although the log goes on."""
    since = None if wanted.since is None else ids.first_at(wanted.since)
    until = None if wanted.until is None else ids.first_at(wanted.until)
    found: list[Call] = []
    for _ in range(most // step):
        if start is not None and older:
            until = start if until is None else min(until, start)
        elif start is not None:
            later = ids.encode(ids.decode(start) + 1)
            since = later if since is None else max(since, later)
        low, high = since, until
        looked_at = await database.transact(
            lambda tx, low=low, high=high: store.entries_between(  # type: ignore[misc]
                tx,
                environment_id,
                limit=step,
                since=low,
                until=high,
                newest_first=older,
                account_id=wanted.account_id,
            )
        )
        found += [call for call in map(call_of, looked_at) if wanted.holds(call)]
        if len(found) >= enough or len(looked_at) < step:
            return found[:enough], None
        start = looked_at[-1].id
    return found, start
