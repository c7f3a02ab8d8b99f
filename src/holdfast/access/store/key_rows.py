"""What apps sign in with: API keys and SDK clients, and the keys that sign their access tokens."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from holdfast.access.principal import ApiKey, KeyKind
from holdfast.access.signing_key import SigningKey
from holdfast.storage.tables import (
    Blob,
    Column,
    Json,
    String,
    Table,
    Time,
    Ulid,
    environment_key,
    metadata,
)
from holdfast.vault import Sealed
from holdfast.vault.store import SealedColumn

api_keys = Table(
    "api_keys",
    metadata,
    environment_key(),
    Column("id", Ulid, primary_key=True),
    Column("name", String(128), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("last4", String(4), nullable=False),
    Column("created_at", Time, nullable=False),
    Column("revoked_at", Time),
    Column("kind", String(8), nullable=False),
)
signing_keys = Table(
    "signing_keys",
    metadata,
    environment_key(),
    Column("id", Ulid, primary_key=True),
    Column("private", Blob, nullable=False),
    Column("public", Json, nullable=False),
    Column("created_at", Time, nullable=False),
    Column("signs_until", Time, nullable=False),
)
SEALED = (SealedColumn(signing_keys.c.private, "signing_key"),)


def key_by_hash(tx: Connection, hashed: str) -> ApiKey | None:
    row = tx.execute(select(api_keys).where(api_keys.c.hash == hashed)).one_or_none()
    return None if row is None else _key(row)


def key_by_id(tx: Connection, environment_id: str, key_id: str) -> ApiKey | None:
    row = tx.execute(
        select(api_keys).where(api_keys.c.environment_id == environment_id, api_keys.c.id == key_id)
    ).one_or_none()
    return None if row is None else _key(row)


def list_keys(tx: Connection, environment_id: str, kind: KeyKind = "key") -> list[ApiKey]:
    mine = (api_keys.c.environment_id == environment_id) & (api_keys.c.kind == kind)
    return [_key(row) for row in tx.execute(select(api_keys).where(mine).order_by(api_keys.c.id))]


def newest_keys(
    tx: Connection, environment_id: str, kind: KeyKind = "key", *, limit: int, before: str | None = None
) -> list[ApiKey]:
    """Return keys, newest first, revoked ones among them. `before`: an id, exclusive."""
    query = select(api_keys).where(api_keys.c.environment_id == environment_id, api_keys.c.kind == kind)
    if before is not None:
        query = query.where(api_keys.c.id < before)
    return [_key(row) for row in tx.execute(query.order_by(api_keys.c.id.desc()).limit(limit))]


def key_names(tx: Connection, environment_id: str, key_ids: Collection[str]) -> dict[str, str]:
    """Return what these keys and clients are called, by id; those that are none are left out."""
    mine = (api_keys.c.environment_id == environment_id) & api_keys.c.id.in_(key_ids)
    return {row.id: row.name for row in tx.execute(select(api_keys.c.id, api_keys.c.name).where(mine))}


def has_key(tx: Connection, environment_id: str) -> bool:
    """Tell whether an API key is in force."""
    mine = (api_keys.c.environment_id == environment_id) & (api_keys.c.kind == "key")
    return tx.execute(select(api_keys.c.id).where(mine, api_keys.c.revoked_at.is_(None)).limit(1)).first() is not None


def add_key(tx: Connection, key: ApiKey) -> None:
    tx.execute(
        insert(api_keys).values(
            environment_id=key.environment_id,
            id=key.id,
            name=key.name,
            hash=key.hash,
            last4=key.last4,
            created_at=key.created_at,
            kind=key.kind,
        )
    )


def revoke_key(tx: Connection, environment_id: str, key_id: str, at: float, kind: KeyKind = "key") -> ApiKey | None:
    row = tx.execute(
        update(api_keys)
        .where(
            api_keys.c.environment_id == environment_id,
            api_keys.c.id == key_id,
            api_keys.c.kind == kind,
            api_keys.c.revoked_at.is_(None),
        )
        .values(revoked_at=at)
        .returning(*api_keys.c)
    ).one_or_none()
    return None if row is None else _key(row)


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(row.environment_id, row.id, row.name, row.hash, row.last4, row.created_at, row.revoked_at, row.kind)


def add_signing_key(tx: Connection, key: SigningKey) -> None:
    tx.execute(
        insert(signing_keys).values(
            environment_id=key.environment_id,
            id=key.id,
            private=key.private.data,
            public=dict(key.public),
            created_at=key.created_at,
            signs_until=key.signs_until,
        )
    )


def list_signing_keys(tx: Connection, *, signed_until: float) -> list[SigningKey]:
    """Return the keys of all environments that have signed anything after that time, the newest first."""
    query = select(signing_keys).where(signing_keys.c.signs_until > signed_until)
    return [_signing_key(row) for row in tx.execute(query.order_by(signing_keys.c.id.desc()))]


def signing_key(tx: Connection, key_id: str) -> SigningKey | None:
    row = tx.execute(select(signing_keys).where(signing_keys.c.id == key_id)).one_or_none()
    return None if row is None else _signing_key(row)


def forget_signing_keys(tx: Connection, environment_id: str, *, signed_until: float) -> None:
    tx.execute(
        delete(signing_keys).where(
            signing_keys.c.environment_id == environment_id, signing_keys.c.signs_until <= signed_until
        )
    )


def _signing_key(row: Row[Any]) -> SigningKey:
    return SigningKey(
        row.environment_id, row.id, Sealed(row.private), dict(row.public), row.created_at, row.signs_until
    )
