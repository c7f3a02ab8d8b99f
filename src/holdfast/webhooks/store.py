"""The webhook endpoints table and its SQL."""

from typing import Any

from sqlalchemy import Connection, Row, UniqueConstraint, delete, insert, select, update

from holdfast.storage.paging import page
from holdfast.storage.tables import (
    Blob,
    Column,
    Json,
    String,
    Table,
    Text,
    Time,
    Ulid,
    environment_key,
    metadata,
)
from holdfast.vault import Sealed
from holdfast.webhooks.endpoint import Endpoint

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    environment_key(),
    Column("id", Ulid, primary_key=True),
    Column("url", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("events", Json, nullable=False),
    Column("secret", Blob, nullable=False),
    Column("created_at", Time, nullable=False),
    Column("updated_at", Time, nullable=False),
    UniqueConstraint("environment_id", "url", name="uq_webhook_endpoints_url"),
)


def get(tx: Connection, environment_id: str, endpoint_id: str) -> Endpoint | None:
    return _one(tx, environment_id, webhook_endpoints.c.id == endpoint_id)


def by_url(tx: Connection, environment_id: str, url: str) -> Endpoint | None:
    return _one(tx, environment_id, webhook_endpoints.c.url == url)


def _one(tx: Connection, environment_id: str, condition: Any) -> Endpoint | None:
    row = tx.execute(
        select(webhook_endpoints).where(webhook_endpoints.c.environment_id == environment_id, condition)
    ).one_or_none()
    return None if row is None else _endpoint(row)


def list_endpoints(
    tx: Connection,
    environment_id: str,
    *,
    limit: int,
    after: str | None,
    before: str | None,
    newest_first: bool,
) -> list[Endpoint]:
    query = select(webhook_endpoints).where(webhook_endpoints.c.environment_id == environment_id)
    key = webhook_endpoints.c.id
    rows = page(tx, query, key, limit=limit, after=after, before=before, newest_first=newest_first)
    return [_endpoint(row) for row in rows]


def save(tx: Connection, endpoint: Endpoint) -> None:
    """Insert the endpoint, or replace what is stored under its id."""
    values = {
        "url": endpoint.url,
        "status": endpoint.status,
        "events": list(endpoint.events),
        "secret": endpoint.secret.data,
        "created_at": endpoint.created_at,
        "updated_at": endpoint.updated_at,
    }
    where = (webhook_endpoints.c.environment_id == endpoint.environment_id) & (webhook_endpoints.c.id == endpoint.id)
    if tx.execute(update(webhook_endpoints).where(where).values(values)).rowcount == 0:
        tx.execute(insert(webhook_endpoints).values(environment_id=endpoint.environment_id, id=endpoint.id, **values))


def remove(tx: Connection, environment_id: str, endpoint_id: str) -> None:
    tx.execute(
        delete(webhook_endpoints).where(
            webhook_endpoints.c.environment_id == environment_id, webhook_endpoints.c.id == endpoint_id
        )
    )


def _endpoint(row: Row[Any]) -> Endpoint:
    return Endpoint(
        environment_id=row.environment_id,
        id=row.id,
        url=row.url,
        status=row.status,
        events=tuple(row.events),
        secret=Sealed(row.secret),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
