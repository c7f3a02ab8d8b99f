"""Organizations and who is a member of them."""

from typing import Any

from sqlalchemy import Connection, Index, Row, UniqueConstraint, delete, func, insert, select, update

from holdfast.access.membership import Membership
from holdfast.access.organization import Organization
from holdfast.storage.paging import page
from holdfast.storage.tables import (
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

memberships = Table(
    "memberships",
    metadata,
    environment_key(),
    Column("id", Ulid, primary_key=True),
    Column("user_id", String(256), nullable=False),
    Column("organization_id", String(256), nullable=False),
    Column("role", String(128), nullable=False),
    Column("status", String(16), nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("created_at", Time, nullable=False),
    Column("updated_at", Time, nullable=False),
    UniqueConstraint("environment_id", "organization_id", "user_id", name="uq_memberships_owner"),
    Index("ix_memberships_user", "environment_id", "user_id"),
)
organizations = Table(
    "organizations",
    metadata,
    environment_key(),
    Column("id", Ulid, primary_key=True),
    Column("display_name", Text, nullable=False),
    Column("external_id", Text),
    Column("region", String(16), nullable=False),
    Column("slug", Text),
    Column("logo_url", Text),
    Column("metadata", Json, nullable=False),
    Column("created_at", Time, nullable=False),
    Column("updated_at", Time, nullable=False),
    UniqueConstraint("environment_id", "external_id", name="uq_organizations_external_id"),
)


def memberships_are_kept(tx: Connection, environment_id: str) -> bool:
    """Tell whether the environment has ever recorded a membership; from then on they are enforced."""
    query = select(memberships.c.id).where(memberships.c.environment_id == environment_id).limit(1)
    return tx.execute(query).first() is not None


def membership_of(
    tx: Connection, environment_id: str, organization_id: str, user_id: str, *, lock: bool = False
) -> Membership | None:
    """Return the membership, ended ones too. `lock`: it stays as it is until this transaction ends."""
    query = select(memberships).where(
        memberships.c.environment_id == environment_id,
        memberships.c.organization_id == organization_id,
        memberships.c.user_id == user_id,
    )
    row = tx.execute(query.with_for_update(read=True) if lock else query).one_or_none()
    return None if row is None else _membership(row)


def membership(tx: Connection, environment_id: str, membership_id: str) -> Membership | None:
    row = tx.execute(
        select(memberships).where(
            memberships.c.environment_id == environment_id,
            memberships.c.id == membership_id,
            memberships.c.deleted.is_(False),
        )
    ).one_or_none()
    return None if row is None else _membership(row)


def list_memberships(
    tx: Connection,
    environment_id: str,
    *,
    limit: int,
    after: str | None,
    before: str | None,
    newest_first: bool,
    user_id: str | None = None,
    organization_id: str | None = None,
    statuses: tuple[str, ...] = (),
) -> list[Membership]:
    query = select(memberships).where(memberships.c.environment_id == environment_id, memberships.c.deleted.is_(False))
    if user_id is not None:
        query = query.where(memberships.c.user_id == user_id)
    if organization_id is not None:
        query = query.where(memberships.c.organization_id == organization_id)
    if statuses:
        query = query.where(memberships.c.status.in_(statuses))
    return [
        _membership(row)
        for row in page(tx, query, memberships.c.id, limit=limit, after=after, before=before, newest_first=newest_first)
    ]


def save_membership(tx: Connection, record: Membership) -> None:
    """Insert the membership, or replace what is stored under its id."""
    values = {
        "user_id": record.user_id,
        "organization_id": record.organization_id,
        "role": record.role,
        "status": record.status,
        "deleted": record.deleted,
        "created_at": record.created_at,
        "updated_at": record.updated_at,
    }
    where = (memberships.c.environment_id == record.environment_id) & (memberships.c.id == record.id)
    if tx.execute(update(memberships).where(where).values(values)).rowcount == 0:
        tx.execute(insert(memberships).values(environment_id=record.environment_id, id=record.id, **values))


def _membership(row: Row[Any]) -> Membership:
    return Membership(
        environment_id=row.environment_id,
        id=row.id,
        user_id=row.user_id,
        organization_id=row.organization_id,
        role=row.role,
        status=row.status,
        deleted=row.deleted,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def add_organization(tx: Connection, new: Organization) -> None:
    tx.execute(
        insert(organizations).values(
            environment_id=new.environment_id,
            id=new.id,
            display_name=new.display_name,
            external_id=new.external_id,
            region=new.region,
            slug=new.slug,
            logo_url=new.logo_url,
            metadata=dict(new.metadata),
            created_at=new.created_at,
            updated_at=new.updated_at,
        )
    )


def organization(
    tx: Connection, environment_id: str, *, organization_id: str | None = None, external_id: str | None = None
) -> Organization | None:
    """Return the organization of that id, or of that external id."""
    mine = organizations.c.environment_id == environment_id
    this = (
        organizations.c.external_id == external_id if organization_id is None else organizations.c.id == organization_id
    )
    row = tx.execute(select(organizations).where(mine, this)).one_or_none()
    return None if row is None else _organization(row)


def list_organizations(
    tx: Connection, environment_id: str, *, limit: int, after: str | None, before: str | None, external_id: str | None
) -> list[Organization]:
    """Return a page, newest first."""
    query = select(organizations).where(organizations.c.environment_id == environment_id)
    if external_id is not None:
        query = query.where(organizations.c.external_id == external_id)
    rows = page(tx, query, organizations.c.id, limit=limit, after=after, before=before, newest_first=True)
    return [_organization(row) for row in rows]


def count_organizations(tx: Connection, environment_id: str) -> int:
    query = select(func.count()).select_from(organizations).where(organizations.c.environment_id == environment_id)
    return tx.execute(query).scalar_one()


def remove_organization(tx: Connection, environment_id: str, organization_id: str) -> bool:
    done = tx.execute(
        delete(organizations).where(
            organizations.c.environment_id == environment_id, organizations.c.id == organization_id
        )
    )
    return done.rowcount > 0


def _organization(row: Row[Any]) -> Organization:
    return Organization(
        environment_id=row.environment_id,
        id=row.id,
        display_name=row.display_name,
        external_id=row.external_id,
        region=row.region,
        slug=row.slug,
        logo_url=row.logo_url,
        metadata=dict(row.metadata),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
