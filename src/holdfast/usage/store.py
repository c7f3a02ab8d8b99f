"""Reading the log's calls: always along the index of calls by id, and never more rows than asked for."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection as Tx
from sqlalchemy import Select, func, select

from holdfast.events import Entry
from holdfast.events.store import IS_CALL, entries, entry_of


@dataclass(frozen=True, slots=True)
class Group:
    """Calls that are alike, in one slice of the log."""

    connection_id: str
    status: int | None
    outcome: str | None
    count: int


def entries_between(
    tx: Tx,
    environment_id: str,
    *,
    limit: int,
    since: str | None,
    until: str | None,
    newest_first: bool,
    account_id: str | None = None,
) -> list[Entry]:
    """Return up to `limit` calls' entries with ids from `since` on and before `until`."""
    query = select(entries).where(entries.c.environment_id == environment_id, IS_CALL)
    if account_id is not None:
        query = query.where(entries.c.account_id == account_id)
    if since is not None:
        query = query.where(entries.c.id >= since)
    if until is not None:
        query = query.where(entries.c.id < until)
    order = entries.c.id.desc() if newest_first else entries.c.id.asc()
    return [entry_of(row) for row in tx.execute(query.order_by(order).limit(limit))]


def entry(tx: Tx, environment_id: str, entry_id: str) -> Entry | None:
    """Return one call's entry."""
    row = tx.execute(
        select(entries).where(
            entries.c.environment_id == environment_id,
            entries.c.id == entry_id,
            IS_CALL,
        )
    ).one_or_none()
    return None if row is None else entry_of(row)


def grouped(
    tx: Tx, environment_id: str, *, since: str, until: str, limit: int, connections: Collection[str] | None
) -> tuple[list[Group], str | None]:
    """Count the first `limit` calls with ids from `since` on and before `until`, alike ones together.

    Returns the last id looked at too; None if there was none, or fewer than `limit`: then all are counted.
    """
    sliced = _slice(environment_id, since, until).order_by(entries.c.id).limit(limit).subquery()
    query = select(
        sliced.c.connection_id,
        sliced.c.status,
        sliced.c.outcome,
        func.count().label("calls"),
        func.max(sliced.c.id).label("last"),
    ).group_by(sliced.c.connection_id, sliced.c.status, sliced.c.outcome)
    rows = tx.execute(query).all()
    groups = [
        Group(row.connection_id, None if row.status is None else int(row.status), row.outcome, row.calls)
        for row in rows
        if connections is None or row.connection_id in connections
    ]
    full = sum(row.calls for row in rows) >= limit
    return groups, max(row.last for row in rows) if full else None


def _slice(environment_id: str, since: str, until: str) -> "Select[tuple[str, str, str, str]]":
    return select(
        entries.c.id,
        entries.c.connection_id,
        entries.c.data["status"].as_string().label("status"),
        entries.c.data["outcome"].as_string().label("outcome"),
    ).where(
        entries.c.environment_id == environment_id,
        IS_CALL,
        entries.c.id >= since,
        entries.c.id < until,
    )
