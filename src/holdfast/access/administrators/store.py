"""Tables of administrators, their sessions and invitations, and all their SQL.

They belong to the whole installation: their environment is `system`.
"""

from typing import Any

from sqlalchemy import Connection, Index, Row, delete, func, insert, select, update

from holdfast.access.administrators.administrator import Administrator, Invitation, Role, Session
from holdfast.storage.tables import Column, Integer, String, Table, Text, Time, Ulid, environment_key, metadata

SYSTEM = "system"

administrators = Table(
    "administrators",
    metadata,
    environment_key(),
    Column("id", Ulid, primary_key=True),
    Column("email", String(320), nullable=False, unique=True),
    Column("name", String(128), nullable=False),
    Column("role", String(16), nullable=False),
    Column("password", Text),
    Column("subject", Text, unique=True),
    Column("failures", Integer, nullable=False),
    Column("wait_until", Time),
    Column("disabled_at", Time),
    Column("created_at", Time, nullable=False),
)

sessions = Table(
    "administrator_sessions",
    metadata,
    environment_key(),
    Column("id", Ulid, primary_key=True),
    Column("administrator_id", String(26), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("created_at", Time, nullable=False),
    Column("seen_at", Time, nullable=False),
    Column("ends_at", Time, nullable=False),
    Index("ix_administrator_sessions_administrator", "administrator_id"),
)

invitations = Table(
    "administrator_invitations",
    metadata,
    environment_key(),
    Column("id", Ulid, primary_key=True),
    Column("hash", String(64), nullable=False, unique=True),
    Column("email", String(320), nullable=False),
    Column("role", String(16), nullable=False),
    Column("ends_at", Time, nullable=False),
)


spent_states = Table(
    "administrator_spent_states",
    metadata,
    environment_key(),
    Column("hash", String(64), primary_key=True),
    Column("ends_at", Time, nullable=False),
)


def add(tx: Connection, new: Administrator) -> None:
    tx.execute(
        insert(administrators).values(
            environment_id=SYSTEM,
            id=new.id,
            email=new.email,
            name=new.name,
            role=new.role.value,
            password=new.password,
            subject=new.subject,
            failures=new.failures,
            wait_until=new.wait_until,
            disabled_at=new.disabled_at,
            created_at=new.created_at,
        )
    )


def save(tx: Connection, changed: Administrator) -> None:
    tx.execute(
        update(administrators)
        .where(administrators.c.environment_id == SYSTEM, administrators.c.id == changed.id)
        .values(
            name=changed.name,
            role=changed.role.value,
            password=changed.password,
            subject=changed.subject,
            failures=changed.failures,
            wait_until=changed.wait_until,
            disabled_at=changed.disabled_at,
        )
    )


def get(tx: Connection, administrator_id: str, *, lock: bool = False) -> Administrator | None:
    query = select(administrators).where(
        administrators.c.environment_id == SYSTEM, administrators.c.id == administrator_id
    )
    row = tx.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else _administrator(row)


def by_email(tx: Connection, email: str, *, lock: bool = False) -> Administrator | None:
    query = select(administrators).where(administrators.c.email == email)
    row = tx.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else _administrator(row)


def by_subject(tx: Connection, subject: str) -> Administrator | None:
    row = tx.execute(select(administrators).where(administrators.c.subject == subject)).one_or_none()
    return None if row is None else _administrator(row)


def everyone(tx: Connection, *, lock: bool = False) -> list[Administrator]:
    """Return all administrators, the first made first; with `lock`, nobody else changes one meanwhile."""
    query = select(administrators).order_by(administrators.c.id)
    return [_administrator(row) for row in tx.execute(query.with_for_update() if lock else query)]


def is_empty(tx: Connection) -> bool:
    return tx.execute(select(func.count()).select_from(administrators)).scalar_one() == 0


def add_session(tx: Connection, new: Session) -> None:
    tx.execute(
        insert(sessions).values(
            environment_id=SYSTEM,
            id=new.id,
            administrator_id=new.administrator_id,
            hash=new.hash,
            created_at=new.created_at,
            seen_at=new.seen_at,
            ends_at=new.ends_at,
        )
    )


def session_by_hash(tx: Connection, hashed: str) -> Session | None:
    row = tx.execute(select(sessions).where(sessions.c.hash == hashed)).one_or_none()
    if row is None:
        return None
    return Session(
        id=row.id,
        administrator_id=row.administrator_id,
        hash=row.hash,
        created_at=row.created_at,
        seen_at=row.seen_at,
        ends_at=row.ends_at,
    )


def touch_session(tx: Connection, session_id: str, at: float) -> None:
    tx.execute(
        update(sessions).where(sessions.c.environment_id == SYSTEM, sessions.c.id == session_id).values(seen_at=at)
    )


def end_session(tx: Connection, session_id: str) -> None:
    tx.execute(delete(sessions).where(sessions.c.environment_id == SYSTEM, sessions.c.id == session_id))


def end_sessions_of(tx: Connection, administrator_id: str) -> None:
    tx.execute(delete(sessions).where(sessions.c.administrator_id == administrator_id))


def spend_state(tx: Connection, hashed: str, ends_at: float, now: float) -> None:
    """Use up a sign-in at an issuer. Raises IntegrityError if it was before. What has ended is forgotten."""
    tx.execute(delete(spent_states).where(spent_states.c.environment_id == SYSTEM, spent_states.c.ends_at < now))
    tx.execute(insert(spent_states).values(environment_id=SYSTEM, hash=hashed, ends_at=ends_at))


def forget_ended(tx: Connection, now: float) -> None:
    tx.execute(delete(sessions).where(sessions.c.ends_at < now))
    tx.execute(delete(invitations).where(invitations.c.ends_at < now))


def add_invitation(tx: Connection, new: Invitation) -> None:
    tx.execute(
        insert(invitations).values(
            environment_id=SYSTEM,
            id=new.id,
            hash=new.hash,
            email=new.email,
            role=new.role.value,
            ends_at=new.ends_at,
        )
    )


def invitation_by_hash(tx: Connection, hashed: str) -> Invitation | None:
    row = tx.execute(select(invitations).where(invitations.c.hash == hashed)).one_or_none()
    return None if row is None else _invitation(row)


def open_invitations(tx: Connection) -> list[Invitation]:
    return [_invitation(row) for row in tx.execute(select(invitations).order_by(invitations.c.id))]


def take_invitation(tx: Connection, hashed: str) -> Invitation | None:
    """Consume: whoever gets the row has used the link, nobody else can."""
    row = tx.execute(delete(invitations).where(invitations.c.hash == hashed).returning(*invitations.c)).one_or_none()
    return None if row is None else _invitation(row)


def drop_invitations(tx: Connection, email: str) -> None:
    tx.execute(delete(invitations).where(invitations.c.email == email))


def drop_invitation(tx: Connection, invitation_id: str) -> bool:
    return (
        tx.execute(
            delete(invitations).where(invitations.c.environment_id == SYSTEM, invitations.c.id == invitation_id)
        ).rowcount
        > 0
    )


def _administrator(row: Row[Any]) -> Administrator:
    return Administrator(
        id=row.id,
        email=row.email,
        name=row.name,
        role=Role(row.role),
        password=row.password,
        subject=row.subject,
        failures=row.failures,
        wait_until=row.wait_until,
        disabled_at=row.disabled_at,
        created_at=row.created_at,
    )


def _invitation(row: Row[Any]) -> Invitation:
    return Invitation(id=row.id, hash=row.hash, email=row.email, role=Role(row.role), ends_at=row.ends_at)
