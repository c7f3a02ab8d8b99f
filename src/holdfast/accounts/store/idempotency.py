"""Idempotency keys of the calls that create accounts: which account a key made. No reply is stored, so no secret is."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from holdfast.storage.tables import Column, String, Table, Time, Ulid, environment_key, metadata

LIFETIME = 24 * 3600.0
"""Seconds a key is remembered, as the wire documents elsewhere."""

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    environment_key(),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("account_id", Ulid, nullable=False),
    Column("created_at", Time, nullable=False),
)


@dataclass(frozen=True, slots=True)
class EarlierUse:
    fingerprint: str
    account_id: str


def find(tx: Connection, environment_id: str, key: str, now: float) -> EarlierUse | None:
    """Return the earlier use of a key within its lifetime; an older one is forgotten."""
    where = (idempotency_keys.c.environment_id == environment_id) & (idempotency_keys.c.key == key)
    row = tx.execute(select(idempotency_keys).where(where)).one_or_none()
    if row is None:
        return None
    if row.created_at < now - LIFETIME:
        tx.execute(delete(idempotency_keys).where(where))
        return None
    return EarlierUse(row.fingerprint, row.account_id)


def add(tx: Connection, environment_id: str, key: str, fingerprint: str, account_id: str, now: float) -> None:
    tx.execute(
        insert(idempotency_keys).values(
            environment_id=environment_id,
            key=key,
            fingerprint=fingerprint,
            account_id=account_id,
            created_at=now,
        )
    )


def forget_before(tx: Connection, at: float) -> int:
    return tx.execute(delete(idempotency_keys).where(idempotency_keys.c.created_at < at)).rowcount
