"""Wrapped data keys, one row per environment and version. The newest version of an environment seals."""

from sqlalchemy import Connection, insert, select

from holdfast.storage.tables import Blob, Column, Integer, String, Table, Time, environment_key, metadata

data_keys = Table(
    "data_keys",
    metadata,
    environment_key(),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("wrapped", Blob, nullable=False),
    Column("wrapped_by", String(64), nullable=False),
    Column("created_at", Time, nullable=False),
)


def load(tx: Connection, environment_id: str | None = None) -> list[tuple[str, int, bytes, str]]:
    """Return (environment, version, wrapped key, key-encryption key's id), all or one environment's, oldest first."""
    query = select(data_keys).order_by(data_keys.c.environment_id, data_keys.c.version)
    if environment_id is not None:
        query = query.where(data_keys.c.environment_id == environment_id)
    return [(row.environment_id, row.version, bytes(row.wrapped), row.wrapped_by) for row in tx.execute(query)]


def add(tx: Connection, environment_id: str, version: int, wrapped: bytes, wrapped_by: str, at: float) -> None:
    tx.execute(
        insert(data_keys).values(
            environment_id=environment_id,
            version=version,
            wrapped=wrapped,
            wrapped_by=wrapped_by,
            created_at=at,
        )
    )


def is_empty(tx: Connection) -> bool:
    return tx.execute(select(data_keys.c.version).limit(1)).first() is None
