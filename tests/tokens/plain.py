"""A house with what plain reads need, and their reader alone."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from holdfast.access import Principal
from holdfast.accounts import Account, Owner, store
from holdfast.connections import Connection
from holdfast.connections.changes import Changes, NewConnection
from holdfast.connections.clients import ClientInput
from holdfast.errors import Conflict
from holdfast.events import Action, Actor, Entry
from holdfast.ids import opaque
from holdfast.tokens import Live, PlainAsk, PlainReader
from tests.tokens.house import House


class Plain:
    """A house with a key, a connection to a provider of the catalogue (so to say), and the reader that is tested."""

    def __init__(self, house: House, key: Principal, connection: Connection, reader: PlainReader) -> None:
        self.house, self.key, self.connection, self.reader = house, key, connection, reader

    async def read(self, user: str, **more: Any) -> Live | None:
        ask = PlainAsk(self.key.environment_id, self.key.key_id, self.connection.name, user, None, "req_1")
        return await self.reader.read(msgspec.structs.replace(ask, **more))

    async def account(self, **changes: Any) -> Account:
        """An account of its own, as consent leaves it but for the changes."""
        made = await self.house.connect(self.connection, "read", "offline", owner=Owner.user("user_" + opaque(20)))
        if changes:
            await self.house.holdfast.database.transact(lambda tx: store.save(tx, replace(made, **changes)))
        return await self.house.stored(made)

    async def reads(self, account: Account) -> list[Entry]:
        return [item for item in await self.house.entries(account) if item.action is Action.CREDENTIAL_READ]


def _reader(house: House) -> PlainReader:
    parts = house.holdfast
    return PlainReader(parts.database, parts.vault, parts.clock, house.connections, min_ttl=parts.config.min_ttl)


@pytest.fixture
async def plain(house: House) -> Plain:
    _, text = await house.holdfast.keys.create(house.environment_id, "plain", Actor("operator"))
    key = await house.holdfast.keys.authenticate(text.reveal())
    new = NewConnection(
        provider_slug="sandbox",
        client_supply="custom",
        client=ClientInput(house.sandbox.client_id, house.sandbox.client_secret),
        scopes=("read", "offline"),
        enabled=True,
    )
    try:
        connection = await house.connections.create(house.environment_id, new, Actor("operator"))
    except Conflict:
        changes = Changes(scopes=("read", "offline"), required_scopes=())
        connection = await house.connections.update(house.environment_id, "sandbox", "user", changes, Actor("operator"))
    return Plain(house, key, connection, _reader(house))
