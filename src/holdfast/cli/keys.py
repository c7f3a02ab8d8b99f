"""`holdfast keys`: make, list and revoke API keys, beside a running server or without one."""

from rich.console import Console
from rich.table import Table

from holdfast.access import Environment, Keys
from holdfast.access import store as access_store
from holdfast.app import open_vault
from holdfast.cli.environments import environment_of
from holdfast.clock import SystemClock, iso
from holdfast.config import Config
from holdfast.errors import NotFound
from holdfast.events import Actor
from holdfast.storage import Database


async def create(config: Config, named: str | None, name: str) -> None:
    database, keys, environment = await _open(config, named)
    try:
        key, text = await keys.create(environment.id, name, Actor("operator"))
    finally:
        await database.close()
    console = Console(stderr=True, highlight=False)
    console.print(f"API key {key.id} ({key.name}). It is shown this once:")
    print(text.reveal())


async def show(config: Config, named: str | None) -> None:
    database, _, environment = await _open(config, named)
    try:
        found = await database.transact(lambda tx: access_store.list_keys(tx, environment.id))
    finally:
        await database.close()
    table = Table("Id", "Name", "Ends in", "Made", "Revoked")
    for key in found:
        table.add_row(key.id, key.name, key.last4, iso(key.created_at), iso(key.revoked_at) if key.revoked_at else "")
    Console().print(table)


async def revoke(config: Config, named: str | None, key_id: str) -> None:
    database, keys, environment = await _open(config, named)
    try:
        if not await keys.revoke(environment.id, key_id, Actor("operator")):
            raise NotFound(f"there is no API key {key_id} in force")
    finally:
        await database.close()
    Console(stderr=True, highlight=False).print(f"API key {key_id} is revoked.")


async def _open(config: Config, named: str | None) -> tuple[Database, Keys, Environment]:
    clock = SystemClock()
    database, vault = await open_vault(config, clock)
    try:
        environment = await environment_of(database, vault, clock, named)
    except BaseException:
        await database.close()
        raise
    return database, Keys(database, vault, clock), environment
