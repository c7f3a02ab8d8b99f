"""Tables: the log, what keeps it honest, what is counted from it, and who is told."""

import sqlalchemy as sa
from alembic import op

from holdfast.storage.tables import String, Text


def upgrade() -> None:
    _entries()
    _seals()
    _checkpoints()
    _checkpoint_keys()
    _log_cursors()
    _usage_hours()
    _webhook_endpoints()
    _deliveries()


def _entries() -> None:
    on_postgres = op.get_bind().dialect.name == "postgresql"
    if on_postgres:
        op.execute("CREATE SEQUENCE entries_arrival CACHE 1")
    drawn = "(CASE WHEN pg_current_xact_id() IS NOT NULL THEN nextval('entries_arrival') END)"
    arrival = sa.text(drawn if on_postgres else "NULL")
    op.create_table(
        "entries",
        sa.Column("environment_id", String(length=26), nullable=False),
        sa.Column("id", String(length=26), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("action", String(length=64), nullable=False),
        sa.Column("actor_kind", String(length=16), nullable=False),
        sa.Column("actor_id", String(length=128), nullable=False),
        sa.Column("account_id", String(length=26), nullable=False),
        sa.Column("connection_id", String(length=26), nullable=False),
        sa.Column("user_id", String(length=256), nullable=False),
        sa.Column("organization_id", String(length=256), nullable=False),
        sa.Column("request_id", String(length=64), nullable=False),
        sa.Column("data", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("arrival", sa.BigInteger(), server_default=arrival, nullable=True),
        sa.Column("marks", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("environment_id", "id", name=op.f("pk_entries")),
        postgresql_with={"toast_tuple_target": 8160, "autovacuum_vacuum_insert_scale_factor": 0.02},
    )
    op.create_index(
        "ix_entries_gathered",
        "entries",
        ["environment_id", "id"],
        unique=False,
        sqlite_where=sa.text("marks IS NOT NULL"),
        postgresql_where=sa.text("marks IS NOT NULL"),
        postgresql_include=["marks"],
    )
    op.create_index(
        "ix_entries_notable",
        "entries",
        ["environment_id", "arrival"],
        unique=False,
        sqlite_where=sa.text("action NOT IN ('credential.read', 'proxy.called', 'token.refreshed')"),
        postgresql_where=sa.text("action NOT IN ('credential.read', 'proxy.called', 'token.refreshed')"),
    )
    op.create_index(
        "ix_entries_account",
        "entries",
        ["environment_id", "account_id", "arrival"],
        unique=False,
        postgresql_where=sa.text("action NOT IN ('credential.read', 'proxy.called')"),
    )
    op.create_index(
        "ix_entries_action",
        "entries",
        ["environment_id", "action", "arrival"],
        unique=False,
        sqlite_where=sa.text("action NOT IN ('credential.read', 'proxy.called')"),
        postgresql_where=sa.text("action NOT IN ('credential.read', 'proxy.called')"),
    )
    op.create_index(
        "ix_entries_calls",
        "entries",
        ["environment_id", "id"],
        unique=False,
        sqlite_where=sa.text("action IN ('proxy.called', 'tool.executed')"),
        postgresql_where=sa.text("action IN ('proxy.called', 'tool.executed')"),
    )
    op.create_index(
        "ix_entries_reads",
        "entries",
        ["account_id"],
        unique=False,
        postgresql_using="brin",
        postgresql_ops={"account_id": "text_bloom_ops(n_distinct_per_range=400)"},
        postgresql_with={"pages_per_range": 16},
        sqlite_where=sa.text("account_id IS NULL"),
    )
    op.create_index(
        "ix_entries_arrival",
        "entries",
        ["arrival"],
        unique=False,
        postgresql_using="brin",
        postgresql_with={"pages_per_range": 32},
        sqlite_where=sa.text("arrival IS NOT NULL"),
    )


def _seals() -> None:
    op.create_table(
        "seals",
        sa.Column("environment_id", String(length=26), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("entry_ids", Text(), nullable=False),
        sa.Column("entry_hashes", sa.LargeBinary(), nullable=False),
        sa.Column("previous", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "number", name=op.f("pk_seals")),
    )


def _checkpoints() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("environment_id", String(length=26), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", String(length=26), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "number", name=op.f("pk_checkpoints")),
    )


def _checkpoint_keys() -> None:
    op.create_table(
        "checkpoint_keys",
        sa.Column("environment_id", String(length=26), nullable=False),
        sa.Column("id", String(length=26), nullable=False),
        sa.Column("public", sa.LargeBinary(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "id", name=op.f("pk_checkpoint_keys")),
    )


def _log_cursors() -> None:
    op.create_table(
        "log_cursors",
        sa.Column("environment_id", String(length=26), nullable=False),
        sa.Column("name", String(length=32), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("entry_environment_id", String(length=26), nullable=False),
        sa.Column("entry_id", String(length=26), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "name", name=op.f("pk_log_cursors")),
    )


def _usage_hours() -> None:
    op.create_table(
        "usage_hours",
        sa.Column("environment_id", String(length=26), nullable=False),
        sa.Column("hour", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("connection_id", String(length=26), nullable=False),
        sa.Column("action", String(length=64), nullable=False),
        sa.Column("outcome", String(length=16), nullable=False),
        sa.Column("up_to_ms", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("ms", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint(
            "environment_id",
            "hour",
            "connection_id",
            "action",
            "outcome",
            "up_to_ms",
            name=op.f("pk_usage_hours"),
        ),
    )


def _webhook_endpoints() -> None:
    op.create_table(
        "webhook_endpoints",
        sa.Column("environment_id", String(length=26), nullable=False),
        sa.Column("id", String(length=26), nullable=False),
        sa.Column("url", Text(), nullable=False),
        sa.Column("status", String(length=16), nullable=False),
        sa.Column("events", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.Column("dialect", String(length=16), server_default="workos", nullable=False),
        sa.Column("secret_version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("former_secret", sa.LargeBinary(), nullable=True),
        sa.Column("former_until", sa.Double(), nullable=True),
        sa.Column("failing_since", sa.Double(), nullable=True),
        sa.Column("disabled_reason", String(length=64), nullable=False),
        sa.Column("delivered", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("failed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("dead", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "id", name=op.f("pk_webhook_endpoints")),
        sa.UniqueConstraint("environment_id", "url", name="uq_webhook_endpoints_url"),
    )


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("environment_id", String(length=26), nullable=False),
        sa.Column("id", String(length=26), nullable=False),
        sa.Column("endpoint_id", String(length=26), nullable=False),
        sa.Column("entry_id", String(length=26), nullable=False),
        sa.Column("event", String(length=64), nullable=False),
        sa.Column("queue", String(length=26), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("status", String(length=16), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("last_at", sa.Double(), nullable=True),
        sa.Column("response_status", sa.Integer(), nullable=True),
        sa.Column("response_text", Text(), nullable=True),
        sa.PrimaryKeyConstraint("environment_id", "id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("environment_id", "endpoint_id", "entry_id", name="uq_deliveries_entry"),
    )
    op.create_index("ix_deliveries_list", "deliveries", ["environment_id", "endpoint_id", "id"], unique=False)
    op.create_index(
        "ix_deliveries_due",
        "deliveries",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("due_at IS NOT NULL"),
        sqlite_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "ix_deliveries_queue",
        "deliveries",
        ["environment_id", "endpoint_id", "queue", "position"],
        unique=False,
        postgresql_where=sa.text("status IN ('due', 'waiting')"),
        sqlite_where=sa.text("status IN ('due', 'waiting')"),
    )
