"""Clients: what a connection signs in with at its provider."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection as Tx
from sqlalchemy import Row, insert, select, update

from holdfast.connections.connection import Client
from holdfast.storage.tables import (
    Blob,
    Column,
    Integer,
    String,
    Table,
    Text,
    Time,
    Ulid,
    environment_key,
    metadata,
)
from holdfast.vault import Sealed
from holdfast.vault.store import SealedColumn

clients = Table(
    "clients",
    metadata,
    environment_key(),
    Column("id", Ulid, primary_key=True),
    Column("connection_id", String(26), nullable=False),
    Column("organization_id", String(256), nullable=False),
    Column("client_id", Text, nullable=False),
    Column("secret", Blob),
    Column("secret_version", Integer, nullable=False),
    Column("secret_last4", String(4), nullable=False),
    Column("former_secret", Blob),
    Column("created_at", Time, nullable=False),
    Column("updated_at", Time, nullable=False),
)
SEALED = (
    SealedColumn(clients.c.secret, "client_secret", clients.c.secret_version),
    SealedColumn(clients.c.former_secret, "client_secret", clients.c.secret_version, before=1),
)


def client(tx: Tx, environment_id: str, client_ref: str) -> Client | None:
    row = tx.execute(
        select(clients).where(clients.c.environment_id == environment_id, clients.c.id == client_ref)
    ).one_or_none()
    return None if row is None else _client(row)


def clients_of(tx: Tx, environment_id: str, client_refs: Collection[str]) -> dict[str, Client]:
    if not client_refs:
        return {}
    rows = tx.execute(
        select(clients).where(clients.c.environment_id == environment_id, clients.c.id.in_(list(client_refs)))
    )
    return {row.id: _client(row) for row in rows}


def add_client(tx: Tx, new: Client) -> None:
    tx.execute(insert(clients).values(environment_id=new.environment_id, id=new.id, **_client_values(new)))


def save_client(tx: Tx, changed: Client, *, expected_version: int) -> bool:
    """Replace the client's secret if it is still at `expected_version`."""
    done = tx.execute(
        update(clients)
        .where(
            clients.c.environment_id == changed.environment_id,
            clients.c.id == changed.id,
            clients.c.secret_version == expected_version,
        )
        .values(_client_values(changed))
    )
    return done.rowcount > 0


def _client_values(record: Client) -> dict[str, Any]:
    return {
        "connection_id": record.connection_id,
        "organization_id": record.organization_id,
        "client_id": record.client_id,
        "secret": None if record.secret is None else record.secret.data,
        "secret_version": record.secret_version,
        "secret_last4": record.secret_last4,
        "former_secret": None if record.former_secret is None else record.former_secret.data,
        "created_at": record.created_at,
        "updated_at": record.updated_at,
    }


def _client(row: Row[Any]) -> Client:
    return Client(
        environment_id=row.environment_id,
        id=row.id,
        connection_id=row.connection_id,
        organization_id=row.organization_id,
        client_id=row.client_id,
        secret=None if row.secret is None else Sealed(row.secret),
        secret_version=row.secret_version,
        secret_last4=row.secret_last4,
        former_secret=None if row.former_secret is None else Sealed(row.former_secret),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
