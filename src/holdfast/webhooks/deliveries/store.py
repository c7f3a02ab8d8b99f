"""The deliveries table and its SQL.

Whoever adds to an endpoint's queues or moves one on has locked the endpoint's row: that no delivery waits behind one
that is finished rests on it.
"""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Index, Row, UniqueConstraint, delete, func, insert, select, text, update

from holdfast.storage.tables import Column, Count, Integer, String, Table, Text, Time, Ulid, environment_key, metadata
from holdfast.webhooks.deliveries.delivery import Delivery

deliveries = Table(
    "deliveries",
    metadata,
    environment_key(),
    Column("id", Ulid, primary_key=True),
    Column("endpoint_id", String(26), nullable=False),
    Column("entry_id", String(26), nullable=False),
    Column("event", String(64), nullable=False),
    Column("queue", String(26), nullable=False),
    Column("position", Count, nullable=False),
    Column("status", String(16), nullable=False),
    Column("due_at", Time),
    Column("attempts", Integer, nullable=False),
    Column("fence", Count, nullable=False),
    Column("created_at", Time, nullable=False),
    Column("last_at", Time),
    Column("response_status", Integer),
    Column("response_text", Text),
    UniqueConstraint("environment_id", "endpoint_id", "entry_id", name="uq_deliveries_entry"),
    Index("ix_deliveries_list", "environment_id", "endpoint_id", "id"),
)
_NAMES = tuple(column.name for column in deliveries.columns)
_UNFINISHED = text("status IN ('due', 'waiting')")
_DUE = text("due_at IS NOT NULL")
Index("ix_deliveries_due", deliveries.c.due_at, postgresql_where=_DUE, sqlite_where=_DUE)
Index(
    "ix_deliveries_queue",
    *(deliveries.c[name] for name in ("environment_id", "endpoint_id", "queue", "position")),
    postgresql_where=_UNFINISHED,
    sqlite_where=_UNFINISHED,
)


def add(tx: Connection, new: Sequence[Delivery]) -> None:
    if new:
        tx.execute(insert(deliveries), [{name: getattr(one, name) for name in _NAMES} for one in new])


def busy_queues(tx: Connection, environment_id: str, endpoint_id: str, queues: Collection[str]) -> set[str]:
    """Return those of the queues in which something is unfinished."""
    query = select(deliveries.c.queue).where(
        *_of(environment_id, endpoint_id), deliveries.c.queue.in_(list(queues)), _UNFINISHED
    )
    return set(tx.execute(query.distinct()).scalars())


def claim(
    tx: Connection, *, now: float, until: float, limit: int, room: Any, passing_over: Collection[str]
) -> tuple[list[Delivery], set[str], bool]:
    """Take up to `limit` deliveries that are due, of each endpoint as many as `room(endpoint_id)` says, and put their
    next attempt off to `until`. Return them as they were taken, endpoints without room, and if more may be due.
    """
    query = select(deliveries).where(deliveries.c.due_at <= now)
    if passing_over:
        query = query.where(deliveries.c.endpoint_id.not_in(list(passing_over)))
    rows = tx.execute(query.order_by(deliveries.c.due_at).limit(limit).with_for_update(skip_locked=True)).all()
    taken: list[Delivery] = []
    count: dict[str, int] = {}
    full: set[str] = set()
    for row in rows:
        have = count.get(row.endpoint_id, 0)
        if have >= room(row.endpoint_id):
            full.add(row.endpoint_id)
            continue
        count[row.endpoint_id] = have + 1
        changed = {"due_at": until, "attempts": row.attempts + 1, "fence": row.fence + 1}
        tx.execute(update(deliveries).where(*_at(row.environment_id, row.id)).values(**changed))
        taken.append(_delivery(row, **changed))
    return taken, full, len(rows) == limit


def settle(tx: Connection, delivery: Delivery, **values: Any) -> bool:
    """Write what came of an attempt, unless somebody else has claimed the delivery since."""
    where = (*_at(delivery.environment_id, delivery.id), deliveries.c.fence == delivery.fence, _UNFINISHED)
    return tx.execute(update(deliveries).where(*where).values(**values)).rowcount > 0


def promote(tx: Connection, delivery: Delivery, now: float) -> None:
    """Let the next of a finished delivery's queue go."""
    following = tx.execute(
        select(deliveries.c.id, deliveries.c.status)
        .where(*_of(delivery.environment_id, delivery.endpoint_id), deliveries.c.queue == delivery.queue, _UNFINISHED)
        .order_by(deliveries.c.position, deliveries.c.id)
        .limit(1)
    ).one_or_none()
    if following is not None and following.status == "waiting":
        tx.execute(
            update(deliveries).where(*_at(delivery.environment_id, following.id)).values(status="due", due_at=now)
        )


def get(tx: Connection, environment_id: str, delivery_id: str) -> Delivery | None:
    row = tx.execute(select(deliveries).where(*_at(environment_id, delivery_id))).one_or_none()
    return None if row is None else _delivery(row)


def list_deliveries(
    tx: Connection,
    environment_id: str,
    endpoint_id: str,
    *,
    limit: int,
    before: str | None = None,
    status: str | None = None,
    oldest: bool = False,
) -> list[Delivery]:
    """Return an endpoint's deliveries, newest first (or oldest); `before` is a delivery's id."""
    query = select(deliveries).where(*_of(environment_id, endpoint_id))
    if before is not None:
        query = query.where(deliveries.c.id < before)
    if status is not None:
        query = query.where(deliveries.c.status == status)
    order = deliveries.c.id.asc() if oldest else deliveries.c.id.desc()
    return [_delivery(row) for row in tx.execute(query.order_by(order).limit(limit))]


def overdue(tx: Connection, now: float, most: int) -> tuple[int, float | None]:
    """Return how many deliveries are due, counted up to `most`, and since when the first is."""
    found = select(deliveries.c.due_at).where(deliveries.c.due_at <= now).limit(most).subquery()
    count, first = tx.execute(select(func.count(), func.min(found.c.due_at))).one()
    return int(count), first


def put_back(tx: Connection, delivery: Delivery, *, due_at: float | None) -> bool:
    """Make a finished delivery due again, or waiting if it is due at no time. Return False if it is not finished."""
    where = (*_at(delivery.environment_id, delivery.id), deliveries.c.status.in_(["delivered", "dead"]))
    status = "waiting" if due_at is None else "due"
    return tx.execute(update(deliveries).where(*where).values(status=status, due_at=due_at, attempts=0)).rowcount > 0


def forget_endpoint(tx: Connection, environment_id: str, endpoint_id: str) -> None:
    tx.execute(delete(deliveries).where(*_of(environment_id, endpoint_id)))


def forget_before(tx: Connection, at: float) -> int:
    """Delete what was finished and made before a time; return how many rows."""
    where = (deliveries.c.created_at < at, deliveries.c.status.in_(["delivered", "dead"]))
    return tx.execute(delete(deliveries).where(*where)).rowcount


def _of(environment_id: str, endpoint_id: str) -> tuple[Any, Any]:
    return deliveries.c.environment_id == environment_id, deliveries.c.endpoint_id == endpoint_id


def _at(environment_id: str, delivery_id: str) -> tuple[Any, Any]:
    return deliveries.c.environment_id == environment_id, deliveries.c.id == delivery_id


def _delivery(row: Row[Any], **changed: Any) -> Delivery:
    return Delivery(**{**row._asdict(), **changed})
