"""`holdfast clients`: make, list and revoke what SDKs sign in with, beside a running server or without one."""

from rich.console import Console
from rich.table import Table

from holdfast import ids
from holdfast.access import Clients, Environment
from holdfast.access import store as access_store
from holdfast.access.clients import client_id
from holdfast.access.tokens import CLIENT_PREFIX
from holdfast.app import open_vault
from holdfast.cli.environments import environment_of
from holdfast.clock import SystemClock, iso
from holdfast.config import Config
from holdfast.errors import NotFound
from holdfast.events import Actor
from holdfast.storage import Database


async def create(config: Config, named: str | None, name: str) -> None:
    database, clients, environment = await _open(config, named)
    try:
        client, secret = await clients.create(environment.id, name, Actor("operator"))
    finally:
        await database.close()
    console = Console(stderr=True, highlight=False)
    console.print(f"Client {client.name}: id and secret. The secret is shown this once:")
    print(client_id(client))
    print(secret.reveal())


async def show(config: Config, named: str | None) -> None:
    database, _, environment = await _open(config, named)
    try:
        found = await database.transact(lambda tx: access_store.list_keys(tx, environment.id, "client"))
    finally:
        await database.close()
    table = Table("Id", "Name", "Ends in", "Made", "Revoked")
    for client in found:
        revoked = iso(client.revoked_at) if client.revoked_at else ""
        table.add_row(client_id(client), client.name, client.last4, iso(client.created_at), revoked)
    Console().print(table)


async def revoke(config: Config, named: str | None, given: str) -> None:
    database, clients, environment = await _open(config, named)
    try:
        key_id = ids.without_prefix(CLIENT_PREFIX, given)
        if key_id is None or not await clients.revoke(environment.id, key_id, Actor("operator")):
            raise NotFound(f"there is no client {given} in force")
    finally:
        await database.close()
    Console(stderr=True, highlight=False).print(f"Client {given} is revoked, and every token it had.")


async def _open(config: Config, named: str | None) -> tuple[Database, Clients, Environment]:
    clock = SystemClock()
    database, vault = await open_vault(config, clock)
    try:
        environment = await environment_of(database, vault, clock, named)
    except BaseException:
        await database.close()
        raise
    return database, Clients(database, vault, clock), environment
