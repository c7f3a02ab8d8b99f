"""Where a browser may be sent back to."""

from sqlalchemy import Connection, UniqueConstraint, delete, insert, select

from holdfast.access.redirects import RedirectUri
from holdfast.storage.paging import page
from holdfast.storage.tables import (
    Column,
    Table,
    Text,
    Time,
    Ulid,
    environment_key,
    metadata,
)

redirect_uris = Table(
    "redirect_uris",
    metadata,
    environment_key(),
    Column("id", Ulid, primary_key=True),
    Column("uri", Text, nullable=False),
    Column("created_at", Time, nullable=False),
    UniqueConstraint("environment_id", "uri", name="uq_redirect_uris_uri"),
)


def list_redirect_uris(tx: Connection, environment_id: str) -> list[RedirectUri]:
    rows = tx.execute(
        select(redirect_uris).where(redirect_uris.c.environment_id == environment_id).order_by(redirect_uris.c.id)
    )
    return [RedirectUri(row.environment_id, row.id, row.uri, row.created_at) for row in rows]


def page_redirect_uris(
    tx: Connection,
    environment_id: str,
    *,
    limit: int,
    after: str | None,
    before: str | None,
    newest_first: bool,
) -> list[RedirectUri]:
    query = select(redirect_uris).where(redirect_uris.c.environment_id == environment_id)
    rows = page(tx, query, redirect_uris.c.id, limit=limit, after=after, before=before, newest_first=newest_first)
    return [RedirectUri(row.environment_id, row.id, row.uri, row.created_at) for row in rows]


def add_redirect_uri(tx: Connection, new: RedirectUri) -> None:
    tx.execute(
        insert(redirect_uris).values(
            environment_id=new.environment_id, id=new.id, uri=new.uri, created_at=new.created_at
        )
    )


def delete_redirect_uri(tx: Connection, environment_id: str, uri_id: str) -> bool:
    done = tx.execute(
        delete(redirect_uris).where(redirect_uris.c.environment_id == environment_id, redirect_uris.c.id == uri_id)
    )
    return done.rowcount > 0
