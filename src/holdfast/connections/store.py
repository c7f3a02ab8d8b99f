"""Tables of the connections room and all their SQL."""

from collections.abc import Collection
from typing import Any, Literal

import msgspec
from sqlalchemy import ColumnElement, Row, UniqueConstraint, delete, func, insert, or_, select, update
from sqlalchemy import Connection as Tx

from holdfast.connections.connection import Client, Connection, Override, OwnerKind
from holdfast.connections.oauth_settings import UNSET, OAuthSettings
from holdfast.storage.paging import page
from holdfast.storage.tables import (
    Blob,
    Boolean,
    Column,
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
        named = connections.c.name.icontains(text, autoescape=True)
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
