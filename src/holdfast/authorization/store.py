"""The attempts table and all its SQL. Consuming is one conditional update: of many callbacks at once, one wins."""

from dataclasses import replace
from typing import Any

from msgspec import UNSET, UnsetType
from sqlalchemy import Connection as Tx
from sqlalchemy import Index, Row, delete, insert, select, update

from holdfast.accounts import Owner
from holdfast.authorization.attempt import Attempt, Stage
from holdfast.storage.tables import (
    Blob,
    Boolean,
    Column,
    Json,
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

attempts = Table(
    "attempts",
    metadata,
    environment_key(),
    Column("id", Ulid, primary_key=True),
    Column("connection_id", String(26), nullable=False),
    Column("owner_kind", String(16), nullable=False),
    Column("user_id", String(256), nullable=False),
    Column("organization_id", String(256), nullable=False),
    Column("acting_user", String(256), nullable=False),
    Column("intent", String(16), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("link_hash", String(64), nullable=False, unique=True),
    Column("account_id", String(26)),
    Column("return_to", Text),
    Column("app_state", String(512), nullable=False),
    Column("by_link", Boolean, nullable=False),
    Column("user_verify_url", Text),
    Column("code_challenge", String(128)),
    Column("label_given", Boolean, nullable=False),
    Column("label", Text),
    Column("config", Json, nullable=False),
    Column("switch_identity", Boolean, nullable=False),
    Column("key_id", String(26), nullable=False),
    Column("state_hash", String(64), unique=True),
    Column("browser_hash", String(64)),
    Column("verifier", Blob),
    Column("client_ref", String(26)),
    Column("connect_code_hash", String(64), unique=True),
    Column("connect_code_ends", Time),
    Column("pending", Blob),
    Column("created_at", Time, nullable=False),
    Column("expires_at", Time, nullable=False),
    Index("ix_attempts_expires_at", "expires_at"),
)
SEALED = (SealedColumn(attempts.c.verifier, "verifier"), SealedColumn(attempts.c.pending, "pending"))


def add(tx: Tx, attempt: Attempt) -> None:
    tx.execute(insert(attempts).values(environment_id=attempt.environment_id, id=attempt.id, **_values(attempt)))


def by_link(tx: Tx, link_hash: str) -> Attempt | None:
    """Find by link: the browser that opens one brings no environment."""
    row = tx.execute(select(attempts).where(attempts.c.link_hash == link_hash).with_for_update()).one_or_none()
    return None if row is None else _attempt(row)


def by_state(tx: Tx, environment_id: str, state_hash: str) -> Attempt | None:
    row = tx.execute(
        select(attempts)
        .where(attempts.c.environment_id == environment_id, attempts.c.state_hash == state_hash)
        .with_for_update()
    ).one_or_none()
    return None if row is None else _attempt(row)


def by_state_anywhere(tx: Tx, state_hash: str) -> Attempt | None:
    """Find by state alone: a redirect URI that names its connection by id brings no environment."""
    row = tx.execute(select(attempts).where(attempts.c.state_hash == state_hash).with_for_update()).one_or_none()
    return None if row is None else _attempt(row)


def by_connect_code(tx: Tx, environment_id: str, connect_code_hash: str) -> Attempt | None:
    row = tx.execute(
        select(attempts)
        .where(attempts.c.environment_id == environment_id, attempts.c.connect_code_hash == connect_code_hash)
        .with_for_update()
    ).one_or_none()
    return None if row is None else _attempt(row)


def advance(tx: Tx, attempt: Attempt, *, from_stages: tuple[Stage, ...]) -> bool:
    """Write the attempt if it is still in one of `from_stages`; False if somebody was first."""
    done = tx.execute(
        update(attempts)
        .where(
            attempts.c.environment_id == attempt.environment_id,
            attempts.c.id == attempt.id,
            attempts.c.stage.in_([stage.value for stage in from_stages]),
        )
        .values(_values(attempt))
    )
    return done.rowcount > 0


def drop_pending(tx: Tx, now: float) -> int:
    """Forget the credentials of attempts that nobody finished in time; return how many."""
    late = attempts.c.pending.is_not(None) & (attempts.c.connect_code_ends <= now)
    return tx.execute(update(attempts).where(late).values(pending=None)).rowcount


def forget_before(tx: Tx, at: float) -> int:
    """Delete attempts that ended before `at`; their entries in the log stay."""
    return tx.execute(delete(attempts).where(attempts.c.expires_at < at)).rowcount


def _values(attempt: Attempt) -> dict[str, Any]:
    given = not isinstance(attempt.label, UnsetType)
    return {
        "connection_id": attempt.connection_id,
        "owner_kind": attempt.owner.kind,
        "user_id": attempt.owner.user_id,
        "organization_id": attempt.owner.organization_id,
        "acting_user": attempt.acting_user,
        "intent": attempt.intent,
        "stage": attempt.stage.value,
        "link_hash": attempt.link_hash,
        "account_id": attempt.account_id,
        "return_to": attempt.return_to,
        "app_state": attempt.app_state,
        "by_link": attempt.by_link,
        "user_verify_url": attempt.user_verify_url,
        "code_challenge": attempt.code_challenge,
        "label_given": given,
        "label": attempt.label if given else None,
        "config": dict(attempt.config),
        "switch_identity": attempt.switch_identity,
        "key_id": attempt.key_id,
        "state_hash": attempt.state_hash,
        "browser_hash": attempt.browser_hash,
        "verifier": None if attempt.verifier is None else attempt.verifier.data,
        "client_ref": attempt.client_ref,
        "connect_code_hash": attempt.connect_code_hash,
        "connect_code_ends": attempt.connect_code_ends,
        "pending": None if attempt.pending is None else attempt.pending.data,
        "created_at": attempt.created_at,
        "expires_at": attempt.expires_at,
    }


def _attempt(row: Row[Any]) -> Attempt:
    attempt = Attempt(
        environment_id=row.environment_id,
        id=row.id,
        connection_id=row.connection_id,
        owner=Owner(row.owner_kind, row.user_id, row.organization_id),
        acting_user=row.acting_user,
        intent=row.intent,
        stage=Stage(row.stage),
        link_hash=row.link_hash,
        account_id=row.account_id,
        return_to=row.return_to,
        app_state=row.app_state,
        by_link=row.by_link,
        user_verify_url=row.user_verify_url,
        code_challenge=row.code_challenge,
        label=row.label if row.label_given else UNSET,
        config=row.config,
        switch_identity=row.switch_identity,
        key_id=row.key_id,
        state_hash=row.state_hash,
        browser_hash=row.browser_hash,
        client_ref=row.client_ref,
        connect_code_hash=row.connect_code_hash,
        connect_code_ends=row.connect_code_ends,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
    return replace(
        attempt,
        verifier=None if row.verifier is None else Sealed(row.verifier),
        pending=None if row.pending is None else Sealed(row.pending),
    )
