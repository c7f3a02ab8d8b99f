"""`holdfast clients`: make, list and revoke what SDKs sign in with, beside a running server or without one."""

from rich.console import Console
from rich.table import Table

from holdfast import ids
from holdfast.access import Clients
from holdfast.access import store as access_store
from holdfast.access.clients import client_id
from holdfast.access.tokens import CLIENT_PREFIX
from holdfast.cli.environments import opened
from holdfast.clock import iso
from holdfast.config import Config
from holdfast.errors import NotFound
from holdfast.events import Actor


async def create(config: Config, named: str | None, name: str) -> None:
    async with opened(config, named) as here:
        clients = Clients(here.database, here.vault, here.clock)
        client, secret = await clients.create(here.environment.id, name, Actor("operator"))
    console = Console(stderr=True, highlight=False)
    console.print(f"Client {client.name}: id and secret. The secret is shown this once:")
    print(client_id(client))
    print(secret.reveal())


async def show(config: Config, named: str | None) -> None:
    async with opened(config, named) as here:
        found = await here.database.transact(lambda tx: access_store.list_keys(tx, here.environment.id, "client"))
    table = Table("Id", "Name", "Ends in", "Made", "Revoked")
    for client in found:
        revoked = iso(client.revoked_at) if client.revoked_at else ""
        table.add_row(client_id(client), client.name, client.last4, iso(client.created_at), revoked)
    Console().print(table)


async def revoke(config: Config, named: str | None, given: str) -> None:
    async with opened(config, named) as here:
        clients, key_id = Clients(here.database, here.vault, here.clock), ids.without_prefix(CLIENT_PREFIX, given)
        if key_id is None or not await clients.revoke(here.environment.id, key_id, Actor("operator")):
            raise NotFound(f"there is no client {given} in force")
    Console(stderr=True, highlight=False).print(f"Client {given} is revoked, and every token it had.")
