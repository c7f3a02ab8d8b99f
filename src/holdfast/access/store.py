"""Tables of the access room and all their SQL."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Index, Row, UniqueConstraint, delete, func, insert, select, update

from holdfast.access.membership import Membership
from holdfast.access.organization import Organization
from holdfast.access.principal import ApiKey, CleanUpPolicy, Environment, KeyKind
from holdfast.access.redirects import RedirectUri
from holdfast.access.signing_key import SigningKey
from holdfast.storage.paging import page
from holdfast.storage.tables import (
    Blob,
    Boolean,
    Column,
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

environments = Table(
    "environments",
    metadata,
    environment_key(),
    Column("name", String(128), nullable=False, unique=True),
    Column("user_verification", String(16), nullable=False, server_default="none"),
    Column("unused_days", Integer),
    Column("expired_days", Integer),
    Column("created_at", Time, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    environment_key(),
    Column("id", Ulid, primary_key=True),
    Column("name", String(128), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("last4", String(4), nullable=False),
    Column("created_at", Time, nullable=False),
    Column("revoked_at", Time),
    Column("kind", String(8), nullable=False),
)

signing_keys = Table(
    "signing_keys",
    metadata,
    environment_key(),
    Column("id", Ulid, primary_key=True),
    Column("private", Blob, nullable=False),
    Column("public", Json, nullable=False),
    Column("created_at", Time, nullable=False),
    Column("signs_until", Time, nullable=False),
)
SEALED = (SealedColumn(signing_keys.c.private, "signing_key"),)

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

redirect_uris = Table(
    "redirect_uris",
    metadata,
    environment_key(),
    Column("id", Ulid, primary_key=True),
    Column("uri", Text, nullable=False),
    Column("created_at", Time, nullable=False),
    UniqueConstraint("environment_id", "uri", name="uq_redirect_uris_uri"),
)


def environment_by_name(tx: Connection, name: str) -> Environment | None:
    row = tx.execute(select(environments).where(environments.c.name == name)).one_or_none()
    return None if row is None else _environment(row)


def environment(tx: Connection, environment_id: str, *, lock: bool = False) -> Environment | None:
    query = select(environments).where(environments.c.environment_id == environment_id)
    row = tx.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else _environment(row)


def add_environment(tx: Connection, new: Environment) -> None:
    values = _settings(new)
    tx.execute(insert(environments).values(environment_id=new.id, name=new.name, created_at=new.created_at, **values))


def save_environment(tx: Connection, changed: Environment) -> None:
    """Write an environment's settings; its name and age stay."""
    tx.execute(update(environments).where(environments.c.environment_id == changed.id).values(_settings(changed)))


def _settings(record: Environment) -> dict[str, Any]:
    return {
        "user_verification": record.user_verification,
        "unused_days": record.clean_up.unused_days,
        "expired_days": record.clean_up.expired_days,
    }


def _environment(row: Row[Any]) -> Environment:
    return Environment(
        row.environment_id,
        row.name,
        row.created_at,
        user_verification=row.user_verification,
        clean_up=CleanUpPolicy(row.unused_days, row.expired_days),
    )


def list_environments(tx: Connection) -> list[Environment]:
    rows = tx.execute(select(environments).order_by(environments.c.environment_id))
    return [_environment(row) for row in rows]


def key_by_hash(tx: Connection, hashed: str) -> ApiKey | None:
    row = tx.execute(select(api_keys).where(api_keys.c.hash == hashed)).one_or_none()
    return None if row is None else _key(row)


def key_by_id(tx: Connection, environment_id: str, key_id: str) -> ApiKey | None:
    row = tx.execute(
        select(api_keys).where(api_keys.c.environment_id == environment_id, api_keys.c.id == key_id)
    ).one_or_none()
    return None if row is None else _key(row)


def list_keys(tx: Connection, environment_id: str, kind: KeyKind = "key") -> list[ApiKey]:
    mine = (api_keys.c.environment_id == environment_id) & (api_keys.c.kind == kind)
    return [_key(row) for row in tx.execute(select(api_keys).where(mine).order_by(api_keys.c.id))]


def newest_keys(
    tx: Connection, environment_id: str, kind: KeyKind = "key", *, limit: int, before: str | None = None
) -> list[ApiKey]:
    """Return keys, newest first, revoked ones among them. `before`: an id, exclusive."""
    query = select(api_keys).where(api_keys.c.environment_id == environment_id, api_keys.c.kind == kind)
    if before is not None:
        query = query.where(api_keys.c.id < before)
    return [_key(row) for row in tx.execute(query.order_by(api_keys.c.id.desc()).limit(limit))]


def key_names(tx: Connection, environment_id: str, key_ids: Collection[str]) -> dict[str, str]:
    """Return what these keys and clients are called, by id; those that are none are left out."""
    mine = (api_keys.c.environment_id == environment_id) & api_keys.c.id.in_(key_ids)
    return {row.id: row.name for row in tx.execute(select(api_keys.c.id, api_keys.c.name).where(mine))}


def has_key(tx: Connection, environment_id: str) -> bool:
    """Tell whether an API key is in force."""
    mine = (api_keys.c.environment_id == environment_id) & (api_keys.c.kind == "key")
    return tx.execute(select(api_keys.c.id).where(mine, api_keys.c.revoked_at.is_(None)).limit(1)).first() is not None


def add_key(tx: Connection, key: ApiKey) -> None:
    tx.execute(
        insert(api_keys).values(
            environment_id=key.environment_id,
            id=key.id,
            name=key.name,
            hash=key.hash,
            last4=key.last4,
            created_at=key.created_at,
            kind=key.kind,
        )
    )


def revoke_key(tx: Connection, environment_id: str, key_id: str, at: float, kind: KeyKind = "key") -> ApiKey | None:
    row = tx.execute(
        update(api_keys)
        .where(
            api_keys.c.environment_id == environment_id,
            api_keys.c.id == key_id,
            api_keys.c.kind == kind,
            api_keys.c.revoked_at.is_(None),
        )
        .values(revoked_at=at)
        .returning(*api_keys.c)
    ).one_or_none()
    return None if row is None else _key(row)


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(row.environment_id, row.id, row.name, row.hash, row.last4, row.created_at, row.revoked_at, row.kind)


def add_signing_key(tx: Connection, key: SigningKey) -> None:
    tx.execute(
        insert(signing_keys).values(
            environment_id=key.environment_id,
            id=key.id,
            private=key.private.data,
            public=dict(key.public),
            created_at=key.created_at,
            signs_until=key.signs_until,
        )
    )


def list_signing_keys(tx: Connection, *, signed_until: float) -> list[SigningKey]:
    """Return the keys of all environments that have signed anything after that time, the newest first."""
    query = select(signing_keys).where(signing_keys.c.signs_until > signed_until)
    return [_signing_key(row) for row in tx.execute(query.order_by(signing_keys.c.id.desc()))]


def signing_key(tx: Connection, key_id: str) -> SigningKey | None:
    row = tx.execute(select(signing_keys).where(signing_keys.c.id == key_id)).one_or_none()
    return None if row is None else _signing_key(row)


def forget_signing_keys(tx: Connection, environment_id: str, *, signed_until: float) -> None:
    tx.execute(
        delete(signing_keys).where(
            signing_keys.c.environment_id == environment_id, signing_keys.c.signs_until <= signed_until
        )
    )


def _signing_key(row: Row[Any]) -> SigningKey:
    return SigningKey(
        row.environment_id, row.id, Sealed(row.private), dict(row.public), row.created_at, row.signs_until
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


def list_redirect_uris(tx: Connection, environment_id: str) -> list[RedirectUri]:
    rows = tx.execute(
        select(redirect_uris).where(redirect_uris.c.environment_id == environment_id).order_by(redirect_uris.c.id)
    )
    return [RedirectUri(row.environment_id, row.id, row.uri, row.created_at) for row in rows]


def page_redirect_uris(
    tx: Connection,
    environment_id: str,
    *,
    limit: int,
    after: str | None,
    before: str | None,
    newest_first: bool,
) -> list[RedirectUri]:
    query = select(redirect_uris).where(redirect_uris.c.environment_id == environment_id)
    rows = page(tx, query, redirect_uris.c.id, limit=limit, after=after, before=before, newest_first=newest_first)
    return [RedirectUri(row.environment_id, row.id, row.uri, row.created_at) for row in rows]


def add_redirect_uri(tx: Connection, new: RedirectUri) -> None:
    tx.execute(
        insert(redirect_uris).values(
            environment_id=new.environment_id, id=new.id, uri=new.uri, created_at=new.created_at
        )
    )


def delete_redirect_uri(tx: Connection, environment_id: str, uri_id: str) -> bool:
    done = tx.execute(
        delete(redirect_uris).where(redirect_uris.c.environment_id == environment_id, redirect_uris.c.id == uri_id)
    )
    return done.rowcount > 0
