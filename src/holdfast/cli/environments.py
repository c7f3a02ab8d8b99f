"""Which environment a command is about, and what a command opens to work on it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from holdfast.access import Environment, ensure_environment
from holdfast.access import store as access_store
from holdfast.app import DEFAULT_ENVIRONMENT, open_vault
from holdfast.clock import Clock, SystemClock
from holdfast.config import Config
from holdfast.errors import NotFound
from holdfast.storage import Connection as Tx
from holdfast.storage import Database
from holdfast.vault import Vault


@dataclass(frozen=True)
class Opened:
    """What a command about one environment works with, until it has ended."""

    database: Database
    vault: Vault
    clock: Clock
    environment: Environment


@asynccontextmanager
async def opened(config: Config, named: str | None) -> AsyncIterator[Opened]:
    """Open the database and the vault for one environment: see `environment_of`."""
    clock = SystemClock()
    database, vault = await open_vault(config, clock)
    try:
        yield Opened(database, vault, clock, await environment_of(database, vault, clock, named))
    finally:
        await database.close()


async def environment_of(database: Database, vault: Vault, clock: Clock, given: str | None) -> Environment:
    """Return the environment of that name or id, with either wire's prefix or without. None = the first one, which is
    made if there is none yet; others are made in the dashboard. Raises NotFound, which names those there are."""
    if given is None:
        return (await ensure_environment(database, vault, clock, DEFAULT_ENVIRONMENT))[0]

    def look(tx: Tx) -> Environment:
        named = access_store.environment_by_name(tx, given)
        found = named or access_store.environment(tx, given.rpartition("_")[2])
        if found is None:
            known = ", ".join(one.name for one in access_store.list_environments(tx))
            raise NotFound(f"there is no environment {given!r}: {known}")
        return found

    found = await database.transact(look)
    await vault.ready(found.id)
    return found
