"""A house whose provider's API is a capture server, and callers of the proxy's two routes over HTTP."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
import msgspec
import pytest

from holdfast.accounts import Account, ApiKey, Connecting, Owner
from holdfast.connections import Connection
from holdfast.connections.changes import NewConnection
from holdfast.connections.clients import ClientInput
from holdfast.events import Actor, Entry
from holdfast.ids import opaque
from holdfast.lab import sandbox_provider
from holdfast.oauth2.dialect import Dead
from holdfast.providers.entry import Api, ConfigField, Discover, Lifetime
from holdfast.secret import Secret
from tests.parts.capture import Capture, capturing
from tests.tokens.house import ROTATING, House, built_house, house  # noqa: F401


@dataclass
class Upstream:
    """A connection to a provider whose API is the capture server, and one owner's account there."""

    house: House
    capture: Capture
    connection: Connection
    account: Account
    key: str
    client: httpx2.AsyncClient

    @property
    def user(self) -> str:
        return self.account.owner.user_id

    async def relay(self, path: str, method: str = "GET", headers: Mapping[str, str] | None = None, **more: Any) -> Any:
        """Call by path, percent-encoding as it is given."""
        named = {"x-relay-user": self.user, "authorization": f"Bearer {self.key}", **(headers or {})}
        return await self.call(f"/relay/{self.connection.name}{path}", method, named, **more)

    async def proxy(self, path: str, method: str = "GET", headers: Mapping[str, str] | None = None, **more: Any) -> Any:
        named = {"connection_name": self.connection.name, "identifier": self.user, **(headers or {})}
        return await self.call(f"/proxy{path}", method, {"authorization": f"Bearer {self.key}", **named}, **more)

    async def call(self, path: str, method: str, headers: Mapping[str, str], **more: Any) -> Any:
        url = httpx2.URL(self.house.holdfast.config.base_url, raw_path=path.encode())
        return await self.client.request(method, url, headers=headers, **more)

    async def token(self) -> str:
        return self.house.access_of(await self.house.stored(self.account))

    async def entries(self) -> list[Entry]:
        """Return what the log says of the account, the proxy's closing entries included."""
        await self.house.holdfast.proxy.settled()
        return await self.house.entries(self.account)


@dataclass
class Maker:
    house: House
    capture: Capture
    client: httpx2.AsyncClient
    key: str

    async def __call__(
        self,
        *,
        api: Mapping[str, Any] | None = None,
        dead: tuple[Dead, ...] = (),
        config: Mapping[str, str] | None = None,
        api_key: str | None = None,
        fields: Mapping[str, ConfigField] | None = None,
        discover: Discover | None = None,
        keep_pattern: Mapping[str, str] | None = None,
        lifetime: Lifetime = ROTATING,
    ) -> Upstream:
        here = self.house
        base = here.holdfast.config.base_url + "/lab/sandbox"
        entry = msgspec.structs.replace(
            sandbox_provider(base, lifetime=lifetime),
            slug=f"captured-{opaque(16).lower()}",
            custom=True,
            api=Api(**{"base_url": self.capture.url + "/v1", **(api or {})}),
            dead=(Dead(at="token", status=400, values=("invalid_grant",)), *dead),
            methods=("api_key",) if api_key else (),
            config=dict(fields or {}),
            discover=discover,
        )
        if keep_pattern and entry.oauth2 is not None:
            kept = msgspec.structs.replace(entry.oauth2, keep_pattern=dict(keep_pattern))
            entry = msgspec.structs.replace(entry, oauth2=kept)
        new = NewConnection(
            provider_slug=entry.slug,
            method="api_key" if api_key else "oauth",
            client_supply=None if api_key else "custom",
            client=None if api_key else ClientInput(here.sandbox.client_id, here.sandbox.client_secret),
            enabled=True,
            definition=entry,
            config=dict(config or {}),
        )
        connection = await here.connections.create(here.environment_id, new, Actor.system())
        if api_key:
            plan = Connecting(
                effective=await here.effective(connection),
                owner=Owner.user("user_" + opaque(20)),
                credential=ApiKey(Secret(api_key)),
                intent="create",
                actor=Actor.system(),
            )
            account = await here.accounts.connect(plan)
        else:
            account = await here.connect(connection)
        return Upstream(here, self.capture, connection, account, self.key, self.client)


@pytest.fixture
async def capture() -> AsyncIterator[Capture]:
    async with capturing() as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(timeout=20) as opened:
        yield opened


@pytest.fixture
async def make(house: House, capture: Capture, client: httpx2.AsyncClient) -> Maker:  # noqa: F811
    _, key = await house.holdfast.keys.create(house.environment_id, "proxy", Actor.system())
    return Maker(house, capture, client, key.reveal())


@pytest.fixture
async def upstream(make: Maker) -> Upstream:
    return await make()
