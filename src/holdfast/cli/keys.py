"""`holdfast keys`: make, list and revoke API keys, beside a running server or without one."""

from rich.console import Console
from rich.table import Table

from holdfast.access import Keys
from holdfast.access import store as access_store
from holdfast.cli.environments import opened
from holdfast.clock import iso
from holdfast.config import Config
from holdfast.errors import NotFound
from holdfast.events import Actor


async def create(config: Config, named: str | None, name: str) -> None:
    async with opened(config, named) as here:
        keys = Keys(here.database, here.vault, here.clock)
        key, text = await keys.create(here.environment.id, name, Actor("operator"))
    console = Console(stderr=True, highlight=False)
    console.print(f"API key {key.id} ({key.name}). It is shown this once:")
    print(text.reveal())


async def show(config: Config, named: str | None) -> None:
    async with opened(config, named) as here:
        found = await here.database.transact(lambda tx: access_store.list_keys(tx, here.environment.id))
    table = Table("Id", "Name", "Ends in", "Made", "Revoked")
    for key in found:
        table.add_row(key.id, key.name, key.last4, iso(key.created_at), iso(key.revoked_at) if key.revoked_at else "")
    Console().print(table)


async def revoke(config: Config, named: str | None, key_id: str) -> None:
    async with opened(config, named) as here:
        keys = Keys(here.database, here.vault, here.clock)
        if not await keys.revoke(here.environment.id, key_id, Actor("operator")):
            raise NotFound(f"there is no API key {key_id} in force")
    Console(stderr=True, highlight=False).print(f"API key {key_id} is revoked.")
