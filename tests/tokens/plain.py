"""A house with what plain reads need, and their reader alone."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from holdfast.access import Principal
from holdfast.accounts import Account, Owner, store
from holdfast.connections import Connection
from holdfast.events import Action, Actor, Entry
from holdfast.ids import opaque
from holdfast.tokens import Live, PlainAsk, PlainReader
from tests.tokens.house import House


class Plain:
    """A house with a key, a connection to a provider of the catalogue (so to say), and the reader that is tested."""

    def __init__(self, house: House, key: Principal, connection: Connection) -> None:
        self.house, self.key, self.connection = house, key, connection
        self.reader = self.reader_of(house.holdfast.database)

    def reader_of(self, database: Any) -> PlainReader:
        parts = self.house.holdfast
        connections, min_ttl = self.house.connections, parts.config.min_ttl
        return PlainReader(database, parts.vault, parts.clock, connections, min_ttl=min_ttl)

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


@pytest.fixture
async def plain(house: House) -> Plain:
    _, text = await house.holdfast.keys.create(house.environment_id, "plain", Actor("operator"))
    key = await house.holdfast.keys.authenticate(text.reveal())
    connection = await house.built_in_connection()
    return Plain(house, key, connection)
