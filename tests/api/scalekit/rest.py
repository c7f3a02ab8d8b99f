"""The door's REST side before a house, as an app calls it that has no SDK."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx2

from holdfast.events import Actor
from tests.tokens.house import House

ACCOUNTS = "/api/v1/connected_accounts"


class Rest:
    def __init__(self, house: House, client: httpx2.AsyncClient) -> None:
        self.house, self.client = house, client

    async def __call__(self, method: str, path: str, *, status: int = 200, **more: Any) -> Any:
        """Call, check the status, return the JSON."""
        reply = await self.client.request(method, path, **more)
        assert reply.status_code == status, reply.text
        return reply.json()

    async def create(self, connector: str, identifier: str, *, status: int = 200, **given: Any) -> Any:
        body = {"connector": connector, "identifier": identifier, "connected_account": given}
        found = await self("POST", ACCOUNTS, json=body, status=status)
        return found["connected_account"] if status == 200 else found

    async def update(self, connector: str, identifier: str, *, status: int = 200, **given: Any) -> Any:
        body = {"connector": connector, "identifier": identifier, "connected_account": given}
        found = await self("PUT", ACCOUNTS, json=body, status=status)
        return found["connected_account"] if status == 200 else found

    async def read(self, connector: str, identifier: str, what: str = "auth") -> Any:
        asked = {"connector": connector, "identifier": identifier}
        return (await self("GET", f"{ACCOUNTS}/{what}", params=asked))["connected_account"]

    async def link(self, connector: str, identifier: str, *, status: int = 200, **more: Any) -> Any:
        body = {"connector": connector, "identifier": identifier, **more}
        return await self("POST", f"{ACCOUNTS}/magic_link", json=body, status=status)

    async def verify(self, request: str, identifier: str, *, status: int = 200) -> Any:
        body = {"auth_request_id": request, "identifier": identifier}
        return await self("POST", f"{ACCOUNTS}/user/verify", json=body, status=status)


@contextlib.asynccontextmanager
async def calling(house: House) -> AsyncIterator[Rest]:
    """Call with a key that is made for it."""
    holdfast = house.holdfast
    _, key = await holdfast.keys.create(house.environment_id, "rest", Actor("operator"))
    headers = {"authorization": f"Bearer {key.reveal()}"}
    async with httpx2.AsyncClient(
        base_url=holdfast.config.base_url, headers=headers, trust_env=False, timeout=30
    ) as client:
        yield Rest(house, client)
