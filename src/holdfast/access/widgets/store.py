"""The table of CORS origins, and all its SQL."""

from sqlalchemy import Index, UniqueConstraint, delete, insert, select

from holdfast.access.widgets import origins as records
from holdfast.storage import Connection
from holdfast.storage.paging import page
from holdfast.storage.tables import Column, String, Table, Time, Ulid, environment_key, metadata

cors_origins = Table(
    "cors_origins",
    metadata,
    environment_key(),
    Column("id", Ulid, primary_key=True),
    Column("origin", String(300), nullable=False),
    Column("created_at", Time, nullable=False),
    UniqueConstraint("environment_id", "origin", name="uq_cors_origins_origin"),
    Index("ix_cors_origins_origin", "origin"),
)


def has_origin(tx: Connection, origin: str, environment_id: str | None) -> bool:
    query = select(cors_origins.c.id).where(cors_origins.c.origin == origin).limit(1)
    if environment_id is not None:
        query = query.where(cors_origins.c.environment_id == environment_id)
    return tx.execute(query).one_or_none() is not None


def origin(tx: Connection, environment_id: str, origin_id: str) -> "records.CorsOrigin | None":
    mine = (cors_origins.c.environment_id == environment_id) & (cors_origins.c.id == origin_id)
    row = tx.execute(select(cors_origins).where(mine)).one_or_none()
    return None if row is None else records.CorsOrigin(row.environment_id, row.id, row.origin, row.created_at)


def page_origins(
    tx: Connection, environment_id: str, *, limit: int, after: str | None, before: str | None, newest_first: bool
) -> "list[records.CorsOrigin]":
    query = select(cors_origins).where(cors_origins.c.environment_id == environment_id)
    rows = page(tx, query, cors_origins.c.id, limit=limit, after=after, before=before, newest_first=newest_first)
    return [records.CorsOrigin(row.environment_id, row.id, row.origin, row.created_at) for row in rows]


def add_origin(tx: Connection, new: "records.CorsOrigin") -> None:
    tx.execute(
        insert(cors_origins).values(
            environment_id=new.environment_id, id=new.id, origin=new.origin, created_at=new.created_at
        )
    )


def remove_origin(tx: Connection, environment_id: str, origin_id: str) -> bool:
    done = tx.execute(
        delete(cors_origins).where(cors_origins.c.environment_id == environment_id, cors_origins.c.id == origin_id)
    )
    return done.rowcount > 0
