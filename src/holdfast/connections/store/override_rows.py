"""What an organization sets for a connection of its own."""

from typing import Any

from sqlalchemy import Connection as Tx
from sqlalchemy import Row, delete, insert, select, update

from holdfast.connections.connection import Override
from holdfast.storage.tables import (
    Boolean,
    Column,
    Json,
    String,
    Table,
    Time,
    Ulid,
    environment_key,
    metadata,
)

overrides = Table(
    "overrides",
    metadata,
    environment_key(),
    Column("organization_id", String(256), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("id", Ulid, nullable=False),
    Column("enabled", Boolean),
    Column("scopes", Json),
    Column("config", Json, nullable=False),
    Column("client_ref", String(26)),
    Column("created_at", Time, nullable=False),
    Column("updated_at", Time, nullable=False),
)


def override(tx: Tx, environment_id: str, organization_id: str, name: str) -> Override | None:
    if not organization_id:
        return None
    row = tx.execute(
        select(overrides).where(
            overrides.c.environment_id == environment_id,
            overrides.c.organization_id == organization_id,
            overrides.c.name == name,
        )
    ).one_or_none()
    return None if row is None else _override(row)


def overrides_of(tx: Tx, environment_id: str, organization_id: str) -> dict[str, Override]:
    rows = tx.execute(
        select(overrides).where(
            overrides.c.environment_id == environment_id, overrides.c.organization_id == organization_id
        )
    )
    return {row.name: _override(row) for row in rows}


def save_override(tx: Tx, record: Override) -> None:
    key = (
        (overrides.c.environment_id == record.environment_id)
        & (overrides.c.organization_id == record.organization_id)
        & (overrides.c.name == record.name)
    )
    values = {
        "enabled": record.enabled,
        "scopes": None if record.scopes is None else list(record.scopes),
        "config": dict(record.config),
        "client_ref": record.client_ref,
        "updated_at": record.updated_at,
    }
    if tx.execute(update(overrides).where(key).values(values)).rowcount == 0:
        tx.execute(
            insert(overrides).values(
                environment_id=record.environment_id,
                organization_id=record.organization_id,
                name=record.name,
                id=record.id,
                created_at=record.created_at,
                **values,
            )
        )


def remove_overrides(tx: Tx, environment_id: str, name: str) -> None:
    tx.execute(delete(overrides).where(overrides.c.environment_id == environment_id, overrides.c.name == name))


def _override(row: Row[Any]) -> Override:
    return Override(
        environment_id=row.environment_id,
        id=row.id,
        organization_id=row.organization_id,
        name=row.name,
        enabled=row.enabled,
        scopes=None if row.scopes is None else tuple(row.scopes),
        config=row.config,
        client_ref=row.client_ref,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
