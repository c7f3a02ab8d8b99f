"""Connections, and the alerts on them."""

from collections.abc import Collection
from typing import Any, Literal

import msgspec
from sqlalchemy import ColumnElement, Row, UniqueConstraint, delete, func, insert, or_, select, update
from sqlalchemy import Connection as Tx

from holdfast.connections.connection import Connection, OwnerKind
from holdfast.connections.oauth_settings import UNSET, OAuthSettings
from holdfast.connections.store.client_rows import clients
from holdfast.connections.store.override_rows import overrides
from holdfast.storage.paging import page
from holdfast.storage.tables import (
    Boolean,
    Column,
    Json,
    String,
    Table,
    Text,
    Time,
    Ulid,
    environment_key,
    in_words,
    metadata,
)

connections = Table(
    "connections",
    metadata,
    environment_key(),
    Column("id", Ulid, primary_key=True),
    Column("name", String(128), nullable=False),
    Column("owner_kind", String(16), nullable=False),
    Column("provider_slug", String(128), nullable=False),
    Column("method", String(32), nullable=False),
    Column("callback_key", Ulid, nullable=False),
    Column("callback_by_id", Boolean, nullable=False),
    Column("client_supply", String(16)),
    Column("client_ref", String(26)),
    Column("scopes", Json),
    Column("required_scopes", Json, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("revokes", String(8), nullable=False),
    Column("proxy_rules", Json, nullable=False),
    Column("approval_rules", Json, nullable=False),
    Column("description", Text),
    Column("config", Json, nullable=False),
    Column("oauth_settings", Json, nullable=False),
    Column("alert", Text),
    Column("alert_at", Time),
    Column("alert_client_ref", String(26)),
    Column("created_at", Time, nullable=False),
    Column("updated_at", Time, nullable=False),
    UniqueConstraint("environment_id", "name", "owner_kind", name="uq_connections_name"),
    UniqueConstraint("callback_key", name="uq_connections_callback_key"),
)


def by_name(tx: Tx, environment_id: str, name: str, owner_kind: OwnerKind) -> Connection | None:
    row = tx.execute(
        select(connections).where(
            connections.c.environment_id == environment_id,
            connections.c.name == name,
            connections.c.owner_kind == owner_kind,
        )
    ).one_or_none()
    return None if row is None else _connection(row)


def by_id(
    tx: Tx, environment_id: str, connection_id: str, *, lock: Literal["share", "update"] | None = None
) -> Connection | None:
    """Return the connection. `lock` share: it cannot go before this transaction ends; update: nor be shared."""
    query = select(connections).where(connections.c.environment_id == environment_id, connections.c.id == connection_id)
    row = tx.execute(query if lock is None else query.with_for_update(read=lock == "share")).one_or_none()
    return None if row is None else _connection(row)


def by_callback_key(tx: Tx, callback_key: str) -> Connection | None:
    """Find a connection by its redirect URI's own key: the one look-up that does not begin with the environment."""
    row = tx.execute(select(connections).where(connections.c.callback_key == callback_key)).one_or_none()
    return None if row is None else _connection(row)


def all_of(tx: Tx, environment_id: str, owner_kind: OwnerKind | None = None) -> list[Connection]:
    query = select(connections).where(connections.c.environment_id == environment_id)
    if owner_kind is not None:
        query = query.where(connections.c.owner_kind == owner_kind)
    return [_connection(row) for row in tx.execute(query.order_by(connections.c.id))]


def those(tx: Tx, environment_id: str, wanted: Collection[str]) -> list[Connection]:
    """Return the connections with these ids; deleted ones are not among them."""
    query = select(connections).where(
        connections.c.environment_id == environment_id, connections.c.id.in_(list(wanted))
    )
    return [_connection(row) for row in tx.execute(query)] if wanted else []


def list_connections(
    tx: Tx,
    environment_id: str,
    *,
    limit: int,
    after: str | None,
    before: str | None,
    newest_first: bool,
    owner_kind: OwnerKind | None = None,
    providers: Collection[str] | None = None,
    text: str | None = None,
) -> list[Connection]:
    """Return a page. `providers`: slugs; `text`: part of the name or of the provider's slug, in any case."""
    query = select(connections).where(*_among(environment_id, owner_kind, providers, text))
    rows = page(tx, query, connections.c.id, limit=limit, after=after, before=before, newest_first=newest_first)
    return [_connection(row) for row in rows]


def count_connections(
    tx: Tx, environment_id: str, *, providers: Collection[str] | None = None, text: str | None = None
) -> int:
    query = select(func.count()).select_from(connections).where(*_among(environment_id, None, providers, text))
    return int(tx.execute(query).scalar_one())


def _among(
    environment_id: str, owner_kind: OwnerKind | None, providers: Collection[str] | None, text: str | None
) -> list[ColumnElement[bool]]:
    where = [connections.c.environment_id == environment_id]
    if owner_kind is not None:
        where.append(connections.c.owner_kind == owner_kind)
    if providers is not None:
        where.append(connections.c.provider_slug.in_(list(providers)))
    if text is not None:
        named = in_words(connections.c.name).icontains(text, autoescape=True)
        where.append(or_(named, connections.c.provider_slug.icontains(text, autoescape=True)))
    return where


def add(tx: Tx, new: Connection) -> None:
    tx.execute(insert(connections).values(environment_id=new.environment_id, id=new.id, **_connection_values(new)))


def save(tx: Tx, changed: Connection) -> None:
    tx.execute(
        update(connections)
        .where(connections.c.environment_id == changed.environment_id, connections.c.id == changed.id)
        .values(_connection_values(changed))
    )


def remove(tx: Tx, environment_id: str, connection_id: str) -> None:
    """Delete the connection and its clients, but those that an organization's override of the other root still uses.

    Its accounts are the caller's business, in the same transaction.
    """
    in_use = select(overrides.c.client_ref).where(
        overrides.c.environment_id == environment_id, overrides.c.client_ref.is_not(None)
    )
    tx.execute(
        delete(clients).where(
            clients.c.environment_id == environment_id,
            clients.c.connection_id == connection_id,
            clients.c.id.not_in(in_use),
        )
    )
    tx.execute(
        delete(connections).where(connections.c.environment_id == environment_id, connections.c.id == connection_id)
    )


def raise_alert(tx: Tx, environment_id: str, connection_id: str, client_ref: str, alert: str, at: float) -> bool:
    """Write that a client is refused, as of now; False if that was known, so that one trouble makes one entry."""
    where = (connections.c.environment_id == environment_id) & (connections.c.id == connection_id)
    values = {"alert": alert, "alert_at": at, "alert_client_ref": client_ref}
    new = where & connections.c.alert_client_ref.is_distinct_from(client_ref)
    if tx.execute(update(connections).where(new).values(values)).rowcount > 0:
        return True
    tx.execute(update(connections).where(where).values(values))
    return False


def clear_alert(tx: Tx, environment_id: str, connection_id: str, client_ref: str) -> bool:
    """Write that a client works again, or is another now; False if there was no alert of it, so that one end makes one
    entry. An alert of another client stays."""
    done = tx.execute(
        update(connections)
        .where(
            connections.c.environment_id == environment_id,
            connections.c.id == connection_id,
            connections.c.alert_client_ref == client_ref,
        )
        .values(alert=None, alert_at=None, alert_client_ref=None)
    )
    return done.rowcount > 0


def clear_secrets(tx: Tx, environment_id: str, provider_slug: str, *, keep: str | None, at: float) -> None:
    """Forget the secrets of all clients at one provider, except the client just supplied."""
    at_provider = select(connections.c.id).where(
        connections.c.environment_id == environment_id, connections.c.provider_slug == provider_slug
    )
    query = update(clients).where(clients.c.environment_id == environment_id, clients.c.connection_id.in_(at_provider))
    if keep is not None:
        query = query.where(clients.c.id != keep)
        # The one just supplied keeps no way back to a secret that was meant for the old hosts.
        tx.execute(
            update(clients)
            .where(clients.c.environment_id == environment_id, clients.c.id == keep)
            .values(former_secret=None)
        )
    tx.execute(query.values(secret=None, former_secret=None, secret_last4="", updated_at=at))


def _connection_values(record: Connection) -> dict[str, Any]:
    return {
        "name": record.name,
        "owner_kind": record.owner_kind,
        "provider_slug": record.provider_slug,
        "method": record.method,
        "callback_key": record.callback_key,
        "callback_by_id": record.callback_by_id,
        "client_supply": record.client_supply,
        "client_ref": record.client_ref,
        "scopes": None if record.scopes is None else list(record.scopes),
        "required_scopes": list(record.required_scopes),
        "enabled": record.enabled,
        "revokes": record.revokes,
        "proxy_rules": list(record.proxy_rules),
        "approval_rules": list(record.approval_rules),
        "description": record.description,
        "config": dict(record.config),
        "oauth_settings": msgspec.to_builtins(record.oauth_settings),
        "alert": record.alert,
        "alert_at": record.alert_at,
        "alert_client_ref": record.alert_client_ref,
        "created_at": record.created_at,
        "updated_at": record.updated_at,
    }


def _connection(row: Row[Any]) -> Connection:
    lists = {name: tuple(row._mapping[name]) for name in ("required_scopes", "proxy_rules", "approval_rules")}
    settings = msgspec.convert(row.oauth_settings, OAuthSettings) if row.oauth_settings else UNSET
    scopes = None if row.scopes is None else tuple(row.scopes)
    return Connection(**{**row._mapping, "scopes": scopes, "oauth_settings": settings, **lists})
