"""The table of introspections and all its SQL."""

from typing import Any

from sqlalchemy import Connection as Tx
from sqlalchemy import Index, delete, insert, select

from holdfast.accounts.account import Account
from holdfast.accounts.introspections import Introspection
from holdfast.storage.tables import Column, Count, String, Table, Time, environment_key, metadata

introspections = Table(
    "introspections",
    metadata,
    environment_key(),
    Column("account_id", String(26), primary_key=True),
    Column("credential_version", Count, nullable=False),
    Column("asked_for_at", Time, nullable=False),
    Index("ix_introspections_asked_for_at", "asked_for_at"),
)


def add(tx: Tx, account: Account, now: float) -> None:
    """Ask about the account's token, which this transaction stores; not about a former one any more."""
    tx.execute(delete(introspections).where(*_at(account.environment_id, account.id)))
    tx.execute(
        insert(introspections).values(
            environment_id=account.environment_id,
            account_id=account.id,
            credential_version=account.credential_version,
            asked_for_at=now,
        )
    )


def take(tx: Tx, *, limit: int) -> list[Introspection]:
    """Take up to `limit` away, the oldest first: who takes one asks, and nobody else does."""
    query = select(introspections).order_by(introspections.c.asked_for_at).limit(limit)
    taken = []
    for row in tx.execute(query.with_for_update(skip_locked=True)).all():
        tx.execute(delete(introspections).where(*_at(row.environment_id, row.account_id)))
        taken.append(Introspection(row.environment_id, row.account_id, row.credential_version))
    return taken


def _at(environment_id: str, account_id: str) -> tuple[Any, Any]:
    return introspections.c.environment_id == environment_id, introspections.c.account_id == account_id
