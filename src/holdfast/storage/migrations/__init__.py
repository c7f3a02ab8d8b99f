"""Schema versions: expand first, contract a release later.

Each version can be reached from every earlier one. A migration says by `min_compatible` which version of the code is
the oldest that works with what it leaves behind, and that is written down in the database: an older server goes on
beside a newer schema as long as it is not below that, and refuses to start otherwise. So a migration that only adds
(a table, a column that may be NULL or has a default, an index) names the version that the one before named; what
nobody reads any more is dropped by a later one, which then names the first version that did without it.
"""

import asyncio
import enum
import logging
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from holdfast.errors import Misconfigured
from holdfast.storage.engine import Database
from holdfast.storage.tables import Column, String, Table, Time, metadata

HEAD = "0001"
"""The version this code needs; a test keeps it equal to the newest file in `versions/`."""
SCRIPTS = Path(__file__).parent

schema_versions = Table(
    "schema_versions",
    metadata,
    Column("version", String(32), primary_key=True),
    Column("min_compatible", String(32), nullable=False),
    Column("applied_at", Time, nullable=False),
)

_LOCK = 0x686F6C64
"""PostgreSQL advisory lock: of several processes that start at once, one migrates."""
_LOCK_SECONDS = 3
"""How long a migration waits for a table. Whoever comes behind it waits too, so it rather lets go and comes again."""
_LOCK_TRIES = 20


class Standing(enum.Enum):
    """How the database's schema stands to this code."""

    EMPTY = "empty"
    BEHIND = "older than this release needs"
    CURRENT = "what this release needs"
    AHEAD = "newer, and this release works with it"
    TOO_NEW = "too new for this release"


@dataclass(frozen=True, slots=True)
class Schema:
    """What the database says of itself: its version, and the oldest version of the code that works with it."""

    version: str | None
    min_compatible: str | None

    def standing(self, head: str = HEAD) -> Standing:
        if self.version is None:
            return Standing.EMPTY
        if self.version == head:
            return Standing.CURRENT
        if self.version < head:
            return Standing.BEHIND
        fits = self.min_compatible is not None and self.min_compatible <= head
        return Standing.AHEAD if fits else Standing.TOO_NEW


async def ensure(database: Database, *, migrates: bool, migrates_empty: bool) -> None:
    """Make sure that this code works with the schema, changing it if that is allowed. Raises Misconfigured."""
    schema = await database.transact(look)
    match schema.standing():
        case Standing.EMPTY if not migrates_empty:
            raise Misconfigured("the database is empty: run `holdfast migrate up`, or set HOLDFAST_MIGRATE=auto")
        case Standing.BEHIND if not migrates:
            raise Misconfigured(
                f"the database has schema version {schema.version} and this release needs {HEAD}: "
                "run `holdfast migrate up`, or set HOLDFAST_MIGRATE=always"
            )
        case Standing.TOO_NEW:
            raise _too_new(schema)
        case Standing.EMPTY | Standing.BEHIND:
            await migrate(database)


async def migrate(database: Database, *, scripts: Path = SCRIPTS, head: str = HEAD) -> str:
    """Bring the schema to `head` and return the version it has then.

    Does nothing, and loads nothing, if it is there already or ahead. Raises Misconfigured if it is too new. Of several
    who try at once, one migrates and the others wait for it.
    """
    tries = _LOCK_TRIES
    while True:
        schema = await database.transact(look)
        match schema.standing(head):
            case Standing.TOO_NEW:
                raise _too_new(schema)
            case Standing.CURRENT | Standing.AHEAD:
                return str(schema.version)
        try:
            return await database.transact(lambda tx: _upgrade(tx, scripts, head))
        except DBAPIError as error:
            tries -= 1
            if getattr(error.orig, "sqlstate", None) != "55P03" or tries == 0:  # lock_not_available
                raise
            await asyncio.sleep(0.5)


def look(tx: Connection) -> Schema:
    """Return what the database says of itself."""
    version = current(tx)
    if version is None or not inspect(tx).has_table(schema_versions.name):
        return Schema(version, None)
    row = tx.execute(
        text("SELECT min_compatible FROM schema_versions WHERE version = :version"), {"version": version}
    ).first()
    return Schema(version, None if row is None else str(row[0]))


def current(tx: Connection) -> str | None:
    """Return the schema's version, None for an empty database."""
    if not inspect(tx).has_table("alembic_version"):
        return None
    version = tx.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return None if version is None else str(version)


def _too_new(schema: Schema) -> Misconfigured:
    return Misconfigured(
        f"the database has schema version {schema.version}, made by a newer release than this one "
        f"({HEAD}): run that release"
    )


def _upgrade(tx: Connection, scripts: Path, head: str) -> str:
    from alembic import command
    from alembic.config import Config

    if tx.dialect.name == "postgresql":
        tx.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        tx.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'"))
        schema = look(tx)  # somebody else may have been first
        if schema.standing(head) not in (Standing.EMPTY, Standing.BEHIND):
            return str(schema.version)
    config = Config()
    config.set_main_option("script_location", str(scripts))
    config.attributes["connection"] = tx
    logging.getLogger("alembic").setLevel(logging.WARNING)
    command.upgrade(config, head)
    return head
