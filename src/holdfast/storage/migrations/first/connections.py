"""Tables: the connections, what they are made with, and what waits for a yes."""

import sqlalchemy as sa
from alembic import op

from holdfast.storage.tables import String, Text


def upgrade() -> None:
    _connections()
    _clients()
    _overrides()
    _custom_providers()
    _approvals()


def _connections() -> None:
    op.create_table(
        "connections",
        sa.Column("environment_id", String(length=26), nullable=False),
        sa.Column("id", String(length=26), nullable=False),
        sa.Column("name", String(length=128), nullable=False),
        sa.Column("owner_kind", String(length=16), nullable=False),
        sa.Column("provider_slug", String(length=128), nullable=False),
        sa.Column("method", String(length=32), nullable=False),
        sa.Column("callback_key", String(length=26), nullable=False),
        sa.Column("callback_by_id", sa.Boolean(), nullable=False),
        sa.Column("client_supply", String(length=16), nullable=True),
        sa.Column("client_ref", String(length=26), nullable=True),
        sa.Column("scopes", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("required_scopes", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("revokes", String(length=8), nullable=False),
        sa.Column("proxy_rules", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("approval_rules", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("description", Text(), nullable=True),
        sa.Column("config", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("oauth_settings", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("alert", Text(), nullable=True),
        sa.Column("alert_at", sa.Double(), nullable=True),
        sa.Column("alert_client_ref", String(length=26), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "id", name=op.f("pk_connections")),
        sa.UniqueConstraint("callback_key", name="uq_connections_callback_key"),
        sa.UniqueConstraint("environment_id", "name", "owner_kind", name="uq_connections_name"),
    )


def _clients() -> None:
    op.create_table(
        "clients",
        sa.Column("environment_id", String(length=26), nullable=False),
        sa.Column("id", String(length=26), nullable=False),
        sa.Column("connection_id", String(length=26), nullable=False),
        sa.Column("organization_id", String(length=256), nullable=False),
        sa.Column("client_id", Text(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=True),
        sa.Column("secret_version", sa.Integer(), nullable=False),
        sa.Column("secret_last4", String(length=4), nullable=False),
        sa.Column("former_secret", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "id", name=op.f("pk_clients")),
    )


def _overrides() -> None:
    op.create_table(
        "overrides",
        sa.Column("environment_id", String(length=26), nullable=False),
        sa.Column("organization_id", String(length=256), nullable=False),
        sa.Column("name", String(length=128), nullable=False),
        sa.Column("id", String(length=26), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=True),
        sa.Column("scopes", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("config", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("client_ref", String(length=26), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "organization_id", "name", name=op.f("pk_overrides")),
    )


def _custom_providers() -> None:
    op.create_table(
        "custom_providers",
        sa.Column("environment_id", String(length=26), nullable=False),
        sa.Column("slug", String(length=128), nullable=False),
        sa.Column("entry", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("notes", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "slug", name=op.f("pk_custom_providers")),
    )


def _approvals() -> None:
    op.create_table(
        "approvals",
        sa.Column("environment_id", String(length=26), nullable=False),
        sa.Column("id", String(length=26), nullable=False),
        sa.Column("connection_id", String(length=26), nullable=False),
        sa.Column("connection", String(length=128), nullable=False),
        sa.Column("account_id", String(length=26), nullable=False),
        sa.Column("user_id", String(length=256), nullable=False),
        sa.Column("organization_id", String(length=256), nullable=False),
        sa.Column("asker_kind", String(length=16), nullable=False),
        sa.Column("asker_id", String(length=128), nullable=False),
        sa.Column("request_id", String(length=128), nullable=False),
        sa.Column("fingerprint", String(length=64), nullable=False),
        sa.Column("method", String(length=32), nullable=False),
        sa.Column("host", Text(), nullable=False),
        sa.Column("shown_path", Text(), nullable=False),
        sa.Column("content_type", Text(), nullable=False),
        sa.Column("body_sha256", String(length=64), nullable=False),
        sa.Column("body_length", sa.BigInteger(), nullable=False),
        sa.Column("seen", sa.LargeBinary(), nullable=False),
        sa.Column("state", String(length=16), nullable=False),
        sa.Column("decider_kind", String(length=16), nullable=True),
        sa.Column("decider_id", String(length=128), nullable=True),
        sa.Column("decided_at", sa.Double(), nullable=True),
        sa.Column("taken_by", String(length=128), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "id", name=op.f("pk_approvals")),
    )
    op.create_index("ix_approvals_fingerprint", "approvals", ["environment_id", "fingerprint"], unique=False)
    op.create_index("ix_approvals_expires_at", "approvals", ["expires_at"], unique=False)
