"""Custom providers: entries that one environment has defined through the API, stored as they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from holdfast.providers.entry import Provider
from holdfast.storage.tables import Column, Json, String, Table, Time, environment_key, metadata

custom_providers = Table(
    "custom_providers",
    metadata,
    environment_key(),
    Column("slug", String(128), primary_key=True),
    Column("entry", Json, nullable=False),
    Column("notes", Json),
    Column("created_at", Time, nullable=False),
    Column("updated_at", Time, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Custom:
    """A custom provider and, where it was defined by itself, what its definer said of it beyond the entry.

    `notes` are the defining door's own: shown to its callers again, and nothing in them decides anything. One without
    was defined along with its first connection, and goes with its last.
    """

    provider: Provider
    notes: Mapping[str, Any] | None


def get(tx: Connection, environment_id: str, slug: str) -> Provider | None:
    row = tx.execute(
        select(custom_providers.c.entry).where(
            custom_providers.c.environment_id == environment_id, custom_providers.c.slug == slug
        )
    ).one_or_none()
    return None if row is None else msgspec.convert(row.entry, Provider)


def custom(tx: Connection, environment_id: str, slug: str, *, lock: bool = False) -> Custom | None:
    """Return a custom provider with its notes. `lock`: nobody else changes or deletes it in this transaction."""
    query = select(custom_providers.c.entry, custom_providers.c.notes).where(
        custom_providers.c.environment_id == environment_id, custom_providers.c.slug == slug
    )
    row = tx.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else Custom(msgspec.convert(row.entry, Provider), row.notes)


def customs(tx: Connection, environment_id: str) -> list[Custom]:
    """Return all of an environment's own providers, by slug."""
    rows = tx.execute(
        select(custom_providers.c.entry, custom_providers.c.notes)
        .where(custom_providers.c.environment_id == environment_id)
        .order_by(custom_providers.c.slug)
    )
    return [Custom(msgspec.convert(row.entry, Provider), row.notes) for row in rows]


def all_of(tx: Connection, environment_id: str) -> list[Provider]:
    rows = tx.execute(
        select(custom_providers.c.entry)
        .where(custom_providers.c.environment_id == environment_id)
        .order_by(custom_providers.c.slug)
    )
    return [msgspec.convert(row.entry, Provider) for row in rows]


def save(
    tx: Connection, environment_id: str, provider: Provider, at: float, notes: Mapping[str, Any] | None = None
) -> None:
    """Store the entry; `notes` replace what was noted, None leaves it."""
    where = (custom_providers.c.environment_id == environment_id) & (custom_providers.c.slug == provider.slug)
    entry = msgspec.to_builtins(provider)
    noted = {} if notes is None else {"notes": dict(notes)}
    done = tx.execute(update(custom_providers).where(where).values(entry=entry, updated_at=at, **noted))
    if done.rowcount == 0:
        tx.execute(
            insert(custom_providers).values(
                environment_id=environment_id, slug=provider.slug, entry=entry, created_at=at, updated_at=at, **noted
            )
        )


def remove(tx: Connection, environment_id: str, slug: str) -> None:
    tx.execute(
        delete(custom_providers).where(
            custom_providers.c.environment_id == environment_id, custom_providers.c.slug == slug
        )
    )
