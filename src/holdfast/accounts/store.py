"""The accounts table and all its SQL. An account is found by environment and id, or environment, connection, owner."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection as Tx
from sqlalchemy import Index, Row, bindparam, delete, func, insert, or_, select, text, update

from holdfast.accounts.account import Account, Owner, Reason, Status
from holdfast.accounts.expiry import sweep_at
from holdfast.storage import leases
from holdfast.storage.tables import (
    NO_ONE,
    Blob,
    Column,
    Count,
    Integer,
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

accounts = Table(
    "accounts",
    metadata,
    environment_key(),
    Column("id", Ulid, primary_key=True),
    Column("connection_id", String(26), nullable=False),
    Column("owner_kind", String(16), nullable=False),
    Column("user_id", String(256), nullable=False),
    Column("organization_id", String(256), nullable=False),
    Column("role", String(16), nullable=False),
    Column("method", String(32), nullable=False),
    Column("status", String(16), nullable=False),
    Column("reason", String(64)),
    Column("detail", Text),
    Column("label", Text),
    Column("identifier", Text),
    Column("subject", Text),
    Column("established_by", String(256)),
    Column("client_ref", String(26)),
    Column("scopes", Json, nullable=False),
    Column("config", Json, nullable=False),
    Column("kept", Json, nullable=False),
    Column("access", Blob),
    Column("grant", Blob),
    Column("last4", String(4), nullable=False),
    Column("oauth_client_id", Text),
    Column("expires_at", Time),
    Column("grant_expires_at", Time),
    Column("consent_ends_at", Time),
    Column("notice_at", Time),
    Column("refresh_at", Time),
    Column("sweep_at", Time),
    Column("refreshed_at", Time),
    Column("retry_at", Time),
    Column("failures", Integer, nullable=False),
    Column("refusals", Integer, nullable=False),
    Column("warning", Text),
    Column("intent_at", Time),
    Column("intent_print", String(64)),
    Column("version", Count, nullable=False),
    Column("credential_version", Count, nullable=False),
    Column("created_at", Time, nullable=False),
    Column("updated_at", Time, nullable=False),
    *leases.lease_columns(),
    Index("ix_accounts_owner", "environment_id", "connection_id", "user_id", "organization_id"),
    Index("ix_accounts_user", "environment_id", "user_id", "organization_id"),
    Index("ix_accounts_sweep_at", "sweep_at"),
    Index(
        "ix_accounts_consent_ends_at",
        "consent_ends_at",
        sqlite_where=text("notice_at IS NULL"),
        postgresql_where=text("notice_at IS NULL"),
    ),
    Index(
        "uq_accounts_compatibility",
        "environment_id",
        "connection_id",
        "user_id",
        "organization_id",
        unique=True,
        sqlite_where=text("role = 'compatibility'"),
        postgresql_where=text("role = 'compatibility'"),
    ),
)

_CREDENTIAL_COLUMNS = (
    "status",
    "reason",
    "detail",
    "scopes",
    "kept",
    "access",
    "grant",
    "expires_at",
    "grant_expires_at",
    "consent_ends_at",
    "refresh_at",
    "sweep_at",
    "refreshed_at",
    "retry_at",
    "failures",
    "refusals",
    "warning",
    "intent_at",
    "intent_print",
    "credential_version",
    "updated_at",
)
"""What a refresh may write: an app that edits the label at the same moment loses nothing, nor does the refresh."""


def _is(environment_id: str, account_id: str) -> Any:
    return (accounts.c.environment_id == environment_id) & (accounts.c.id == account_id)


def _of(environment_id: str, connection_id: str, owner: Owner) -> Any:
    return (
        (accounts.c.environment_id == environment_id)
        & (accounts.c.connection_id == connection_id)
        & (accounts.c.user_id == owner.user_id)
        & (accounts.c.organization_id == owner.organization_id)
    )


def get(tx: Tx, environment_id: str, account_id: str, *, lock: bool = False) -> Account | None:
    query = select(accounts).where(_is(environment_id, account_id))
    row = tx.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else _account(row)


def of_owner(tx: Tx, environment_id: str, connection_id: str, owner: Owner, *, lock: bool = False) -> list[Account]:
    """Return all of one owner's accounts through one connection, oldest first. Owner scopes never mix."""
    query = select(accounts).where(_of(environment_id, connection_id, owner)).order_by(accounts.c.id)
    return [_account(row) for row in tx.execute(query.with_for_update() if lock else query)]


def lock_owner(tx: Tx, environment_id: str, connection_id: str, owner: Owner) -> None:
    """Let one transaction at a time connect accounts of this owner here, until it ends.

    Rows can be locked once they are there; this guards the first one. SQLite has one writer at any time.
    """
    if tx.dialect.name == "postgresql":
        name = "|".join((environment_id, connection_id, owner.user_id, owner.organization_id))
        tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


def all_of_owner(tx: Tx, environment_id: str, owner: Owner) -> list[Account]:
    rows = tx.execute(
        select(accounts)
        .where(
            accounts.c.environment_id == environment_id,
            accounts.c.owner_kind == owner.kind,
            accounts.c.user_id == owner.user_id,
            accounts.c.organization_id == owner.organization_id,
        )
        .order_by(accounts.c.id)
    )
    return [_account(row) for row in rows]


def of_connection(tx: Tx, environment_id: str, connection_id: str) -> list[Account]:
    rows = tx.execute(
        select(accounts)
        .where(accounts.c.environment_id == environment_id, accounts.c.connection_id == connection_id)
        .order_by(accounts.c.id)
    )
    return [_account(row) for row in rows]


def established_by(tx: Tx, environment_id: str, organization_id: str, user_id: str) -> list[Account]:
    rows = tx.execute(
        select(accounts)
        .where(
            accounts.c.environment_id == environment_id,
            accounts.c.owner_kind == "organization",
            accounts.c.user_id == NO_ONE,
            accounts.c.organization_id == organization_id,
            accounts.c.established_by == user_id,
        )
        .with_for_update()
    )
    return [_account(row) for row in rows]


def label_is_taken(tx: Tx, account: Account) -> bool:
    """Tell whether another account of the same owner and connection has this account's label."""
    query = select(func.count()).where(
        _of(account.environment_id, account.connection_id, account.owner),
        accounts.c.id != account.id,
        accounts.c.label == account.label,
    )
    return account.label is not None and tx.execute(query).scalar_one() > 0


def add(tx: Tx, account: Account) -> None:
    tx.execute(
        insert(accounts).values(
            environment_id=account.environment_id,
            id=account.id,
            created_at=account.created_at,
            version=account.version,
            **_owner_values(account),
            **_values(account),
        )
    )


def save(tx: Tx, account: Account) -> Account:
    """Write every changeable column of an account that was read under lock; its version rises by one."""
    tx.execute(
        update(accounts)
        .where(_is(account.environment_id, account.id))
        .values(**_owner_values(account), **_values(account), version=accounts.c.version + 1)
    )
    return account


def remove(tx: Tx, environment_id: str, account_id: str) -> bool:
    return tx.execute(delete(accounts).where(_is(environment_id, account_id))).rowcount > 0


def take_lease(tx: Tx, environment_id: str, account_id: str, *, owner: str, seconds: float) -> int | None:
    return leases.acquire(tx, accounts, _is(environment_id, account_id), owner=owner, seconds=seconds)


def give_up_lease(tx: Tx, environment_id: str, account_id: str, *, fence: int) -> None:
    leases.release(tx, accounts, _is(environment_id, account_id), fence=fence)


def open_intent(tx: Tx, account: Account, *, fence: int, fingerprint: str, at: float) -> bool:
    """Write down that a refresh request is about to be sent. Nothing is sent unless this is committed."""
    done = tx.execute(
        update(accounts)
        .where(_is(account.environment_id, account.id), accounts.c.fence == fence)
        .values(intent_print=fingerprint, intent_at=at)
    )
    return done.rowcount > 0


def extend_lease(tx: Tx, environment_id: str, account_id: str, *, fence: int, seconds: float) -> bool:
    """Hold on to a lease for longer; False if it is not ours any more."""
    return leases.extend(tx, accounts, _is(environment_id, account_id), fence=fence, seconds=seconds)


def settle_late(tx: Tx, account: Account, *, credential_version: int) -> bool:
    """Write new tokens though the lease has passed on, if nobody has stored newer ones: they are the only live ones."""
    values = {name: value for name, value in _values(account).items() if name in _CREDENTIAL_COLUMNS}
    done = tx.execute(
        update(accounts)
        .where(_is(account.environment_id, account.id), accounts.c.credential_version == credential_version)
        .values(**values, version=accounts.c.version + 1)
    )
    return done.rowcount > 0


def settle(tx: Tx, account: Account, *, fence: int, credential_version: int) -> bool:
    """Write a refresh's outcome and give up the lease, if the lease is still ours and the credential unchanged."""
    values = {name: value for name, value in _values(account).items() if name in _CREDENTIAL_COLUMNS}
    done = tx.execute(
        update(accounts)
        .where(
            _is(account.environment_id, account.id),
            accounts.c.fence == fence,
            accounts.c.credential_version == credential_version,
        )
        .values(**values, version=accounts.c.version + 1, lease_owner=None, lease_until=None)
    )
    return done.rowcount > 0


def due(tx: Tx, *, now: float, limit: int, passing_over: Collection[str] = ()) -> list[Account]:
    """Return accounts to refresh, the longest due first, of all environments; `passing_over` these connections.

    Rows that another process has under its hands, or refreshes, are left out. Until the transaction ends the rest are
    ours: `look_again` at a later time claims them.
    """
    query = select(accounts).where(
        accounts.c.sweep_at <= now,
        accounts.c.refresh_at <= now,
        accounts.c.status == Status.ACTIVE.value,
        or_(accounts.c.retry_at.is_(None), accounts.c.retry_at <= now),
        leases.is_free(accounts),
    )
    if passing_over:
        query = query.where(accounts.c.connection_id.not_in(list(passing_over)))
    query = query.order_by(accounts.c.sweep_at).limit(limit).with_for_update(skip_locked=True)
    return [_account(row) for row in tx.execute(query)]


def look_again(tx: Tx, these: Sequence[Account], at: float) -> None:
    """Let the sweep leave these accounts alone until `at`, except those that have changed since they were read."""
    if these:
        here = (accounts.c.environment_id == bindparam("e")) & (accounts.c.id == bindparam("i"))
        tx.execute(
            update(accounts).where(here, accounts.c.version == bindparam("v")).values(sweep_at=at),
            [{"e": account.environment_id, "i": account.id, "v": account.version} for account in these],
        )


def to_announce(tx: Tx, *, now: float, until: float, limit: int) -> list[Account]:
    """Return active accounts whose consent ends before `until` and has not been announced; locked, as `due`."""
    query = select(accounts).where(
        accounts.c.consent_ends_at > now,
        accounts.c.consent_ends_at <= until,
        accounts.c.notice_at.is_(None),
        accounts.c.status == Status.ACTIVE.value,
    )
    query = query.order_by(accounts.c.consent_ends_at).limit(limit).with_for_update(skip_locked=True)
    return [_account(row) for row in tx.execute(query)]


def announced(tx: Tx, account: Account, at: float) -> None:
    tx.execute(update(accounts).where(_is(account.environment_id, account.id)).values(notice_at=at))


def _owner_values(account: Account) -> dict[str, Any]:
    return {
        "connection_id": account.connection_id,
        "owner_kind": account.owner.kind,
        "user_id": account.owner.user_id,
        "organization_id": account.owner.organization_id,
        "role": account.role,
        "method": account.method,
    }


def _values(account: Account) -> dict[str, Any]:
    return {
        "status": account.status.value,
        "reason": account.reason.value if account.reason else None,
        "detail": account.detail,
        "label": account.label,
        "identifier": account.identifier,
        "subject": account.subject,
        "established_by": account.established_by,
        "client_ref": account.client_ref,
        "scopes": list(account.scopes),
        "config": dict(account.config),
        "kept": dict(account.kept),
        "access": None if account.access is None else account.access.data,
        "grant": None if account.grant is None else account.grant.data,
        "last4": account.last4,
        "oauth_client_id": account.oauth_client_id,
        "expires_at": account.expires_at,
        "grant_expires_at": account.grant_expires_at,
        "consent_ends_at": account.consent_ends_at,
        "notice_at": account.notice_at,
        "refresh_at": account.refresh_at,
        "sweep_at": sweep_at(account),
        "refreshed_at": account.refreshed_at,
        "retry_at": account.retry_at,
        "failures": account.failures,
        "refusals": account.refusals,
        "warning": account.warning,
        "intent_at": account.intent_at,
        "intent_print": account.intent_print,
        "credential_version": account.credential_version,
        "updated_at": account.updated_at,
    }


def _account(row: Row[Any]) -> Account:
    return from_row(dict(row._mapping))


def from_row(at: Mapping[str, Any]) -> Account:
    """Return the record of a whole row: its columns by name, JSON as values."""
    return Account(
        environment_id=at["environment_id"],
        id=at["id"],
        connection_id=at["connection_id"],
        owner=Owner(at["owner_kind"], at["user_id"], at["organization_id"]),
        role=at["role"],
        method=at["method"],
        status=Status(at["status"]),
        reason=Reason(at["reason"]) if at["reason"] else None,
        detail=at["detail"],
        label=at["label"],
        identifier=at["identifier"],
        subject=at["subject"],
        established_by=at["established_by"],
        client_ref=at["client_ref"],
        scopes=tuple(at["scopes"]),
        config=at["config"],
        kept=at["kept"],
        access=None if at["access"] is None else Sealed(at["access"]),
        grant=None if at["grant"] is None else Sealed(at["grant"]),
        last4=at["last4"],
        oauth_client_id=at["oauth_client_id"],
        expires_at=at["expires_at"],
        grant_expires_at=at["grant_expires_at"],
        consent_ends_at=at["consent_ends_at"],
        notice_at=at["notice_at"],
        refresh_at=at["refresh_at"],
        refreshed_at=at["refreshed_at"],
        retry_at=at["retry_at"],
        failures=at["failures"],
        refusals=at["refusals"],
        warning=at["warning"],
        intent_at=at["intent_at"],
        intent_print=at["intent_print"],
        version=at["version"],
        credential_version=at["credential_version"],
        created_at=at["created_at"],
        updated_at=at["updated_at"],
        fence=at["fence"],
    )
