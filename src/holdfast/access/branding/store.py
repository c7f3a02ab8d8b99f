"""Each environment's branding, its logo beside it. A page reads the record; the logo's own address, the picture."""

from typing import Any

from sqlalchemy import Connection, insert, select, update

from holdfast.access.branding.branding import NO_BRANDING, Branding
from holdfast.access.branding.logo import Logo
from holdfast.storage.tables import Blob, Column, Integer, String, Table, Text, environment_key, metadata

branding = Table(
    "branding",
    metadata,
    environment_key(),
    Column("name", Text, nullable=False),
    Column("accent", String(7), nullable=False),
    Column("home_url", Text, nullable=False),
    Column("language", String(35), nullable=False),
    Column("logo", String(32), nullable=False),
    Column("logo_type", String(32)),
    Column("logo_data", Blob),
    Column("logo_width", Integer),
    Column("logo_height", Integer),
)
_RECORD = (branding.c.name, branding.c.accent, branding.c.home_url, branding.c.language, branding.c.logo)


def branding_of(tx: Connection, environment_id: str) -> Branding:
    row = tx.execute(select(*_RECORD).where(branding.c.environment_id == environment_id)).one_or_none()
    return NO_BRANDING if row is None else Branding(row.name, row.accent, row.home_url, row.language, row.logo)


def logo_of(tx: Connection, environment_id: str) -> Logo | None:
    query = select(branding.c.logo_type, branding.c.logo_data, branding.c.logo_width, branding.c.logo_height)
    row = tx.execute(query.where(branding.c.environment_id == environment_id)).one_or_none()
    if row is None or row.logo_data is None:
        return None
    return Logo(row.logo_type, bytes(row.logo_data), row.logo_width, row.logo_height)


def save_branding(tx: Connection, environment_id: str, record: Branding, logo: Logo | None, *, keep_logo: bool) -> None:
    """Write the record. `keep_logo`: the picture that is stored stays as it is, and `logo` is not looked at."""
    mine = branding.c.environment_id == environment_id
    values: dict[str, Any] = {
        "name": record.name,
        "accent": record.accent,
        "home_url": record.home_url,
        "language": record.language,
        "logo": record.logo,
    }
    if not keep_logo:
        values |= {
            "logo_type": logo and logo.media_type,
            "logo_data": logo and logo.data,
            "logo_width": logo and logo.width,
            "logo_height": logo and logo.height,
        }
    if tx.execute(update(branding).where(mine).values(values)).rowcount == 0:
        tx.execute(insert(branding).values(environment_id=environment_id, **values))
