"""How far the log is complete, and how far its readers have come."""

from dataclasses import dataclass

from sqlalchemy import (
    Connection,
    select,
    text,
    update,
)

from holdfast.events.store.table import entries, position_of
from holdfast.storage.tables import Column, Count, String, Table, environment_key, metadata

log_cursors = Table(
    "log_cursors",
    metadata,
    environment_key(),
    Column("name", String(32), primary_key=True),
    Column("position", Count, nullable=False),
    Column("entry_environment_id", String(26), nullable=False),
    Column("entry_id", String(26), nullable=False),
)
"""How far a reader of the whole log has come. One row to a name: whoever locks it is the only such reader."""
_EVERYWHERE = "all"


@dataclass(frozen=True, slots=True)
class Mark:
    """A position, and a transaction that is younger than all that drew a number up to it."""

    position: int
    transaction: int
    oldest_running: int

    def passed(self, oldest_running: int) -> bool:
        """Tell whether every transaction that drew a number up to the mark's is over."""
        return oldest_running >= self.transaction


def mark(tx: Connection) -> Mark:
    """Return the last number drawn, and which transactions there were then. On SQLite every mark is passed.

    Statements in this order: a number is drawn by a transaction that has an id, so whoever drew one that the first
    statement sees has a lower id than the second one makes. (A snapshot's xmax would not do: it says nothing of the
    transactions that have begun since the last one ended.)
    """
    if tx.dialect.name == "sqlite":
        return Mark(tx.execute(text("SELECT coalesce(max(rowid), 0) FROM entries")).scalar_one(), 0, 0)
    drawn = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM entries_arrival"
    position = tx.execute(text(drawn)).scalar_one()
    transaction = tx.execute(text("SELECT pg_current_xact_id()::text::bigint")).scalar_one()
    return Mark(position, transaction, oldest_running(tx))


def oldest_running(tx: Connection) -> int:
    """Return a transaction such that all before it, in the whole PostgreSQL, are over and to be seen. On SQLite 0."""
    if tx.dialect.name == "sqlite":
        return 0
    return int(tx.execute(text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")).scalar_one())


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a reader of the whole log has come: the entry read last, and its position."""

    position: int
    environment_id: str = ""
    entry_id: str = ""


def take_cursor(tx: Connection, name: str) -> Cursor | None:
    """Lock and return the cursor, made at the log's beginning on first use; None while another transaction has it."""
    where = (log_cursors.c.environment_id == _EVERYWHERE) & (log_cursors.c.name == name)
    row = tx.execute(select(log_cursors).where(where).with_for_update(skip_locked=True)).one_or_none()
    if row is None:
        _make_cursor(tx, name)
        row = tx.execute(select(log_cursors).where(where).with_for_update(skip_locked=True)).one_or_none()
        if row is None:
            return None
    found = tx.execute(
        select(position_of(tx)).where(
            entries.c.environment_id == row.entry_environment_id, entries.c.id == row.entry_id
        )
    ).scalar_one_or_none()
    return Cursor(row.position if found is None else found, row.entry_environment_id, row.entry_id)


def _make_cursor(tx: Connection, name: str) -> None:
    tx.execute(
        text(
            "INSERT INTO log_cursors (environment_id, name, position, entry_environment_id, entry_id)"
            " VALUES (:everywhere, :name, 0, '', '') ON CONFLICT DO NOTHING"
        ),
        {"everywhere": _EVERYWHERE, "name": name},
    )


def move_cursor(tx: Connection, name: str, cursor: Cursor) -> None:
    """Move a cursor that this transaction has taken."""
    tx.execute(
        update(log_cursors)
        .where(log_cursors.c.environment_id == _EVERYWHERE, log_cursors.c.name == name)
        .values(position=cursor.position, entry_environment_id=cursor.environment_id, entry_id=cursor.entry_id)
    )


def peek_cursor(tx: Connection, name: str) -> Cursor | None:
    """Return a cursor as it was last moved, without taking it."""
    row = tx.execute(
        select(log_cursors).where(log_cursors.c.environment_id == _EVERYWHERE, log_cursors.c.name == name)
    ).one_or_none()
    return None if row is None else Cursor(row.position, row.entry_environment_id, row.entry_id)
