"""Tables: who uses the server, and how each environment is set up."""

import sqlalchemy as sa
from alembic import op

from holdfast.storage.tables import String, Text


def upgrade() -> None:
    _environments()
    _api_keys()
    _signing_keys()
    _organizations()
    _memberships()
    _redirect_uris()
    _cors_origins()
    _branding()
    _administrators()
    _administrator_sessions()
    _administrator_invitations()
    _administrator_spent_states()


def _environments() -> None:
    op.create_table(
        "environments",
        sa.Column("environment_id", String(length=26), nullable=False),
        sa.Column("name", String(length=128), nullable=False),
        sa.Column("user_verification", String(length=16), server_default="none", nullable=False),
        sa.Column("unused_days", sa.Integer(), nullable=True),
        sa.Column("expired_days", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", name=op.f("pk_environments")),
        sa.UniqueConstraint("name", name=op.f("uq_environments_name")),
    )


def _api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("environment_id", String(length=26), nullable=False),
        sa.Column("id", String(length=26), nullable=False),
        sa.Column("name", String(length=128), nullable=False),
        sa.Column("hash", String(length=64), nullable=False),
        sa.Column("last4", String(length=4), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("revoked_at", sa.Double(), nullable=True),
        sa.Column("kind", String(length=8), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("hash", name=op.f("uq_api_keys_hash")),
    )


def _signing_keys() -> None:
    op.create_table(
        "signing_keys",
        sa.Column("environment_id", String(length=26), nullable=False),
        sa.Column("id", String(length=26), nullable=False),
        sa.Column("private", sa.LargeBinary(), nullable=False),
        sa.Column("public", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("signs_until", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "id", name=op.f("pk_signing_keys")),
    )


def _organizations() -> None:
    op.create_table(
        "organizations",
        sa.Column("environment_id", String(length=26), nullable=False),
        sa.Column("id", String(length=26), nullable=False),
        sa.Column("display_name", Text(), nullable=False),
        sa.Column("external_id", Text(), nullable=True),
        sa.Column("region", String(length=16), nullable=False),
        sa.Column("slug", Text(), nullable=True),
        sa.Column("logo_url", Text(), nullable=True),
        sa.Column("metadata", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "id", name=op.f("pk_organizations")),
        sa.UniqueConstraint("environment_id", "external_id", name="uq_organizations_external_id"),
    )


def _memberships() -> None:
    op.create_table(
        "memberships",
        sa.Column("environment_id", String(length=26), nullable=False),
        sa.Column("id", String(length=26), nullable=False),
        sa.Column("user_id", String(length=256), nullable=False),
        sa.Column("organization_id", String(length=256), nullable=False),
        sa.Column("role", String(length=128), nullable=False),
        sa.Column("status", String(length=16), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "id", name=op.f("pk_memberships")),
        sa.UniqueConstraint("environment_id", "organization_id", "user_id", name="uq_memberships_owner"),
    )
    op.create_index("ix_memberships_user", "memberships", ["environment_id", "user_id"], unique=False)


def _redirect_uris() -> None:
    op.create_table(
        "redirect_uris",
        sa.Column("environment_id", String(length=26), nullable=False),
        sa.Column("id", String(length=26), nullable=False),
        sa.Column("uri", Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "id", name=op.f("pk_redirect_uris")),
        sa.UniqueConstraint("environment_id", "uri", name="uq_redirect_uris_uri"),
    )


def _cors_origins() -> None:
    op.create_table(
        "cors_origins",
        sa.Column("environment_id", String(length=26), nullable=False),
        sa.Column("id", String(length=26), nullable=False),
        sa.Column("origin", String(length=300), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "id", name=op.f("pk_cors_origins")),
        sa.UniqueConstraint("environment_id", "origin", name="uq_cors_origins_origin"),
    )
    op.create_index(op.f("ix_cors_origins_origin"), "cors_origins", ["origin"])


def _branding() -> None:
    op.create_table(
        "branding",
        sa.Column("environment_id", String(length=26), nullable=False),
        sa.Column("name", Text(), nullable=False),
        sa.Column("accent", String(length=7), nullable=False),
        sa.Column("home_url", Text(), nullable=False),
        sa.Column("language", String(length=35), nullable=False),
        sa.Column("logo", String(length=32), nullable=False),
        sa.Column("logo_type", String(length=32), nullable=True),
        sa.Column("logo_data", sa.LargeBinary(), nullable=True),
        sa.Column("logo_width", sa.Integer(), nullable=True),
        sa.Column("logo_height", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("environment_id", name=op.f("pk_branding")),
    )


def _administrators() -> None:
    op.create_table(
        "administrators",
        sa.Column("environment_id", String(length=26), nullable=False),
        sa.Column("id", String(length=26), nullable=False),
        sa.Column("email", String(length=320), nullable=False),
        sa.Column("name", String(length=128), nullable=False),
        sa.Column("role", String(length=16), nullable=False),
        sa.Column("password", Text(), nullable=True),
        sa.Column("subject", Text(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("wait_until", sa.Double(), nullable=True),
        sa.Column("disabled_at", sa.Double(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "id", name=op.f("pk_administrators")),
        sa.UniqueConstraint("email", name=op.f("uq_administrators_email")),
        sa.UniqueConstraint("subject", name=op.f("uq_administrators_subject")),
    )


def _administrator_sessions() -> None:
    op.create_table(
        "administrator_sessions",
        sa.Column("environment_id", String(length=26), nullable=False),
        sa.Column("id", String(length=26), nullable=False),
        sa.Column("administrator_id", String(length=26), nullable=False),
        sa.Column("hash", String(length=64), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.Column("ends_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "id", name=op.f("pk_administrator_sessions")),
        sa.UniqueConstraint("hash", name=op.f("uq_administrator_sessions_hash")),
    )
    op.create_index(
        "ix_administrator_sessions_administrator", "administrator_sessions", ["administrator_id"], unique=False
    )


def _administrator_invitations() -> None:
    op.create_table(
        "administrator_invitations",
        sa.Column("environment_id", String(length=26), nullable=False),
        sa.Column("id", String(length=26), nullable=False),
        sa.Column("hash", String(length=64), nullable=False),
        sa.Column("email", String(length=320), nullable=False),
        sa.Column("role", String(length=16), nullable=False),
        sa.Column("ends_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "id", name=op.f("pk_administrator_invitations")),
        sa.UniqueConstraint("hash", name=op.f("uq_administrator_invitations_hash")),
    )


def _administrator_spent_states() -> None:
    op.create_table(
        "administrator_spent_states",
        sa.Column("environment_id", String(length=26), nullable=False),
        sa.Column("hash", String(length=64), nullable=False),
        sa.Column("ends_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("environment_id", "hash", name=op.f("pk_administrator_spent_states")),
    )
