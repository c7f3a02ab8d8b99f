"""Custom providers: entries that one environment has defined through the API, stored as they are."""

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
    Column("created_at", Time, nullable=False),
    Column("updated_at", Time, nullable=False),
)


def get(tx: Connection, environment_id: str, slug: str) -> Provider | None:
    row = tx.execute(
        select(custom_providers.c.entry).where(
            custom_providers.c.environment_id == environment_id, custom_providers.c.slug == slug
        )
    ).one_or_none()
    return None if row is None else msgspec.convert(row.entry, Provider)


def all_of(tx: Connection, environment_id: str) -> list[Provider]:
    rows = tx.execute(
        select(custom_providers.c.entry)
        .where(custom_providers.c.environment_id == environment_id)
        .order_by(custom_providers.c.slug)
    )
    return [msgspec.convert(row.entry, Provider) for row in rows]


def save(tx: Connection, environment_id: str, provider: Provider, at: float) -> None:
    where = (custom_providers.c.environment_id == environment_id) & (custom_providers.c.slug == provider.slug)
    entry = msgspec.to_builtins(provider)
    done = tx.execute(update(custom_providers).where(where).values(entry=entry, updated_at=at))
    if done.rowcount == 0:
        tx.execute(
            insert(custom_providers).values(
                environment_id=environment_id, slug=provider.slug, entry=entry, created_at=at, updated_at=at
            )
        )


def remove(tx: Connection, environment_id: str, slug: str) -> None:
    tx.execute(
        delete(custom_providers).where(
            custom_providers.c.environment_id == environment_id, custom_providers.c.slug == slug
        )
    )
