"""The log's table. Append and read; there is no update and no delete.

An entry's position is its place in the order in which the log is read. On PostgreSQL it is `arrival`, a number drawn
when the row is written; on SQLite the rowid, as there is one writer at a time (VACUUM and a restored dump may renumber
rows, but never reorder them, so what is remembered of the log is an entry's id). `order` says up to which position the
log is complete.
"""

import contextlib
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Index,
    Row,
    TextClause,
    false,
    func,
    insert,
    literal_column,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from holdfast.events.entry import Actor, Entry, Line
from holdfast.events.names import Action
from holdfast.storage.tables import Column, Count, Json, String, Table, Time, Ulid, environment_key, metadata

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
)
# Reads of credentials and proxied calls are nearly all of the log, and an index is half of what writing one costs. By
# action nobody lists them, but for calls, which have their own index. By account, they would touch a page of their
# own each: there are as many such pages as accounts, and PostgreSQL logs each page whole, once after a checkpoint. So
# there they are found through a summary of every 32 pages, which VACUUM brings up to date and which costs a write
# nothing.
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
    postgresql_ops={"account_id": "text_bloom_ops"},
    postgresql_with={"pages_per_range": 32, "autosummarize": True},
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
    postgresql_with={"pages_per_range": 32, "autosummarize": True},
    sqlite_where=entries.c.arrival.is_not(None),
)

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
class Kind:
    """Entries of one action; with `member`, only those whose data says `value` there (or, with `unless`, does not).
    None = nothing stands there, or null."""

    action: Action
    member: str = ""
    value: str | None = ""
    unless: bool = False


def _is_of(kind: Kind) -> ColumnElement[bool]:
    of_action = entries.c.action == kind.action.value
    if not kind.member:
        return of_action
    said = entries.c.data[kind.member].as_string()
    matches: ColumnElement[bool] = said.is_distinct_from(kind.value) if kind.unless else said == kind.value
    return of_action & matches


def append(tx: Connection, *new: Entry) -> None:
    if new:
        tx.execute(insert(entries), [msgspec.structs.asdict(Line.of(entry)) for entry in new])


_COLUMNS = tuple(column.name for column in entries.columns if column.name != "arrival")
_SQLITE_APPEND = f"""
INSERT INTO entries ({", ".join(_COLUMNS)}) VALUES ({", ".join("?" * len(_COLUMNS))})
ON CONFLICT DO NOTHING
"""  # noqa: S608
# As one JSON value: asyncpg looks long at each item of an array, twelve arrays of them cost 4 us an entry. `data` is
# written to the table as it stands in it.
_POSTGRES_APPEND = f"""
INSERT INTO entries ({", ".join(_COLUMNS)})
SELECT {", ".join(_COLUMNS)} FROM json_to_recordset($1::text::json) AS x({
    ", ".join(f"{name} {'float8' if name == 'at' else 'json' if name == 'data' else 'text'}" for name in _COLUMNS)
})
"""  # noqa: S608
_POSTGRES_APPEND_AGAIN = _POSTGRES_APPEND + "ON CONFLICT DO NOTHING"
_encode = msgspec.json.Encoder(order="deterministic").encode
"""As entries are hashed: what is written so can be hashed as it lies there."""


@dataclass(frozen=True, slots=True)
class Appending:
    """Lines by the hundred, for `Database.direct`: through SQLAlchemy each costs many times as much.

    `again`: some of them may be there already, and stay. It costs a fifth more.
    """

    new: Sequence[Line]
    again: bool = False

    def on_sqlite(self, raw: sqlite3.Connection) -> None:
        rows = [(*msgspec.structs.astuple(line)[:-1], _encode(line.data).decode()) for line in self.new]
        raw.executemany(_SQLITE_APPEND, rows)

    async def on_postgres(self, raw: Any) -> None:
        await raw.execute(_POSTGRES_APPEND_AGAIN if self.again else _POSTGRES_APPEND, _encode(self.new).decode())


def list_entries(
    tx: Connection,
    environment_id: str,
    *,
    kinds: Collection[Kind],
    limit: int,
    after: str | None = None,
    before: str | None = None,
    newest_first: bool = False,
    since: float | None = None,
    until: float | None = None,
    organization_id: str | None = None,
    account_id: str | None = None,
    up_to: int | None = None,
    connection_id: str | None = None,
) -> list[Entry]:
    """Return up to `limit` entries in the log's order, or its reverse. `after` and `before` are entry ids, exclusive.

    Whoever pages on must say `up_to`, a position that the log is complete to (`order`): behind it, an entry may still
    come to light before one that is shown. An `after` that is no entry stands for the last one made before it.
    """
    position = position_of(tx)
    query = select(entries).where(
        *_matching(tx, environment_id, kinds, since, until, organization_id, account_id, up_to, connection_id)
    )
    later, earlier = (before, after) if newest_first else (after, before)
    if later is not None:
        query = query.where(position > place_of(tx, environment_id, later, rounding_up=False))
    if earlier is not None:
        query = query.where(position < place_of(tx, environment_id, earlier, rounding_up=True))
    backwards = before is not None and after is None
    ascending = newest_first == backwards
    rows = list(tx.execute(query.order_by(position.asc() if ascending else position.desc()).limit(limit)))
    return [entry_of(row) for row in (rows[::-1] if backwards else rows)]


def count_entries(
    tx: Connection,
    environment_id: str,
    *,
    kinds: Collection[Kind],
    most: int,
    since: float | None = None,
    until: float | None = None,
    organization_id: str | None = None,
    account_id: str | None = None,
    up_to: int | None = None,
    connection_id: str | None = None,
) -> int:
    """Return how many entries `list_entries` would lead through; `most` if they are that many or more."""
    wanted = _matching(tx, environment_id, kinds, since, until, organization_id, account_id, up_to, connection_id)
    some = select(entries.c.id).where(*wanted).limit(most).subquery()
    return tx.execute(select(func.count()).select_from(some)).scalar_one()


def _matching(
    tx: Connection,
    environment_id: str,
    kinds: Collection[Kind],
    since: float | None,
    until: float | None,
    organization_id: str | None,
    account_id: str | None,
    up_to: int | None,
    connection_id: str | None,
) -> Iterator[ColumnElement[bool] | TextClause]:
    yield entries.c.environment_id == environment_id
    yield entries.c.action.in_([kind.action.value for kind in kinds])
    yield or_(false(), *(_is_of(kind) for kind in kinds))
    if not any(kind.action in USES for kind in kinds):
        yield NO_USE
    if tx.dialect.name == "sqlite":
        yield entries.c.arrival.is_(None)  # so that the index, which goes on with the rowid, is used
    if up_to is not None:
        yield position_of(tx) <= up_to
    if since is not None:
        yield entries.c.at >= since
    if until is not None:
        yield entries.c.at <= until
    if organization_id is not None:
        yield entries.c.organization_id == organization_id
    if account_id is not None:
        yield entries.c.account_id == account_id
    if connection_id is not None:
        yield entries.c.connection_id == connection_id


def get(tx: Connection, environment_id: str, entry_id: str) -> Entry | None:
    row = tx.execute(
        select(entries).where(entries.c.environment_id == environment_id, entries.c.id == entry_id)
    ).one_or_none()
    return None if row is None else entry_of(row)


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


def span(
    tx: Connection, after: int, up_to: int, *, limit: int, actions: Collection[Action] | None = None
) -> list[tuple[int, Entry]]:
    """Return up to `limit` entries of all environments with their positions: those behind `after`, up to `up_to`."""
    position = position_of(tx)
    if tx.dialect.name == "postgresql":
        # While the table is small or has just grown, the planner would rather read it through than trust a BRIN index.
        tx.execute(text("SET LOCAL enable_seqscan = off"))
    query = select(position.label("position"), entries).where(position > after, position <= up_to)
    if actions is not None:
        query = query.where(entries.c.action.in_([action.value for action in actions]))
    return [(row.position, entry_of(row)) for row in tx.execute(query.order_by(position).limit(limit))]


def by_ids(tx: Connection, environment_id: str, wanted: Collection[str]) -> dict[str, tuple[int, Entry]]:
    """Return those of the entries that there are, by id, with their positions."""
    position = position_of(tx)
    query = select(position.label("position"), entries).where(
        entries.c.environment_id == environment_id, entries.c.id.in_(list(wanted))
    )
    return {row.id: (row.position, entry_of(row)) for row in tx.execute(query)}


def ids_up_to(tx: Connection, environment_id: str, up_to: int) -> list[str]:
    """Return the ids of an environment's entries up to a position, in order. Reads them all: for verifying."""
    position = position_of(tx)
    query = select(entries.c.id).where(entries.c.environment_id == environment_id, position <= up_to)
    return list(tx.execute(query.order_by(position)).scalars())


def count_up_to(tx: Connection, environment_id: str, up_to: int) -> int:
    query = select(func.count()).where(entries.c.environment_id == environment_id, position_of(tx) <= up_to)
    return int(tx.execute(query).scalar_one())


def peek_cursor(tx: Connection, name: str) -> Cursor | None:
    """Return a cursor as it was last moved, without taking it."""
    row = tx.execute(
        select(log_cursors).where(log_cursors.c.environment_id == _EVERYWHERE, log_cursors.c.name == name)
    ).one_or_none()
    return None if row is None else Cursor(row.position, row.entry_environment_id, row.entry_id)


def summarize(tx: Connection) -> None:
    """Let the index on arrivals know of new pages; what it does not know of is read through. Nothing on SQLite.

    Gives way to a vacuum that is under way, which does the same: whoever waits for one a second has it cancelled.
    """
    if tx.dialect.name != "postgresql":
        return
    with contextlib.suppress(DBAPIError), tx.begin_nested():
        tx.execute(text("SET LOCAL lock_timeout = '100ms'"))
        tx.execute(text("SELECT brin_summarize_new_values('ix_entries_arrival')"))


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
