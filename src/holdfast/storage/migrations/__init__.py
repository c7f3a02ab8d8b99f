"""Schema versions. Each can be reached from every earlier one; a release never drops what the last one reads."""

import logging
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from holdfast.errors import Misconfigured
from holdfast.storage.engine import Database

HEAD = "0001"
"""The version this code needs; a test keeps it equal to the newest file in `versions/`."""

_LOCK = 0x686F6C64
"""PostgreSQL advisory lock: of several processes that start at once, one migrates."""


async def migrate(database: Database) -> str:
    """Bring the schema to HEAD and return that version. Does nothing, and loads nothing, if it is there already."""
    if await database.transact(current) == HEAD:
        return HEAD
    return await database.transact(_upgrade)


def current(tx: Connection) -> str | None:
    """Return the schema's version, None for an empty database."""
    if not inspect(tx).has_table("alembic_version"):
        return None
    version = tx.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return None if version is None else str(version)


def _upgrade(tx: Connection) -> str:
    from alembic import command, util
    from alembic.config import Config

    if tx.dialect.name == "postgresql":
        tx.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = tx
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        command.upgrade(config, "head")
    except util.CommandError:
        raise Misconfigured(
            f"the database has schema version {current(tx)}, made by a newer release than this one"
        ) from None
    return HEAD
