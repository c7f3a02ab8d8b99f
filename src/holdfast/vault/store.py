"""Wrapped data keys, one row per environment and version; and sealed values wherever they are kept, for sealing anew.

The newest version of an environment whose time has come (`seals_at`) seals.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy
from sqlalchemy import ColumnElement, Connection, and_, case, func, insert, or_, select, text, update

from holdfast.storage.tables import Blob, Column, Integer, String, Table, Time, environment_key, metadata
from holdfast.vault.sealed import Place, header

data_keys = Table(
    "data_keys",
    metadata,
    environment_key(),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("wrapped", Blob, nullable=False),
    Column("wrapped_by", String(64), nullable=False),
    Column("created_at", Time, nullable=False),
    Column("seals_at", Time, nullable=False, server_default="0"),
)

Row = tuple[str, int, bytes, str, float]
"""Environment, version, wrapped key, key-encryption key's id, when it begins to seal."""


def load(tx: Connection, environment_id: str | None = None) -> list[Row]:
    """Return the data keys, all or one environment's, oldest first."""
    query = select(data_keys).order_by(data_keys.c.environment_id, data_keys.c.version)
    if environment_id is not None:
        query = query.where(data_keys.c.environment_id == environment_id)
    return [
        (row.environment_id, row.version, bytes(row.wrapped), row.wrapped_by, row.seals_at) for row in tx.execute(query)
    ]


def add(
    tx: Connection,
    environment_id: str,
    version: int,
    wrapped: bytes,
    wrapped_by: str,
    at: float,
    *,
    seals_at: float = 0.0,
) -> None:
    tx.execute(
        insert(data_keys).values(
            environment_id=environment_id,
            version=version,
            wrapped=wrapped,
            wrapped_by=wrapped_by,
            created_at=at,
            seals_at=seals_at,
        )
    )


def rewrap(tx: Connection, environment_id: str, version: int, *, was: bytes, wrapped: bytes, wrapped_by: str) -> bool:
    """Replace a wrapping if it is still the one told. The data key beneath stays what it is."""
    done = tx.execute(
        update(data_keys)
        .where(
            data_keys.c.environment_id == environment_id,
            data_keys.c.version == version,
            data_keys.c.wrapped == was,
        )
        .values(wrapped=wrapped, wrapped_by=wrapped_by)
    )
    return done.rowcount == 1


def is_empty(tx: Connection) -> bool:
    return tx.execute(select(data_keys.c.version).limit(1)).first() is None


def wrapping(tx: Connection, environment_id: str | None = None) -> dict[str, int]:
    """Return how many data keys, all or one environment's, each key-encryption key wraps."""
    query = select(data_keys.c.wrapped_by, func.count()).group_by(data_keys.c.wrapped_by)
    if environment_id is not None:
        query = query.where(data_keys.c.environment_id == environment_id)
    return {row[0]: row[1] for row in tx.execute(query)}


def lock(tx: Connection) -> None:
    """Keep others from adding a data key until this transaction ends. On SQLite nobody else writes meanwhile anyway."""
    if tx.dialect.name == "postgresql":
        tx.execute(text("LOCK TABLE data_keys IN SHARE ROW EXCLUSIVE MODE"))


# Sealed values


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """A column of sealed values, and what is needed to say where each belongs."""

    column: Column[bytes]
    field: str
    version: Column[int] | None = None
    """None = always 1."""
    before: int = 0
    """By how many it is behind `version`: 1 for a former secret."""

    @property
    def table(self) -> Table:
        return self.column.table

    def place(self, environment_id: str, record: str, version: int | None) -> Place:
        return Place(environment_id, record, self.field, 1 if version is None else version - self.before)


@dataclass(frozen=True, slots=True)
class Kept:
    """A sealed value where it is kept."""

    id: str
    data: bytes
    place: Place


def not_under(
    tx: Connection, kept_in: SealedColumn, environment_id: str, version: int, *, after: str, limit: int
) -> list[Kept]:
    """Return values that another data key than `version` has sealed, by the record's id, from `after` on."""
    at = kept_in.table.c
    wanted: list[ColumnElement[bool]] = [
        at.environment_id == environment_id,
        at.id > after,
        kept_in.column.is_not(None),
        func.substr(kept_in.column, 1, len(header(version)), type_=Blob) != header(version),
    ]
    stands = sqlalchemy.null() if kept_in.version is None else kept_in.version
    query = select(at.id, kept_in.column, stands).where(*wanted).order_by(at.id).limit(limit)
    return [
        Kept(record, bytes(data), kept_in.place(environment_id, record, number))
        for record, data, number in tx.execute(query)
    ]


def replace_sealed(
    tx: Connection, kept_in: SealedColumn, environment_id: str, anew: Mapping[str, tuple[bytes, bytes]]
) -> int:
    """Put new ciphertexts (record id > was, is to be) where the old ones still are, byte for byte; return how many.

    What somebody has sealed meanwhile stays: a refresh that was under way loses nothing.
    """
    if not anew:
        return 0
    at = kept_in.table.c
    still = or_(*(and_(at.id == record, kept_in.column == was) for record, (was, _) in anew.items()))
    new = case({record: data for record, (_, data) in anew.items()}, value=at.id)
    done = tx.execute(
        update(kept_in.table).where(at.environment_id == environment_id, still).values({kept_in.column: new})
    )
    return done.rowcount


def count_by_version(tx: Connection, kept_in: SealedColumn) -> dict[tuple[str, bytes], int]:
    """Return how many values stand under each environment and header (format and data key version)."""
    head = func.substr(kept_in.column, 1, len(header(1)), type_=Blob)
    at = kept_in.table.c
    query = (
        select(at.environment_id, head, func.count())
        .where(kept_in.column.is_not(None))
        .group_by(at.environment_id, head)
    )
    return {(environment_id, bytes(found)): count for environment_id, found, count in tx.execute(query)}
