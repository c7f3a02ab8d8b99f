"""A lease on a row: who works on it, until when, and a fence that rises each time it changes hands.

Contract. `acquire` gives the lease to one caller at a time. It says nothing about what happened before: read the row
again under the lease. A holder may stall past the end of its lease and lose it without noticing; therefore every write
under a lease says `WHERE fence = ?`, and a late writer changes nothing. Lease ends are judged by the database's clock,
never by that of a process.
"""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Double, Table, func, or_, update
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from holdfast.storage.tables import Column, Count, String, Time


class database_now(FunctionElement[float]):  # noqa: N801  (reads as SQL)
    """The database's own clock, in seconds since the epoch; real time even inside a transaction."""

    type = Double()
    inherit_cache = True


@compiles(database_now, "sqlite")
def _sqlite_now(_element: object, _compiler: object, **_kw: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(database_now, "postgresql")
def _postgres_now(_element: object, _compiler: object, **_kw: Any) -> str:
    return "extract(epoch from clock_timestamp())::double precision"


def lease_columns() -> tuple[Column[Any], ...]:
    return (
        Column("lease_owner", String(64)),
        Column("lease_until", Time),
        Column("fence", Count, nullable=False, server_default="0"),
    )


def acquire(tx: Connection, table: Table, row: ColumnElement[bool], *, owner: str, seconds: float) -> int | None:
    """Take the lease on `row` if it is free or over, and return its new fence; None if someone holds it."""
    taken = tx.execute(
        update(table)
        .where(row, is_free(table))
        .values(lease_owner=owner, lease_until=database_now() + seconds, fence=table.c.fence + 1)
        .returning(table.c.fence)
    ).scalar_one_or_none()
    return None if taken is None else int(taken)


def extend(tx: Connection, table: Table, row: ColumnElement[bool], *, fence: int, seconds: float) -> bool:
    """Keep the lease for `seconds` from now, if it is still ours."""
    held = tx.execute(update(table).where(row, table.c.fence == fence).values(lease_until=database_now() + seconds))
    return held.rowcount > 0


def is_free(table: Table) -> ColumnElement[bool]:
    """The condition that nobody holds a row's lease."""
    return or_(table.c.lease_until.is_(None), table.c.lease_until < database_now())


def release(tx: Connection, table: Table, row: ColumnElement[bool], *, fence: int) -> None:
    """Give the lease up, if it is still ours."""
    tx.execute(update(table).where(row, table.c.fence == fence).values(lease_owner=None, lease_until=None))


__all__ = ["acquire", "database_now", "extend", "func", "is_free", "lease_columns", "release"]
