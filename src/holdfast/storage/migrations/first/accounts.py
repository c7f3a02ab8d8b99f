"""Tables: the accounts, how they come to be, and what is done to them."""

import sqlalchemy as sa
from alembic import op

from holdfast.storage.tables import String, Text


def upgrade() -> None:
    _accounts()
    _idempotency_keys()
    _attempts()
    _errands()
    _introspections()
    _revocations()


def _accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("environment_id", String(length=26), nullable=False),
        sa.Column("id", String(length=26), nullable=False),
        sa.Column("connection_id", String(length=26), nullable=False),
        sa.Column("owner_kind", String(length=16), nullable=False),
        sa.Column("user_id", String(length=256), nullable=False),
        sa.Column("organization_id", String(length=256), nullable=False),
        sa.Column("role", String(length=16), nullable=False),
        sa.Column("method", String(length=32), nullable=False),
        sa.Column("status", String(length=16), nullable=False),
        sa.Column("reason", String(length=64), nullable=True),
        sa.Column("detail", Text(), nullable=True),
        sa.Column("label", Text(), nullable=True),
        sa.Column("identifier", Text(), nullable=True),
        sa.Column("subject", Text(), nullable=True),
        sa.Column("established_by", String(length=256), nullable=True),
        sa.Column("client_ref", String(length=26), nullable=True),
        sa.Column("scopes", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("config", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("kept", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("api_config", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("metadata", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("access", sa.LargeBinary(), nullable=True),
        sa.Column("grant", sa.LargeBinary(), nullable=True),
        sa.Column("details", sa.LargeBinary(), nullable=True),
        sa.Column("last4", String(length=4), nullable=False),
        sa.Column("oauth_client_id", Text(), nullable=True),
        sa.Column("expires_at", sa.Double(), nullable=True),
        sa.Column("grant_expires_at", sa.Double(), nullable=True),
        sa.Column("consent_ends_at", sa.Double(), nullable=True),
        sa.Column("notice_at", sa.Double(), nullable=True),
        sa.Column("refresh_at", sa.Double(), nullable=True),
        sa.Column("sweep_at", sa.Double(), nullable=True),
        sa.Column("look_at", sa.Double(), nullable=True),
        sa.Column("refreshed_at", sa.Double(), nullable=True),
        sa.Column("retry_at", sa.Double(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("refusals", sa.Integer(), nullable=False),
        sa.Column("warning", Text(), nullable=True),
        sa.Column("intent_at", sa.Double(), nullable=True),
        sa.Column("intent_print", String(length=64), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("credential_version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.Column("lease_owner", String(length=64), nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("fence", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "id", name=op.f("pk_accounts")),
        postgresql_with={"fillfactor": 60},
    )
    op.create_index(
        "ix_accounts_owner",
        "accounts",
        ["environment_id", "connection_id", "user_id", "organization_id"],
        unique=False,
    )
    op.create_index(
        "ix_accounts_consent_ends_at",
        "accounts",
        ["consent_ends_at"],
        unique=False,
        sqlite_where=sa.text("notice_at IS NULL AND consent_ends_at IS NOT NULL"),
        postgresql_where=sa.text("notice_at IS NULL AND consent_ends_at IS NOT NULL"),
    )
    op.create_index("ix_accounts_look_at", "accounts", ["look_at"], unique=False)
    op.create_index(
        "ix_accounts_consent",
        "accounts",
        ["environment_id", "consent_ends_at"],
        unique=False,
        sqlite_where=sa.text("consent_ends_at IS NOT NULL"),
        postgresql_where=sa.text("consent_ends_at IS NOT NULL"),
    )
    op.create_index(
        "ix_accounts_status",
        "accounts",
        ["environment_id", "status", "id"],
        unique=False,
        sqlite_where=sa.text("status <> 'active'"),
        postgresql_where=sa.text("status <> 'active'"),
    )
    op.create_index(
        "ix_accounts_subject",
        "accounts",
        ["environment_id", "subject"],
        unique=False,
        sqlite_where=sa.text("subject IS NOT NULL"),
        postgresql_where=sa.text("subject IS NOT NULL"),
    )
    op.create_index("ix_accounts_user", "accounts", ["environment_id", "user_id", "organization_id"], unique=False)
    op.create_index(
        "uq_accounts_compatibility",
        "accounts",
        ["user_id", "connection_id", "environment_id", "organization_id"],
        unique=True,
        sqlite_where=sa.text("role = 'compatibility'"),
        postgresql_where=sa.text("role = 'compatibility'"),
    )


def _idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("environment_id", String(length=26), nullable=False),
        sa.Column("key", String(length=255), nullable=False),
        sa.Column("fingerprint", String(length=64), nullable=False),
        sa.Column("account_id", String(length=26), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "key", name=op.f("pk_idempotency_keys")),
    )


def _attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("environment_id", String(length=26), nullable=False),
        sa.Column("id", String(length=26), nullable=False),
        sa.Column("connection_id", String(length=26), nullable=False),
        sa.Column("owner_kind", String(length=16), nullable=False),
        sa.Column("user_id", String(length=256), nullable=False),
        sa.Column("organization_id", String(length=256), nullable=False),
        sa.Column("acting_user", String(length=256), nullable=False),
        sa.Column("intent", String(length=16), nullable=False),
        sa.Column("stage", String(length=16), nullable=False),
        sa.Column("link_hash", String(length=64), nullable=False),
        sa.Column("account_id", String(length=26), nullable=True),
        sa.Column("return_to", Text(), nullable=True),
        sa.Column("app_state", String(length=512), nullable=False),
        sa.Column("by_link", sa.Boolean(), nullable=False),
        sa.Column("user_verify_url", Text(), nullable=True),
        sa.Column("code_challenge", String(length=128), nullable=True),
        sa.Column("label_given", sa.Boolean(), nullable=False),
        sa.Column("label", Text(), nullable=True),
        sa.Column("config", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("switch_identity", sa.Boolean(), nullable=False),
        sa.Column("key_id", String(length=26), nullable=False),
        sa.Column("state_hash", String(length=64), nullable=True),
        sa.Column("browser_hash", String(length=64), nullable=True),
        sa.Column("verifier", sa.LargeBinary(), nullable=True),
        sa.Column("client_ref", String(length=26), nullable=True),
        sa.Column("connect_code_hash", String(length=64), nullable=True),
        sa.Column("connect_code_ends", sa.Double(), nullable=True),
        sa.Column("pending", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "id", name=op.f("pk_attempts")),
        sa.UniqueConstraint("connect_code_hash", name=op.f("uq_attempts_connect_code_hash")),
        sa.UniqueConstraint("link_hash", name=op.f("uq_attempts_link_hash")),
        sa.UniqueConstraint("state_hash", name=op.f("uq_attempts_state_hash")),
    )
    op.create_index("ix_attempts_expires_at", "attempts", ["expires_at"], unique=False)


def _errands() -> None:
    op.create_table(
        "errands",
        sa.Column("environment_id", String(length=26), nullable=False),
        sa.Column("id", String(length=26), nullable=False),
        sa.Column("act", String(length=16), nullable=False),
        sa.Column("which", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("actor_kind", String(length=16), nullable=False),
        sa.Column("actor_id", String(length=128), nullable=False),
        sa.Column("cursor", String(length=26), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("passed_over", sa.BigInteger(), nullable=False),
        sa.Column("stopped", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("environment_id", "id", name=op.f("pk_errands")),
    )
    op.create_index(
        "ix_errands_open",
        "errands",
        ["updated_at"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )


def _introspections() -> None:
    op.create_table(
        "introspections",
        sa.Column("environment_id", String(length=26), nullable=False),
        sa.Column("account_id", String(length=26), nullable=False),
        sa.Column("credential_version", sa.BigInteger(), nullable=False),
        sa.Column("asked_for_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "account_id", name=op.f("pk_introspections")),
    )
    op.create_index("ix_introspections_asked_for_at", "introspections", ["asked_for_at"], unique=False)


def _revocations() -> None:
    op.create_table(
        "revocations",
        sa.Column("environment_id", String(length=26), nullable=False),
        sa.Column("id", String(length=26), nullable=False),
        sa.Column("account_id", String(length=26), nullable=False),
        sa.Column("connection_id", String(length=26), nullable=False),
        sa.Column("connection", String(length=128), nullable=False),
        sa.Column("provider", String(length=128), nullable=False),
        sa.Column("user_id", String(length=256), nullable=False),
        sa.Column("organization_id", String(length=256), nullable=False),
        sa.Column("subject", Text(), nullable=True),
        sa.Column("client_id", Text(), nullable=False),
        sa.Column("client_ref", String(length=26), nullable=True),
        sa.Column("cause", String(length=32), nullable=False),
        sa.Column("order", sa.LargeBinary(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "id", name=op.f("pk_revocations")),
    )
    op.create_index("ix_revocations_due", "revocations", ["due_at"], unique=False)
