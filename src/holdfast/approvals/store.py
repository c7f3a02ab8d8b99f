"""The approvals table and all its SQL. Deciding and taking are conditional updates: of many at once, one wins."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection as Tx
from sqlalchemy import Index, Row, delete, func, insert, select, update

from holdfast.approvals.approval import Approval, State
from holdfast.events import Actor
from holdfast.storage.tables import (
    Blob,
    Column,
    Count,
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

approvals = Table(
    "approvals",
    metadata,
    environment_key(),
    Column("id", Ulid, primary_key=True),
    Column("connection_id", String(26), nullable=False),
    Column("connection", String(128), nullable=False),
    Column("account_id", String(26), nullable=False),
    Column("user_id", String(256), nullable=False),
    Column("organization_id", String(256), nullable=False),
    Column("asker_kind", String(16), nullable=False),
    Column("asker_id", String(128), nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("method", String(32), nullable=False),
    Column("host", Text, nullable=False),
    Column("shown_path", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("body_sha256", String(64), nullable=False),
    Column("body_length", Count, nullable=False),
    Column("seen", Blob, nullable=False),
    Column("state", String(16), nullable=False),
    Column("decider_kind", String(16)),
    Column("decider_id", String(128)),
    Column("decided_at", Time),
    Column("taken_by", String(128)),
    Column("created_at", Time, nullable=False),
    Column("expires_at", Time, nullable=False),
    Index("ix_approvals_fingerprint", "environment_id", "fingerprint"),
    Index("ix_approvals_expires_at", "expires_at"),
)
SEALED = (SealedColumn(approvals.c.seen, "seen"),)


def add(tx: Tx, new: Approval) -> None:
    tx.execute(
        insert(approvals).values(
            environment_id=new.environment_id,
            id=new.id,
            connection_id=new.connection_id,
            connection=new.connection,
            account_id=new.account_id,
            user_id=new.user_id,
            organization_id=new.organization_id,
            asker_kind=new.asked_by.kind,
            asker_id=new.asked_by.id,
            request_id=new.request_id,
            fingerprint=new.fingerprint,
            method=new.method,
            host=new.host,
            shown_path=new.shown_path,
            content_type=new.content_type,
            body_sha256=new.body_sha256,
            body_length=new.body_length,
            seen=new.seen.data,
            state=new.state.value,
            created_at=new.created_at,
            expires_at=new.expires_at,
        )
    )


def get(tx: Tx, environment_id: str, approval_id: str) -> Approval | None:
    row = tx.execute(
        select(approvals).where(approvals.c.environment_id == environment_id, approvals.c.id == approval_id)
    ).one_or_none()
    return None if row is None else _approval(row)


def live(tx: Tx, environment_id: str, fingerprint: str, now: float) -> Approval | None:
    """Return what there is of this very call, pending, approved or denied, its time not over."""
    row = tx.execute(
        select(approvals)
        .where(
            approvals.c.environment_id == environment_id,
            approvals.c.fingerprint == fingerprint,
            approvals.c.state != State.TAKEN.value,
            approvals.c.expires_at > now,
        )
        .order_by(approvals.c.id.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else _approval(row)


def page(
    tx: Tx,
    environment_id: str,
    states: Collection[State],
    *,
    limit: int,
    before: str | None = None,
    ending_after: float | None = None,
) -> list[Approval]:
    """Return the newest in these states. `ending_after`: those only whose time is not over then."""
    query = select(approvals).where(
        approvals.c.environment_id == environment_id, approvals.c.state.in_([state.value for state in states])
    )
    if before is not None:
        query = query.where(approvals.c.id < before)
    if ending_after is not None:
        query = query.where(approvals.c.expires_at > ending_after)
    return [_approval(row) for row in tx.execute(query.order_by(approvals.c.id.desc()).limit(limit))]


def count_pending(tx: Tx, environment_id: str, connection_id: str, now: float) -> int:
    query = select(func.count()).where(
        approvals.c.environment_id == environment_id,
        approvals.c.connection_id == connection_id,
        approvals.c.state == State.PENDING.value,
        approvals.c.expires_at > now,
    )
    return int(tx.execute(query).scalar_one())


def decide(tx: Tx, before: Approval, after: Approval) -> bool:
    """Write a decision if the approval is still as it was read; False if somebody was first."""
    by = after.decided_by or Actor("system")
    done = tx.execute(
        update(approvals)
        .where(
            approvals.c.environment_id == before.environment_id,
            approvals.c.id == before.id,
            approvals.c.state == before.state.value,
        )
        .values(
            state=after.state.value,
            decider_kind=by.kind,
            decider_id=by.id,
            decided_at=after.decided_at,
            expires_at=after.expires_at,
        )
    )
    return done.rowcount > 0


def take(tx: Tx, environment_id: str, fingerprint: str, request_id: str, now: float) -> str | None:
    """Take the approval of this very call and return its id; None if there is none, or another call was first."""
    found = live(tx, environment_id, fingerprint, now)
    if found is None or found.state is not State.APPROVED:
        return None
    done = tx.execute(
        update(approvals)
        .where(
            approvals.c.environment_id == environment_id,
            approvals.c.id == found.id,
            approvals.c.state == State.APPROVED.value,
            approvals.c.expires_at > now,
        )
        .values(state=State.TAKEN.value, taken_by=request_id)
    )
    return found.id if done.rowcount > 0 else None


def was_taken(tx: Tx, environment_id: str, approval_id: str, fingerprint: str, request_id: str) -> bool:
    """Tell whether this very call, in this request, has taken this approval already."""
    query = select(approvals.c.id).where(
        approvals.c.environment_id == environment_id,
        approvals.c.id == approval_id,
        approvals.c.fingerprint == fingerprint,
        approvals.c.state == State.TAKEN.value,
        approvals.c.taken_by == request_id,
    )
    return tx.execute(query).first() is not None


def forget_before(tx: Tx, at: float) -> int:
    """Delete what ended before `at`, and what the calls held; their entries in the log stay."""
    return tx.execute(delete(approvals).where(approvals.c.expires_at < at)).rowcount


def _approval(row: Row[Any]) -> Approval:
    return Approval(
        environment_id=row.environment_id,
        id=row.id,
        connection_id=row.connection_id,
        connection=row.connection,
        account_id=row.account_id,
        user_id=row.user_id,
        organization_id=row.organization_id,
        asked_by=Actor(row.asker_kind, row.asker_id),
        request_id=row.request_id,
        fingerprint=row.fingerprint,
        method=row.method,
        host=row.host,
        shown_path=row.shown_path,
        content_type=row.content_type,
        body_sha256=row.body_sha256,
        body_length=row.body_length,
        seen=Sealed(row.seen),
        state=State(row.state),
        decided_by=None if row.decider_kind is None else Actor(row.decider_kind, row.decider_id),
        decided_at=row.decided_at,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
