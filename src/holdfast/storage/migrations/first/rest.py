"""Tables: the vault's keys, and the schema's own versions."""

import sqlalchemy as sa
from alembic import op

from holdfast.storage.tables import String


def upgrade() -> None:
    _data_keys()
    _schema_versions()


def _data_keys() -> None:
    op.create_table(
        "data_keys",
        sa.Column("environment_id", String(length=26), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("wrapped_by", String(length=64), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("seals_at", sa.Double(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "version", name=op.f("pk_data_keys")),
    )


def _schema_versions() -> None:
    op.create_table(
        "schema_versions",
        sa.Column("version", String(length=32), nullable=False),
        sa.Column("min_compatible", String(length=32), nullable=False),
        sa.Column("applied_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_schema_versions")),
    )
