"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("environment_id", sa.String(length=26), nullable=False),
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("connection_id", sa.String(length=26), nullable=False),
        sa.Column("owner_kind", sa.String(length=16), nullable=False),
        sa.Column("user_id", sa.String(length=256), nullable=False),
        sa.Column("organization_id", sa.String(length=256), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("method", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("identifier", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("established_by", sa.String(length=256), nullable=True),
        sa.Column("client_ref", sa.String(length=26), nullable=True),
        sa.Column("scopes", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("config", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("kept", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("access", sa.LargeBinary(), nullable=True),
        sa.Column("grant", sa.LargeBinary(), nullable=True),
        sa.Column("last4", sa.String(length=4), nullable=False),
        sa.Column("oauth_client_id", sa.Text(), nullable=True),
        sa.Column("expires_at", sa.Double(), nullable=True),
        sa.Column("grant_expires_at", sa.Double(), nullable=True),
        sa.Column("consent_ends_at", sa.Double(), nullable=True),
        sa.Column("notice_at", sa.Double(), nullable=True),
        sa.Column("refresh_at", sa.Double(), nullable=True),
        sa.Column("sweep_at", sa.Double(), nullable=True),
        sa.Column("refreshed_at", sa.Double(), nullable=True),
        sa.Column("retry_at", sa.Double(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("refusals", sa.Integer(), nullable=False),
        sa.Column("warning", sa.Text(), nullable=True),
        sa.Column("intent_at", sa.Double(), nullable=True),
        sa.Column("intent_print", sa.String(length=64), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("credential_version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.Column("lease_owner", sa.String(length=64), nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("fence", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "id", name=op.f("pk_accounts")),
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
        sqlite_where=sa.text("notice_at IS NULL"),
        postgresql_where=sa.text("notice_at IS NULL"),
    )
    op.create_index("ix_accounts_sweep_at", "accounts", ["sweep_at"], unique=False)
    op.create_index("ix_accounts_user", "accounts", ["environment_id", "user_id", "organization_id"], unique=False)
    op.create_index(
        "uq_accounts_compatibility",
        "accounts",
        ["environment_id", "connection_id", "user_id", "organization_id"],
        unique=True,
        sqlite_where=sa.text("role = 'compatibility'"),
        postgresql_where=sa.text("role = 'compatibility'"),
    )
    op.create_table(
        "api_keys",
        sa.Column("environment_id", sa.String(length=26), nullable=False),
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("last4", sa.String(length=4), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("revoked_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("environment_id", "id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("hash", name=op.f("uq_api_keys_hash")),
    )
    op.create_table(
        "attempts",
        sa.Column("environment_id", sa.String(length=26), nullable=False),
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("connection_id", sa.String(length=26), nullable=False),
        sa.Column("owner_kind", sa.String(length=16), nullable=False),
        sa.Column("user_id", sa.String(length=256), nullable=False),
        sa.Column("organization_id", sa.String(length=256), nullable=False),
        sa.Column("acting_user", sa.String(length=256), nullable=False),
        sa.Column("intent", sa.String(length=16), nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("link_hash", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=26), nullable=True),
        sa.Column("return_to", sa.Text(), nullable=True),
        sa.Column("app_state", sa.String(length=128), nullable=False),
        sa.Column("code_challenge", sa.String(length=128), nullable=True),
        sa.Column("label_given", sa.Boolean(), nullable=False),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("config", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("switch_identity", sa.Boolean(), nullable=False),
        sa.Column("key_id", sa.String(length=26), nullable=False),
        sa.Column("state_hash", sa.String(length=64), nullable=True),
        sa.Column("browser_hash", sa.String(length=64), nullable=True),
        sa.Column("verifier", sa.LargeBinary(), nullable=True),
        sa.Column("client_ref", sa.String(length=26), nullable=True),
        sa.Column("connect_code_hash", sa.String(length=64), nullable=True),
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
    op.create_table(
        "checkpoint_keys",
        sa.Column("environment_id", sa.String(length=26), nullable=False),
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("public", sa.LargeBinary(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "id", name=op.f("pk_checkpoint_keys")),
    )
    op.create_table(
        "checkpoints",
        sa.Column("environment_id", sa.String(length=26), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.String(length=26), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "number", name=op.f("pk_checkpoints")),
    )
    op.create_table(
        "clients",
        sa.Column("environment_id", sa.String(length=26), nullable=False),
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("connection_id", sa.String(length=26), nullable=False),
        sa.Column("organization_id", sa.String(length=256), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=True),
        sa.Column("secret_version", sa.Integer(), nullable=False),
        sa.Column("secret_last4", sa.String(length=4), nullable=False),
        sa.Column("former_secret", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "id", name=op.f("pk_clients")),
    )
    op.create_table(
        "connections",
        sa.Column("environment_id", sa.String(length=26), nullable=False),
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("owner_kind", sa.String(length=16), nullable=False),
        sa.Column("provider_slug", sa.String(length=128), nullable=False),
        sa.Column("method", sa.String(length=32), nullable=False),
        sa.Column("callback_key", sa.String(length=26), nullable=False),
        sa.Column("client_supply", sa.String(length=16), nullable=True),
        sa.Column("client_ref", sa.String(length=26), nullable=True),
        sa.Column("scopes", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("required_scopes", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("config", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("alert", sa.Text(), nullable=True),
        sa.Column("alert_at", sa.Double(), nullable=True),
        sa.Column("alert_client_ref", sa.String(length=26), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "id", name=op.f("pk_connections")),
        sa.UniqueConstraint("callback_key", name="uq_connections_callback_key"),
        sa.UniqueConstraint("environment_id", "name", "owner_kind", name="uq_connections_name"),
    )
    op.create_table(
        "custom_providers",
        sa.Column("environment_id", sa.String(length=26), nullable=False),
        sa.Column("slug", sa.String(length=128), nullable=False),
        sa.Column("entry", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "slug", name=op.f("pk_custom_providers")),
    )
    op.create_table(
        "data_keys",
        sa.Column("environment_id", sa.String(length=26), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("wrapped_by", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "version", name=op.f("pk_data_keys")),
    )
    # A number in the order of arrival; not from a cache, which would hand numbers out of order. SQLite has the rowid.
    on_postgres = op.get_bind().dialect.name == "postgresql"
    if on_postgres:
        op.execute("CREATE SEQUENCE entries_arrival CACHE 1")
    drawn = "(CASE WHEN pg_current_xact_id() IS NOT NULL THEN nextval('entries_arrival') END)"
    arrival = sa.text(drawn if on_postgres else "NULL")
    op.create_table(
        "entries",
        sa.Column("environment_id", sa.String(length=26), nullable=False),
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("actor_kind", sa.String(length=16), nullable=False),
        sa.Column("actor_id", sa.String(length=128), nullable=False),
        sa.Column("account_id", sa.String(length=26), nullable=False),
        sa.Column("connection_id", sa.String(length=26), nullable=False),
        sa.Column("user_id", sa.String(length=256), nullable=False),
        sa.Column("organization_id", sa.String(length=256), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("data", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("arrival", sa.BigInteger(), server_default=arrival, nullable=True),
        sa.PrimaryKeyConstraint("environment_id", "id", name=op.f("pk_entries")),
    )
    op.create_index("ix_entries_account", "entries", ["environment_id", "account_id", "arrival"], unique=False)
    op.create_index("ix_entries_action", "entries", ["environment_id", "action", "arrival"], unique=False)
    op.create_index(
        "ix_entries_arrival",
        "entries",
        ["arrival"],
        unique=False,
        postgresql_using="brin",
        postgresql_with={"pages_per_range": 32, "autosummarize": True},
        sqlite_where=sa.text("arrival IS NOT NULL"),
    )
    op.create_table(
        "environments",
        sa.Column("environment_id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", name=op.f("pk_environments")),
        sa.UniqueConstraint("name", name=op.f("uq_environments_name")),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("environment_id", sa.String(length=26), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=26), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_table(
        "log_cursors",
        sa.Column("environment_id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("entry_environment_id", sa.String(length=26), nullable=False),
        sa.Column("entry_id", sa.String(length=26), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "name", name=op.f("pk_log_cursors")),
    )
    op.create_table(
        "memberships",
        sa.Column("environment_id", sa.String(length=26), nullable=False),
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("user_id", sa.String(length=256), nullable=False),
        sa.Column("organization_id", sa.String(length=256), nullable=False),
        sa.Column("role", sa.String(length=128), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "id", name=op.f("pk_memberships")),
        sa.UniqueConstraint("environment_id", "organization_id", "user_id", name="uq_memberships_owner"),
    )
    op.create_index("ix_memberships_user", "memberships", ["environment_id", "user_id"], unique=False)
    op.create_table(
        "overrides",
        sa.Column("environment_id", sa.String(length=26), nullable=False),
        sa.Column("organization_id", sa.String(length=256), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=True),
        sa.Column("scopes", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("config", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("client_ref", sa.String(length=26), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "organization_id", "name", name=op.f("pk_overrides")),
    )
    op.create_table(
        "redirect_uris",
        sa.Column("environment_id", sa.String(length=26), nullable=False),
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "id", name=op.f("pk_redirect_uris")),
        sa.UniqueConstraint("environment_id", "uri", name="uq_redirect_uris_uri"),
    )
    op.create_table(
        "seals",
        sa.Column("environment_id", sa.String(length=26), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("entry_ids", sa.Text(), nullable=False),
        sa.Column("entry_hashes", sa.LargeBinary(), nullable=False),
        sa.Column("previous", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "number", name=op.f("pk_seals")),
    )
    op.create_table(
        "webhook_endpoints",
        sa.Column("environment_id", sa.String(length=26), nullable=False),
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("events", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "id", name=op.f("pk_webhook_endpoints")),
        sa.UniqueConstraint("environment_id", "url", name="uq_webhook_endpoints_url"),
    )
