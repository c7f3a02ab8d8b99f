"""The accounts table, and how a record is laid into a row and back."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Index, Row, text

from holdfast.accounts.account import Account, Owner, Reason, Status
from holdfast.accounts.expiry import sweep_at
from holdfast.storage import leases
from holdfast.storage.tables import (
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
from holdfast.vault.store import SealedColumn

NOT_ACTIVE = text("status <> 'active'")
"""Of a partial index, and of a query that is to use it: word for word the same, or SQLite does not see it."""

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
    Column("api_config", Json, nullable=False),
    Column("metadata", Json, nullable=False),
    Column("access", Blob),
    Column("grant", Blob),
    Column("details", Blob),
    Column("last4", String(4), nullable=False),
    Column("oauth_client_id", Text),
    Column("expires_at", Time),
    Column("grant_expires_at", Time),
    Column("consent_ends_at", Time),
    Column("notice_at", Time),
    Column("refresh_at", Time),
    Column("sweep_at", Time),
    # When the sweep looks at the row, to find it due or to put the look off to `sweep_at`: later only in a claim.
    Column("look_at", Time),
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
    Index("ix_accounts_look_at", "look_at"),
    # Nearly all accounts are active, and what refreshes them pays for no index that does not name them.
    Index(
        "ix_accounts_status",
        "environment_id",
        "status",
        "id",
        sqlite_where=NOT_ACTIVE,
        postgresql_where=NOT_ACTIVE,
    ),
    Index(
        "ix_accounts_subject",
        "environment_id",
        "subject",
        sqlite_where=text("subject IS NOT NULL"),
        postgresql_where=text("subject IS NOT NULL"),
    ),
    Index(
        "ix_accounts_consent_ends_at",
        "consent_ends_at",
        sqlite_where=text("notice_at IS NULL AND consent_ends_at IS NOT NULL"),
        postgresql_where=text("notice_at IS NULL AND consent_ends_at IS NOT NULL"),
    ),
    Index(
        "ix_accounts_consent",
        "environment_id",
        "consent_ends_at",
        sqlite_where=text("consent_ends_at IS NOT NULL"),
        postgresql_where=text("consent_ends_at IS NOT NULL"),
    ),
    # The user first: it tells most accounts apart, so that looking one up compares one text at each step and not three.
    Index(
        "uq_accounts_compatibility",
        "user_id",
        "connection_id",
        "environment_id",
        "organization_id",
        unique=True,
        sqlite_where=text("role = 'compatibility'"),
        postgresql_where=text("role = 'compatibility'"),
    ),
    # A refresh writes its row twice, and no column that an index names: with room for that in its page it touches none.
    # https://www.postgresql.org/docs/current/storage-hot.html
    postgresql_with={"fillfactor": 60},
)


SEALED = tuple(
    SealedColumn(accounts.c[name], name, accounts.c.credential_version) for name in ("access", "grant", "details")
)
"""Where accounts keep what is sealed."""


def is_account(environment_id: str, account_id: str) -> Any:
    return (accounts.c.environment_id == environment_id) & (accounts.c.id == account_id)


def owner_values(account: Account) -> dict[str, Any]:
    return {
        "connection_id": account.connection_id,
        "owner_kind": account.owner.kind,
        "user_id": account.owner.user_id,
        "organization_id": account.owner.organization_id,
        "role": account.role,
        "method": account.method,
    }


def values_of(account: Account) -> dict[str, Any]:
    sweeps = sweep_at(account)
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
        "api_config": dict(account.api_config),
        "metadata": dict(account.metadata),
        "access": None if account.access is None else account.access.data,
        "grant": None if account.grant is None else account.grant.data,
        "details": None if account.details is None else account.details.data,
        "last4": account.last4,
        "oauth_client_id": account.oauth_client_id,
        "expires_at": account.expires_at,
        "grant_expires_at": account.grant_expires_at,
        "consent_ends_at": account.consent_ends_at,
        "notice_at": account.notice_at,
        "refresh_at": account.refresh_at,
        "sweep_at": sweeps,
        "look_at": sweeps,
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


def account_of(row: Row[Any]) -> Account:
    return from_row(dict(row._mapping))


def from_row(at: Mapping[str, Any]) -> Account:
    """Return the record of a whole row: its columns by name, JSON as values."""
    return Account.of(
        {
            "environment_id": at["environment_id"],
            "id": at["id"],
            "connection_id": at["connection_id"],
            "owner": Owner(at["owner_kind"], at["user_id"], at["organization_id"]),
            "role": at["role"],
            "method": at["method"],
            "status": Status(at["status"]),
            "reason": Reason(at["reason"]) if at["reason"] else None,
            "detail": at["detail"],
            "label": at["label"],
            "identifier": at["identifier"],
            "subject": at["subject"],
            "established_by": at["established_by"],
            "client_ref": at["client_ref"],
            "scopes": tuple(at["scopes"]),
            "config": at["config"],
            "kept": at["kept"],
            "api_config": at["api_config"],
            "metadata": at["metadata"],
            "access": None if at["access"] is None else Sealed(at["access"]),
            "grant": None if at["grant"] is None else Sealed(at["grant"]),
            "details": None if at["details"] is None else Sealed(at["details"]),
            "last4": at["last4"],
            "oauth_client_id": at["oauth_client_id"],
            "expires_at": at["expires_at"],
            "grant_expires_at": at["grant_expires_at"],
            "consent_ends_at": at["consent_ends_at"],
            "notice_at": at["notice_at"],
            "refresh_at": at["refresh_at"],
            "refreshed_at": at["refreshed_at"],
            "retry_at": at["retry_at"],
            "failures": at["failures"],
            "refusals": at["refusals"],
            "warning": at["warning"],
            "intent_at": at["intent_at"],
            "intent_print": at["intent_print"],
            "version": at["version"],
            "credential_version": at["credential_version"],
            "created_at": at["created_at"],
            "updated_at": at["updated_at"],
            "fence": at["fence"],
        }
    )
