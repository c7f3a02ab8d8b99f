"""Environments."""

from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from holdfast.access.principal import CleanUpPolicy, Environment
from holdfast.storage.tables import (
    Column,
    Integer,
    String,
    Table,
    Time,
    environment_key,
    metadata,
)

environments = Table(
    "environments",
    metadata,
    environment_key(),
    Column("name", String(128), nullable=False, unique=True),
    Column("user_verification", String(16), nullable=False, server_default="none"),
    Column("unused_days", Integer),
    Column("expired_days", Integer),
    Column("created_at", Time, nullable=False),
)


def environment_by_name(tx: Connection, name: str) -> Environment | None:
    row = tx.execute(select(environments).where(environments.c.name == name)).one_or_none()
    return None if row is None else _environment(row)


def environment(tx: Connection, environment_id: str, *, lock: bool = False) -> Environment | None:
    query = select(environments).where(environments.c.environment_id == environment_id)
    row = tx.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else _environment(row)


def add_environment(tx: Connection, new: Environment) -> None:
    values = _settings(new)
    tx.execute(insert(environments).values(environment_id=new.id, name=new.name, created_at=new.created_at, **values))


def save_environment(tx: Connection, changed: Environment) -> None:
    """Write an environment's settings; its name and age stay."""
    tx.execute(update(environments).where(environments.c.environment_id == changed.id).values(_settings(changed)))


def _settings(record: Environment) -> dict[str, Any]:
    return {
        "user_verification": record.user_verification,
        "unused_days": record.clean_up.unused_days,
        "expired_days": record.clean_up.expired_days,
    }


def _environment(row: Row[Any]) -> Environment:
    return Environment(
        row.environment_id,
        row.name,
        row.created_at,
        user_verification=row.user_verification,
        clean_up=CleanUpPolicy(row.unused_days, row.expired_days),
    )


def list_environments(tx: Connection) -> list[Environment]:
    rows = tx.execute(select(environments).order_by(environments.c.environment_id))
    return [_environment(row) for row in rows]
