"""What the database says of its own keeping: whether a transaction that it has reported as done survives a crash."""

from sqlalchemy import Connection, text

from holdfast.errors import Misconfigured
from holdfast.storage.engine import Database

_SETTINGS = ("synchronous_commit", "fsync")
"""https://www.postgresql.org/docs/current/runtime-config-wal.html. Either may be off for one role or database alone."""


async def check_durable(database: Database) -> None:
    """Raise Misconfigured if it reports as done what is not on its disk: a token could leave and no entry tell of it.

    SQLite is told how to write by us. Every other value of these settings waits for the server's own disk.
    """
    if database.dialect != "postgresql":
        return
    for name in await database.transact(_off):
        raise Misconfigured(
            f"this PostgreSQL reports transactions as done before they are on disk ({name} = off): "
            f"a token could leave with no entry of it; set {name} to on"
        )


def _off(tx: Connection) -> list[str]:
    asked = ", ".join(f"current_setting('{name}')" for name in _SETTINGS)
    found = tx.execute(text(f"SELECT {asked}")).one()
    return [name for name, value in zip(_SETTINGS, found, strict=True) if value == "off"]
