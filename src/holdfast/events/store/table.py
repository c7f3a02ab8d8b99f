"""The log's table, its indexes, and where an entry stands in it.

An entry's position is its place in the order in which the log is read. On PostgreSQL it is `arrival`, a number drawn
when the row is written; on SQLite the rowid, as there is one writer at a time (VACUUM and a restored dump may renumber
rows, but never reorder them, so what is remembered of the log is an entry's id). `order` says up to which position the
log is complete.
"""

import contextlib
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Index,
    Row,
    literal_column,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from holdfast.events.entry import Actor, Entry
from holdfast.events.names import Action
from holdfast.storage.tables import Blob, Column, Count, Json, String, Table, Time, Ulid, environment_key, metadata

ARRIVAL = "(CASE WHEN pg_current_xact_id() IS NOT NULL THEN nextval('entries_arrival') END)"
"""Who draws a number has a transaction id before it: that is what `order` builds on."""


class _drawn(FunctionElement[int]):  # noqa: N801  (reads as SQL)
    type = BigInteger()
    inherit_cache = True


@compiles(_drawn, "postgresql")
def _on_postgres(_element: object, _compiler: object, **_kw: Any) -> str:
    return ARRIVAL


@compiles(_drawn, "sqlite")
def _on_sqlite(_element: object, _compiler: object, **_kw: Any) -> str:
    return "NULL"


IS_CALL = text("action IN ('proxy.called', 'tool.executed')")
NO_USE = text("action NOT IN ('credential.read', 'proxy.called')")
"""Of a partial index, and of a query that is to use it: word for word the same, or SQLite does not see it."""
USES = frozenset({Action.CREDENTIAL_READ, Action.PROXY_CALLED})
"""What apps do with an account, as often as they like."""
entries = Table(
    "entries",
    metadata,
    environment_key(),
    Column("id", Ulid, primary_key=True),
    Column("at", Time, nullable=False),
    Column("action", String(64), nullable=False),
    Column("actor_kind", String(16), nullable=False),
    Column("actor_id", String(128), nullable=False),
    Column("account_id", String(26), nullable=False),
    Column("connection_id", String(26), nullable=False),
    Column("user_id", String(256), nullable=False),
    Column("organization_id", String(256), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("data", Json, nullable=False),
    Column("arrival", Count, server_default=_drawn()),
    Column("marks", Blob),
    # An entry that tells of many reads is longer than what PostgreSQL would compress, which costs more than the reads.
    # Vacuumed as it grows: the index on what tells of many reads is enough by itself for what VACUUM has seen.
    postgresql_with={"toast_tuple_target": 8160, "autovacuum_vacuum_insert_scale_factor": 0.02},
)
# Reads of credentials and proxied calls are nearly all of the log, and an index is half of what writing one costs. By
# action nobody lists them, but for calls, which have their own index. By account, they would touch a page of their
# own each: there are as many such pages as accounts, and PostgreSQL logs each page whole, once after a checkpoint. So
# there they are found through a summary of every 16 pages, which costs a write next to nothing (`summarize`): no more
# accounts than have so many rows, in so few bytes that PostgreSQL does not compress it with each that is added.
Index(
    "ix_entries_action",
    entries.c.environment_id,
    entries.c.action,
    entries.c.arrival,
    sqlite_where=NO_USE,
    postgresql_where=NO_USE,
)
Index(
    "ix_entries_account",
    entries.c.environment_id,
    entries.c.account_id,
    entries.c.arrival,
    postgresql_where=NO_USE,
)
Index("ix_entries_calls", entries.c.environment_id, entries.c.id, sqlite_where=IS_CALL, postgresql_where=IS_CALL)
Index(
    "ix_entries_reads",
    entries.c.account_id,
    postgresql_using="brin",
    postgresql_ops={"account_id": "text_bloom_ops(n_distinct_per_range=400)"},
    postgresql_with={"pages_per_range": 16},
    sqlite_where=text("account_id IS NULL"),  # of nothing: SQLite has no such index
)
NOTABLE = text("action NOT IN ('credential.read', 'proxy.called', 'token.refreshed')")
"""What people look through: all but what happens by itself many times a day. Of a partial index, as above."""
Index(
    "ix_entries_notable",
    entries.c.environment_id,
    entries.c.arrival,
    sqlite_where=NOTABLE,
    postgresql_where=NOTABLE,
)
# Rows lie in the order of their arrival, so a summary of every 32 pages finds the newest at next to no cost to a write.
# On SQLite it is an index of nothing.
Index(
    "ix_entries_arrival",
    entries.c.arrival,
    postgresql_using="brin",
    postgresql_with={"pages_per_range": 32},
    sqlite_where=entries.c.arrival.is_not(None),
)


IS_GATHERED = text("marks IS NOT NULL")
"""Entries that tell of many reads each (`events.gathered`); of a partial index, as above. SQLite has none."""
Index(
    "ix_entries_gathered",
    entries.c.environment_id,
    entries.c.id,
    sqlite_where=IS_GATHERED,
    postgresql_where=IS_GATHERED,
    postgresql_include=["marks"],
)


def summarize(tx: Connection) -> None:
    """Let the indexes that are summaries know of new pages; what they do not know of is read through. Nothing on
    SQLite. PostgreSQL's own `autosummarize` keeps no more than 256 such requests a minute, and tells its log of each
    that it does not keep.

    Gives way to a vacuum that is under way, which does the same: whoever waits for one a second has it cancelled.
    """
    if tx.dialect.name != "postgresql":
        return
    with contextlib.suppress(DBAPIError), tx.begin_nested():
        tx.execute(text("SET LOCAL lock_timeout = '100ms'"))
        tx.execute(text("SELECT brin_summarize_new_values('ix_entries_arrival')"))
        tx.execute(text("SELECT brin_summarize_new_values('ix_entries_reads')"))


def position_of(tx: Connection) -> ColumnElement[int]:
    """Return the expression of an entry's position on this engine."""
    if tx.dialect.name == "sqlite":
        return literal_column("entries.rowid", BigInteger)
    return entries.c.arrival


def place_of(tx: Connection, environment_id: str, entry_id: str, *, rounding_up: bool) -> int:
    """Return the position of an entry; of the nearest one, by id, if there is no such entry."""
    there = entries.c.id >= entry_id if rounding_up else entries.c.id <= entry_id
    found = tx.execute(
        select(position_of(tx))
        .where(entries.c.environment_id == environment_id, there)
        .order_by(entries.c.id.asc() if rounding_up else entries.c.id.desc())
        .limit(1)
    ).scalar_one_or_none()
    if found is not None:
        return int(found)
    return (1 << 62) if rounding_up else 0


def entry_of(row: Row[Any]) -> Entry:
    return Entry(
        environment_id=row.environment_id,
        id=row.id,
        at=row.at,
        action=Action(row.action),
        actor=Actor(row.actor_kind, row.actor_id),
        account_id=row.account_id,
        connection_id=row.connection_id,
        user_id=row.user_id,
        organization_id=row.organization_id,
        request_id=row.request_id,
        data=row.data,
    )
