"""The door over REST, in a whole Holdfast on either engine; and a key of another environment beside it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from holdfast import ids
from holdfast.access import ensure_environment
from holdfast.events import Actor
from tests.tokens.house import House, built_house, house  # noqa: F401


@dataclass
class Door:
    house: House
    client: httpx2.AsyncClient
    stranger: str
    """A key of another environment."""

    async def ask(self, verb: str, path: str, *, key: str | None = None, **more: Any) -> httpx2.Response:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        return await self.client.request(verb, path, headers=headers, **more)

    async def done(self, verb: str, path: str, **more: Any) -> Any:
        """Call, expecting success; return the reply's JSON."""
        reply = await self.ask(verb, path, **more)
        assert reply.status_code == 200, reply.text
        return reply.json()

    async def refused(self, verb: str, path: str, **more: Any) -> tuple[int, str, list[str]]:
        """Call, expecting a refusal; return its HTTP status, its error code, and the fields it names."""
        reply = await self.ask(verb, path, **more)
        assert reply.status_code >= 400, reply.text
        info = reply.json()["details"][0]
        violations = info.get("validation_error_info", {}).get("field_violations", [])
        return reply.status_code, info["error_code"], [item["field"] for item in violations]

    async def connect(self, key: str = "GITHUB", **more: Any) -> Any:
        """Make a connection; return it as shown."""
        return (await self.done("POST", "/api/v1/connections", json={"provider_key": key, **more}))["connection"]


@pytest.fixture
async def door(house: House) -> AsyncIterator[Door]:  # noqa: F811
    held = house.holdfast
    _, key = await held.keys.create(house.environment_id, "rest", Actor.system())
    elsewhere, _ = await ensure_environment(held.database, held.vault, house.clock, f"elsewhere-{ids.new_id()}")
    _, stranger = await held.keys.create(elsewhere.id, "stranger", Actor.system())
    async with httpx2.AsyncClient(
        base_url=held.config.base_url, headers={"authorization": f"Bearer {key.reveal()}"}, timeout=20, trust_env=False
    ) as client:
        yield Door(house, client, stranger.reveal())
