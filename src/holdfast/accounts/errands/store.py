"""The table of errands and all its SQL."""

from typing import Any

from sqlalchemy import Connection as Tx
from sqlalchemy import Index, Row, insert, select, text, update

from holdfast.accounts.account import Status
from holdfast.accounts.errands.errand import Errand
from holdfast.accounts.store import Listing
from holdfast.events import Actor
from holdfast.storage.tables import Boolean, Column, Count, Json, String, Table, Time, Ulid, environment_key, metadata

errands = Table(
    "errands",
    metadata,
    environment_key(),
    Column("id", Ulid, primary_key=True),
    Column("act", String(16), nullable=False),
    Column("which", Json, nullable=False),
    Column("actor_kind", String(16), nullable=False),
    Column("actor_id", String(128), nullable=False),
    Column("cursor", String(26), nullable=False),
    Column("done", Count, nullable=False),
    Column("passed_over", Count, nullable=False),
    Column("stopped", Boolean, nullable=False),
    Column("created_at", Time, nullable=False),
    Column("updated_at", Time, nullable=False),
    Column("ended_at", Time),
    Index(
        "ix_errands_open",
        "updated_at",
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
)


def _is(environment_id: str, errand_id: str) -> Any:
    return (errands.c.environment_id == environment_id) & (errands.c.id == errand_id)


def add(tx: Tx, new: Errand) -> None:
    tx.execute(
        insert(errands).values(
            environment_id=new.environment_id,
            id=new.id,
            act=new.act,
            which=_laid_out(new.which),
            actor_kind=new.actor.kind,
            actor_id=new.actor.id,
            created_at=new.created_at,
            **_progress(new),
        )
    )


def get(tx: Tx, environment_id: str, errand_id: str, *, lock: bool = False) -> Errand | None:
    """Return an errand; with `lock`, None too while another process has it."""
    query = select(errands).where(_is(environment_id, errand_id))
    row = tx.execute(query.with_for_update(skip_locked=True) if lock else query).one_or_none()
    return None if row is None else _errand(row)


def save(tx: Tx, changed: Errand) -> None:
    tx.execute(update(errands).where(_is(changed.environment_id, changed.id)).values(_progress(changed)))


def left(tx: Tx, *, untouched_since: float, limit: int) -> list[tuple[str, str]]:
    """Return errands under way that nobody has gone on with since then: environment and id."""
    query = select(errands.c.environment_id, errands.c.id).where(
        errands.c.ended_at.is_(None), errands.c.updated_at < untouched_since
    )
    return [(row.environment_id, row.id) for row in tx.execute(query.order_by(errands.c.updated_at).limit(limit))]


def _progress(record: Errand) -> dict[str, Any]:
    return {
        "cursor": record.cursor,
        "done": record.done,
        "passed_over": record.passed_over,
        "stopped": record.stopped,
        "updated_at": record.updated_at,
        "ended_at": record.ended_at,
    }


def _laid_out(which: Listing) -> dict[str, Any]:
    return {
        "statuses": [status.value for status in which.statuses],
        "connection_ids": None if which.connection_ids is None else list(which.connection_ids),
        "account_ids": None if which.account_ids is None else list(which.account_ids),
        "user_id": which.user_id,
        "organization_id": which.organization_id,
        "owner": which.owner,
        "text": which.text,
    }


def _errand(row: Row[Any]) -> Errand:
    which = {**row.which, "statuses": [Status(name) for name in row.which["statuses"]]}
    return Errand(
        environment_id=row.environment_id,
        id=row.id,
        act=row.act,
        which=Listing(**which),
        actor=Actor(row.actor_kind, row.actor_id),
        created_at=row.created_at,
        updated_at=row.updated_at,
        cursor=row.cursor,
        done=row.done,
        passed_over=row.passed_over,
        stopped=row.stopped,
        ended_at=row.ended_at,
    )
