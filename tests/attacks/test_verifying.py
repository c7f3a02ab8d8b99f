"""An account whose user has consented and was not verified: whatever is tried at whichever door, it gives nothing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from holdfast.accounts import Account, Status
from holdfast.accounts import store as account_store
from holdfast.connections.changes import NewConnection
from holdfast.connections.clients import ClientInput
from holdfast.errors import Conflict, HoldfastError
from holdfast.events import Actor
from holdfast.tokens import Refreshed
from tests.api.scalekit.rest import ACCOUNTS, Rest, calling
from tests.parts.browser import Browser
from tests.storage.engines import database_url  # noqa: F401
from tests.tokens.house import House, built_house, house  # noqa: F401

BACK = "http://localhost:3000/back"
USER = "victim"


@pytest.fixture
async def rest(house: House) -> AsyncIterator[Rest]:  # noqa: F811
    async with calling(house) as calls:
        yield calls


async def _verifying(rest: Rest) -> tuple[Account, str]:
    """Let somebody consent at a link; return the account that waits, and the auth request id."""
    here = rest.house
    client = ClientInput(here.sandbox.client_id, here.sandbox.client_secret)
    new = NewConnection(provider_slug="sandbox", client_supply="custom", client=client, enabled=True)
    with contextlib.suppress(Conflict):  # there from an earlier test
        await here.connections.create(here.environment_id, new, Actor.system())
    link = await rest.link("sandbox", USER, user_verify_url=BACK)
    with Browser() as person:
        landed = await person.walk_async(link["link"], stop_at=BACK)
    read = await rest.read("sandbox", USER)
    assert read["status"] == "PENDING_VERIFICATION"
    account_id = read["id"].partition("_")[2]
    account = await here.holdfast.database.transact(lambda tx: account_store.get(tx, here.environment_id, account_id))
    assert account is not None and account.status is Status.VERIFYING
    return account, parse_qs(urlsplit(landed).query)["auth_request_id"][0]


async def test_no_door_and_no_room_gives_it_out(rest: Rest) -> None:
    account, request = await _verifying(rest)
    here, web = rest.house, rest.client
    tokens = [name for name in ("access", "grant", "details") if getattr(account, name) is not None]
    assert tokens == []
    told = [
        await rest("GET", f"{ACCOUNTS}/auth", params={"connector": "sandbox", "identifier": USER}),
        await rest("GET", f"{ACCOUNTS}/auth", params={"id": f"ca_{account.id}"}),
        await rest("GET", f"{ACCOUNTS}/details", params={"id": f"ca_{account.id}"}),
        await rest("GET", ACCOUNTS, params={"identifier": USER}),
        await rest.update("sandbox", USER, api_config={"version": "2"}),
        await rest.update("sandbox", USER, authorization_details={"oauth_token": {}}),
    ]
    assert "access_token" not in str(told)
    assert "ACTIVE" not in str(told)
    for what in ("token", "credentials"):
        reply = await web.post(f"/data-integrations/sandbox/{what}", json={"user_id": USER})
        assert "access_token" not in reply.text or reply.json()["active"] is False, reply.text
    seen = await web.get(f"/user_management/users/{USER}/connected_accounts/sandbox")
    assert seen.status_code == 404
    echoed = here.sandbox.counters()
    for headers in (
        {"connection_name": "sandbox", "identifier": USER},
        {"connected_account_id": f"ca_{account.id}"},
        {"connection_name": "sandbox", "connected_account_id": f"ca_{account.id}", "identifier": USER},
    ):
        reply = await web.get("/proxy/me", headers=headers)
        assert reply.status_code == 400 and "is not connected" in reply.json()["message"]
        assert "x-holdfast-upstream-status" not in reply.headers
    relayed = await web.get("/relay/sandbox/me", headers={"x-relay-user": USER})
    assert relayed.status_code >= 400 and "x-holdfast-upstream-status" not in relayed.headers
    assert not isinstance(await here.holdfast.refresher.refresh(account), Refreshed)
    for act in (
        here.holdfast.keeping.resume(here.environment_id, account.id, Actor.system()),
        here.holdfast.keeping.suspend(here.environment_id, account.id, Actor.system()),
    ):
        with pytest.raises(HoldfastError):
            await act
    assert here.sandbox.counters() == echoed
    assert (await rest.read("sandbox", USER))["status"] == "PENDING_VERIFICATION"
    await _confirmed(rest, request)


async def test_many_at_once_verify_it_once_and_a_strangers_guess_ends_it(rest: Rest) -> None:
    _, request = await _verifying(rest)
    body = {"auth_request_id": request, "identifier": USER}

    async def verify(identifier: str) -> int:
        reply: httpx2.Response = await rest.client.post(
            f"{ACCOUNTS}/user/verify", json={**body, "identifier": identifier}
        )
        return reply.status_code

    found = await asyncio.gather(*(verify(USER) for _ in range(10)))
    assert sorted(found) == [200] + [404] * 9
    assert (await rest.read("sandbox", USER))["status"] == "ACTIVE"
    await rest("POST", f"{ACCOUNTS}:delete", json={"connector": "sandbox", "identifier": USER})

    _, request = await _verifying(rest)
    body = {"auth_request_id": request, "identifier": "attacker"}
    assert (await rest("POST", f"{ACCOUNTS}/user/verify", json=body, status=403))["code"] == 7
    await rest.verify(request, USER, status=404)
    assert (await rest.read("sandbox", USER))["status"] == "PENDING_VERIFICATION"
    await rest("POST", f"{ACCOUNTS}:delete", json={"connector": "sandbox", "identifier": USER})


async def _confirmed(rest: Rest, request: str) -> None:
    """Show that what was tried before would have worked on an account that is verified."""
    await rest.verify(request, USER)
    read: dict[str, Any] = await rest.read("sandbox", USER)
    assert read["authorization_details"]["oauth_token"]["access_token"]
    reply = await rest.client.get("/proxy/me", headers={"connection_name": "sandbox", "identifier": USER})
    assert reply.status_code == 200
    await rest("POST", f"{ACCOUNTS}:delete", json={"connector": "sandbox", "identifier": USER})
