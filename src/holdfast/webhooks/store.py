"""The webhook endpoints table and its SQL."""

from typing import Any

from sqlalchemy import Connection, Row, UniqueConstraint, delete, insert, select, update

from holdfast.storage.paging import page
from holdfast.storage.tables import (
    Blob,
    Column,
    Count,
    Integer,
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
from holdfast.vault.store import SealedColumn
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
    Column("dialect", String(16), nullable=False, server_default="workos"),
    Column("secret_version", Integer, nullable=False, server_default="1"),
    Column("former_secret", Blob),
    Column("former_until", Time),
    Column("failing_since", Time),
    Column("disabled_reason", String(64), nullable=False),
    Column("delivered", Count, nullable=False, server_default="0"),
    Column("failed", Count, nullable=False, server_default="0"),
    Column("dead", Count, nullable=False, server_default="0"),
    UniqueConstraint("environment_id", "url", name="uq_webhook_endpoints_url"),
)
_of = webhook_endpoints.c
SEALED = (
    SealedColumn(_of.secret, "webhook_secret", _of.secret_version),
    SealedColumn(_of.former_secret, "webhook_secret", _of.secret_version, before=1),
)


def get(tx: Connection, environment_id: str, endpoint_id: str, *, lock: bool = False) -> Endpoint | None:
    """Return an endpoint; with `lock`, as the only one who works on it or its queues until the transaction ends."""
    return _one(tx, environment_id, webhook_endpoints.c.id == endpoint_id, lock=lock)


def by_url(tx: Connection, environment_id: str, url: str) -> Endpoint | None:
    return _one(tx, environment_id, webhook_endpoints.c.url == url)


def _one(tx: Connection, environment_id: str, condition: Any, *, lock: bool = False) -> Endpoint | None:
    query = select(webhook_endpoints).where(webhook_endpoints.c.environment_id == environment_id, condition)
    row = tx.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else _endpoint(row)


def any_enabled(tx: Connection) -> bool:
    """Tell whether any environment has an enabled endpoint."""
    return tx.execute(select(webhook_endpoints.c.id).where(_enabled()).limit(1)).first() is not None


def enabled_in(tx: Connection, environment_id: str) -> list[Endpoint]:
    """Return an environment's enabled endpoints, locked (in the order of their ids, so that nobody waits in a ring)."""
    query = select(webhook_endpoints).where(webhook_endpoints.c.environment_id == environment_id, _enabled())
    return [_endpoint(row) for row in tx.execute(query.order_by(webhook_endpoints.c.id).with_for_update())]


def _enabled() -> Any:
    return webhook_endpoints.c.status == "enabled"


def count(tx: Connection, endpoint: Endpoint, *, delivered: int = 0, failed: int = 0, dead: int = 0) -> None:
    """Add to an endpoint's figures."""
    table = webhook_endpoints
    tx.execute(
        update(table)
        .where(table.c.environment_id == endpoint.environment_id, table.c.id == endpoint.id)
        .values(delivered=table.c.delivered + delivered, failed=table.c.failed + failed, dead=table.c.dead + dead)
    )


def figures(tx: Connection, environment_id: str, endpoint_id: str) -> tuple[int, int, int]:
    """Return how many deliveries arrived, how many attempts failed, and how many deliveries were given up."""
    table = webhook_endpoints
    row = tx.execute(
        select(table.c.delivered, table.c.failed, table.c.dead).where(
            table.c.environment_id == environment_id, table.c.id == endpoint_id
        )
    ).one_or_none()
    return (0, 0, 0) if row is None else (row[0], row[1], row[2])


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
        "dialect": endpoint.dialect,
        "secret_version": endpoint.secret_version,
        "former_secret": endpoint.former_secret.data if endpoint.former_secret else None,
        "former_until": endpoint.former_until,
        "failing_since": endpoint.failing_since,
        "disabled_reason": endpoint.disabled_reason,
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
        dialect=row.dialect,
        secret_version=row.secret_version,
        former_secret=None if row.former_secret is None else Sealed(row.former_secret),
        former_until=row.former_until,
        failing_since=row.failing_since,
        disabled_reason=row.disabled_reason,
    )
