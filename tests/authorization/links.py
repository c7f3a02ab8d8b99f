"""A user's browser before a house whose app hands out one-time links."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from holdfast.access import CleanUpPolicy, UserVerification, change_environment
from holdfast.accounts import Account, Owner
from holdfast.authorization import Link, LinkFor
from holdfast.connections import Connection
from holdfast.connections.changes import NewConnection
from holdfast.connections.connection import OwnerKind
from holdfast.events import Action, Actor, Entry
from holdfast.events import store as log
from holdfast.ids import opaque
from holdfast.lab import sandbox_provider
from holdfast.providers.entry import ConfigField, CredentialField, Method
from tests.parts.browser import Browser
from tests.tokens.house import House

BACK = "http://localhost:3000/verified"
APP = Actor("api_key", "key")


@dataclass(frozen=True)
class Linking:
    house: House
    connection: Connection

    async def link(self, owner: Owner | None = None, **more: Any) -> Link:
        ask = LinkFor(
            environment_id=self.house.environment_id,
            actor=APP,
            name=self.connection.name,
            owner=owner or Owner.user("user_" + opaque(12)),
            **more,
        )
        return await self.house.holdfast.links.make(ask)

    async def again(self, account: Account, **more: Any) -> Link:
        ask = LinkFor(environment_id=self.house.environment_id, actor=APP, account_id=account.id, **more)
        return await self.house.holdfast.links.make(ask)

    async def walk(self, link: Link, stop_at: str, **more: Any) -> str:
        with Browser() as browser:
            return await browser.walk_async(link.url, stop_at=stop_at, **more)

    async def verify(self, auth_request_id: str, identifier: str) -> str:
        return await self.house.holdfast.verify.verify(self.house.environment_id, auth_request_id, identifier, APP)

    @property
    def success(self) -> str:
        return self.house.holdfast.config.base_url + "/connect/success"

    async def entries(self, *actions: Action) -> list[Entry]:
        return await self.house.holdfast.database.transact(
            lambda tx: log.list_entries(
                tx,
                self.house.environment_id,
                kinds=[log.Kind(action) for action in actions],
                limit=10,
                newest_first=True,
            )
        )


@contextlib.asynccontextmanager
async def verified_users(house: House, mode: UserVerification = "custom") -> AsyncIterator[None]:
    """Let the environment have its users verified for a while."""
    holdfast = house.holdfast
    await change_environment(holdfast.database, house.clock, house.environment_id, APP, user_verification=mode)
    try:
        yield
    finally:
        await change_environment(holdfast.database, house.clock, house.environment_id, APP, user_verification="none")


@contextlib.asynccontextmanager
async def policy(house: House, **days: int) -> AsyncIterator[None]:
    holdfast = house.holdfast
    wanted = CleanUpPolicy(**days)
    await change_environment(holdfast.database, house.clock, house.environment_id, APP, clean_up=wanted)
    try:
        yield
    finally:
        nothing = CleanUpPolicy()
        await change_environment(holdfast.database, house.clock, house.environment_id, APP, clean_up=nothing)


async def typed_connection(
    house: House,
    fields: dict[str, CredentialField],
    *,
    probed: bool = False,
    method: Method = "api_key",
    owner_kind: OwnerKind = "user",
    config: Mapping[str, ConfigField] | None = None,
) -> Connection:
    """Make a connection whose accounts hold a credential that is typed in."""
    entry = sandbox_provider(house.holdfast.config.base_url + "/lab/sandbox")
    entry = msgspec.structs.replace(
        entry,
        slug=f"typed-{opaque(20).lower()}",
        custom=True,
        credential=fields,
        probe=entry.probe if probed else None,
        methods=(method,),
        config=dict(config or {}),
    )
    new = NewConnection(provider_slug=entry.slug, method=method, owner_kind=owner_kind, enabled=True, definition=entry)
    return await house.connections.create(house.environment_id, new, APP)
