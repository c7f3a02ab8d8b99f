"""The log's table. Append and read; there is no update and no delete."""

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Index, Row, false, insert, or_, select

from holdfast.events.entry import Actor, Entry
from holdfast.events.names import Action
from holdfast.storage.paging import page
from holdfast.storage.tables import Column, Json, String, Table, Time, Ulid, environment_key, metadata

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
    Index("ix_entries_action", "environment_id", "action", "id"),
    Index("ix_entries_account", "environment_id", "account_id", "id"),
)


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
        tx.execute(insert(entries), [_row(entry) for entry in new])


_COLUMNS = tuple(column.name for column in entries.columns)
_SQLITE_APPEND = f"""
INSERT INTO entries ({", ".join(_COLUMNS)}) VALUES ({", ".join("?" * len(_COLUMNS))})
ON CONFLICT DO NOTHING
"""  # noqa: S608
_POSTGRES_APPEND = f"""
INSERT INTO entries ({", ".join(_COLUMNS)})
SELECT * FROM unnest({
    ", ".join(
        f"${n}::{'float8' if name == 'at' else 'json' if name == 'data' else 'text'}[]"
        for n, name in enumerate(_COLUMNS, 1)
    )
})
ON CONFLICT DO NOTHING
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Appending:
    """Entries by the hundred, for `Database.direct`: through SQLAlchemy each costs many times as much.

    Doing it again is harmless: what is there already stays.
    """

    new: Sequence[Entry]

    def on_sqlite(self, raw: sqlite3.Connection) -> None:
        raw.executemany(_SQLITE_APPEND, self._rows())

    async def on_postgres(self, raw: Any) -> None:
        await raw.execute(_POSTGRES_APPEND, *zip(*self._rows(), strict=True))

    def _rows(self) -> list[tuple[Any, ...]]:
        return [
            (
                entry.environment_id,
                entry.id,
                entry.at,
                entry.action.value,
                entry.actor.kind,
                entry.actor.id,
                entry.account_id,
                entry.connection_id,
                entry.user_id,
                entry.organization_id,
                entry.request_id,
                msgspec.json.encode(entry.data).decode(),
            )
            for entry in self.new
        ]


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
    connection_id: str | None = None,
) -> list[Entry]:
    """Return up to `limit` entries in the order asked for. `after` and `before` are entry ids, exclusive."""
    query = select(entries).where(
        entries.c.environment_id == environment_id,
        entries.c.action.in_([kind.action.value for kind in kinds]),
        or_(false(), *(_is_of(kind) for kind in kinds)),
    )
    if since is not None:
        query = query.where(entries.c.at >= since)
    if until is not None:
        query = query.where(entries.c.at <= until)
    if organization_id is not None:
        query = query.where(entries.c.organization_id == organization_id)
    if account_id is not None:
        query = query.where(entries.c.account_id == account_id)
    if connection_id is not None:
        query = query.where(entries.c.connection_id == connection_id)
    rows = page(tx, query, entries.c.id, limit=limit, after=after, before=before, newest_first=newest_first)
    return [entry_of(row) for row in rows]


def _row(entry: Entry) -> dict[str, Any]:
    return {
        "environment_id": entry.environment_id,
        "id": entry.id,
        "at": entry.at,
        "action": entry.action.value,
        "actor_kind": entry.actor.kind,
        "actor_id": entry.actor.id,
        "account_id": entry.account_id,
        "connection_id": entry.connection_id,
        "user_id": entry.user_id,
        "organization_id": entry.organization_id,
        "request_id": entry.request_id,
        "data": dict(entry.data),
    }


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
