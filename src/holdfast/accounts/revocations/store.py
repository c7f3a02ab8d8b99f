"""The table of revocations and all its SQL."""

from typing import Any

from sqlalchemy import Connection as Tx
from sqlalchemy import Index, Row, delete, insert, select, update

from holdfast.accounts.account import Account
from holdfast.accounts.revocations.revocation import Revocation
from holdfast.accounts.store.table import account_of, accounts
from holdfast.connections.store import clients
from holdfast.storage.tables import (
    Blob,
    Column,
    Count,
    Integer,
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

MOST_SHARING = 50
"""Accounts by the same grant that are looked at: one is enough, or one that holds the very token."""

revocations = Table(
    "revocations",
    metadata,
    environment_key(),
    Column("id", Ulid, primary_key=True),
    Column("account_id", String(26), nullable=False),
    Column("connection_id", String(26), nullable=False),
    Column("connection", String(128), nullable=False),
    Column("provider", String(128), nullable=False),
    Column("user_id", String(256), nullable=False),
    Column("organization_id", String(256), nullable=False),
    Column("subject", Text),
    Column("client_id", Text, nullable=False),
    Column("client_ref", String(26)),
    Column("cause", String(32), nullable=False),
    Column("order", Blob, nullable=False),
    Column("due_at", Time, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("fence", Count, nullable=False),
    Column("created_at", Time, nullable=False),
    Index("ix_revocations_due", "due_at"),
)
_NAMES = tuple(column.name for column in revocations.columns)

SEALED = (SealedColumn(revocations.c.order, "order"),)
"""Where revocations keep what is sealed."""


def add(tx: Tx, new: Revocation, order: Sealed) -> None:
    values = {name: getattr(new, name) for name in _NAMES if name != "order"}
    tx.execute(insert(revocations).values({**values, "order": order.data}))


def claim(tx: Tx, *, now: float, until: float, limit: int) -> list[Revocation]:
    """Take up to `limit` that are due, the longest due first, and put their next attempt off to `until`: what a killed
    process had claimed is taken again then."""
    query = select(revocations).where(revocations.c.due_at <= now).order_by(revocations.c.due_at).limit(limit)
    taken = []
    for row in tx.execute(query.with_for_update(skip_locked=True)).all():
        changed = {"due_at": until, "attempts": row.attempts + 1, "fence": row.fence + 1}
        tx.execute(update(revocations).where(*_at(row.environment_id, row.id)).values(**changed))
        taken.append(_revocation(row, **changed))
    return taken


def put_off(tx: Tx, claimed: Revocation, due_at: float, attempts: int) -> bool:
    """Try again at that time; False if somebody else has claimed it since."""
    done = tx.execute(update(revocations).where(*_held(claimed)).values(due_at=due_at, attempts=attempts))
    return done.rowcount > 0


def remove(tx: Tx, claimed: Revocation) -> bool:
    """Delete it, and what it has sealed; False if somebody else has claimed it since."""
    return tx.execute(delete(revocations).where(*_held(claimed))).rowcount > 0


def sharing(tx: Tx, about: Revocation) -> list[Account]:
    """Return accounts of the environment that hold a credential of the same person for the same client."""
    if about.subject is None:
        return []
    query = (
        select(accounts)
        .join(
            clients, (clients.c.environment_id == accounts.c.environment_id) & (clients.c.id == accounts.c.client_ref)
        )
        .where(
            accounts.c.environment_id == about.environment_id,
            accounts.c.subject == about.subject,
            accounts.c.access.is_not(None) | accounts.c.grant.is_not(None),
            clients.c.client_id == about.client_id,
        )
        .limit(MOST_SHARING)
    )
    return [account_of(row) for row in tx.execute(query)]


def _at(environment_id: str, revocation_id: str) -> tuple[Any, Any]:
    return revocations.c.environment_id == environment_id, revocations.c.id == revocation_id


def _held(claimed: Revocation) -> tuple[Any, ...]:
    return (*_at(claimed.environment_id, claimed.id), revocations.c.fence == claimed.fence)


def _revocation(row: Row[Any], **changed: Any) -> Revocation:
    return Revocation(**{**row._asdict(), "order": Sealed(row._mapping["order"]), **changed})
