"""Providers that ask for no credential: connected by being named, called with nothing attached."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from holdfast import ids
from holdfast.accounts import Account
from holdfast.accounts import store as account_store
from holdfast.api.scalekit.auth_patterns import entry_of
from holdfast.connections.changes import NewConnection
from holdfast.events import Actor
from tests.api.scalekit.conftest import Door
from tests.parts.capture import Capture, capturing, reply

ACCOUNTS = "/api/v1/connected_accounts"
DOMAIN = {"field_name": "site", "label": "Site", "required": True}


@pytest.fixture
async def upstream() -> AsyncIterator[Capture]:
    async with capturing() as running:
        # A value that is quoted back letter by letter would show a replaced nothing.
        running.answers(reply("200 OK", b'{"things":[]}', "Content-Type: application/json", "X-Made-By: acme"))
        yield running


async def _connected(door: Door, upstream: Capture, *account_fields: Any, path: str = "/v1") -> str:
    """Define a provider without credentials whose API is the capture server; return the name of a connection to it."""
    pattern = {"type": "NO_AUTH", "display_name": "None", "fields": [], "account_fields": list(account_fields)}
    slug, address = f"open-{ids.opaque(12).lower()}", "https://api.acme.example" + path
    entry = entry_of(slug=slug, name="Open", patterns=[pattern], proxy_url=address, proxy_enabled=True)
    assert entry.api is not None
    here = upstream.url + path.replace("{{", "{").replace("}}", "}")
    entry = msgspec.structs.replace(entry, api=msgspec.structs.replace(entry.api, base_url=here))
    new = NewConnection(provider_slug=slug, method="none", enabled=True, definition=entry)
    made = await door.house.connections.create(door.house.environment_id, new, Actor.system())
    return made.name


async def _create(door: Door, name: str, user: str, **given: Any) -> Any:
    body = {"connector": name, "identifier": user, "connected_account": given}
    return (await door.done("POST", ACCOUNTS, json=body))["connected_account"]


async def _stored(door: Door, account_id: str) -> Account:
    house = door.house
    found = await house.holdfast.database.transact(
        lambda tx: account_store.get(tx, house.environment_id, ids.without_prefix("ca", account_id) or "")
    )
    assert found is not None
    return found


async def test_an_account_is_active_at_once_and_holds_nothing(door: Door, upstream: Capture) -> None:
    name = await _connected(door, upstream)
    made = await _create(door, name, "ada")
    assert (made["status"], made["authorization_type"]) == ("ACTIVE", "NO_AUTH")
    stored = await _stored(door, made["id"])
    assert (stored.access, stored.grant, stored.details, stored.refresh_at) == (None, None, None, None)
    where = {"connector": name, "identifier": "ada"}
    for what in ("auth", "details"):
        shown = (await door.done("GET", f"{ACCOUNTS}/{what}", params=where))["connected_account"]
        assert (shown["status"], shown["authorization_type"]) == ("ACTIVE", "NO_AUTH")
        assert not shown.get("authorization_details")
    listed = await door.done("GET", ACCOUNTS, params={"connector": name})
    assert [one["authorization_type"] for one in listed["connected_accounts"]] == ["NO_AUTH"]


async def test_a_call_goes_out_with_nothing_attached(door: Door, upstream: Capture) -> None:
    name = await _connected(door, upstream)
    await _create(door, name, "ada")
    for path, named in (
        ("/proxy/things?a=b", {"connection_name": name, "identifier": "ada"}),
        (f"/relay/{name}/things?a=b", {"x-relay-user": "ada"}),
    ):
        answer = await door.client.get(path, headers={**named, "x-mine": "yes"})
        assert (answer.status_code, answer.json(), answer.headers["x-made-by"]) == (200, {"things": []}, "acme")
        assert upstream.last.target == "/v1/things?a=b"
        assert upstream.last.header("x-mine") == "yes"
        for ours in ("authorization", "cookie", "connection_name", "identifier", "x-relay-user"):
            assert upstream.last.header(ours) is None
    before = len(upstream.requests)
    nobody = await door.client.get("/proxy/things", headers={"connection_name": name, "identifier": "nobody"})
    assert nobody.status_code >= 400
    elsewhere = {"x-relay-user": "ada", "x-relay-provider": name, "x-relay-url": "https://evil.example/v1/things"}
    assert (await door.client.get("/relay", headers=elsewhere)).status_code in (400, 403)
    for path in ("/proxy/../x", "/proxy/%2e%2e/x"):
        refused = await door.client.get(path, headers={"connection_name": name, "identifier": "ada"})
        assert refused.status_code in (400, 404)
    assert len(upstream.requests) == before, "nothing went anywhere"


async def test_an_answer_of_401_is_passed_on_as_it_is(door: Door, upstream: Capture) -> None:
    name = await _connected(door, upstream)
    made = await _create(door, name, "ada")
    upstream.answers(reply("401 Unauthorized", b"{}", "Content-Type: application/json"))
    answer = await door.client.get("/proxy/x", headers={"connection_name": name, "identifier": "ada"})
    assert (answer.status_code, answer.headers["x-holdfast-upstream-status"]) == (401, "401")
    assert (await _stored(door, made["id"])).status == "active"


async def test_there_is_no_token_to_read_at_the_other_door(door: Door, upstream: Capture) -> None:
    name = await _connected(door, upstream)
    await _create(door, name, "ada")
    for what in ("token", "credentials"):
        refused = await door.ask("POST", f"/data-integrations/{name}/{what}", json={"user_id": "ada"})
        assert refused.status_code == 422, refused.text
        assert refused.json()["code"] == "auth_method_mismatch" and "no token" in refused.json()["message"]
    begun = await door.ask("POST", f"/data-integrations/{name}/authorize", json={"user_id": "ada"})
    assert (begun.status_code, begun.json()["code"]) == (422, "auth_method_mismatch")
    assert (await door.ask("GET", f"/data-integrations/{name}")).status_code == 200
    shown = await door.ask("GET", f"/user_management/users/ada/connected_accounts/{name}")
    assert shown.status_code == 200, shown.text


async def test_no_link_is_made_and_no_credential_taken(door: Door, upstream: Capture) -> None:
    name = await _connected(door, upstream)
    where = {"connector": name, "identifier": "bob"}
    assert (await door.ask("POST", f"{ACCOUNTS}/magic_link", json=where)).status_code == 400
    token = {"authorization_details": {"oauth_token": {"access_token": "a-token-0123"}}}
    body = {**where, "connected_account": token}
    assert (await door.ask("POST", ACCOUNTS, json=body)).status_code == 400
    assert (await door.ask("GET", f"{ACCOUNTS}/auth", params=where)).status_code == 404, "nothing was made"


async def test_settings_that_its_address_needs_are_asked_for(door: Door, upstream: Capture) -> None:
    name = await _connected(door, upstream, DOMAIN, path="/{{site}}/v1")
    body = {"connector": name, "identifier": "ada", "connected_account": {}}
    refused = await door.ask("POST", ACCOUNTS, json=body)
    assert refused.status_code == 400 and "site" in refused.text
    await _create(door, name, "ada", api_config={"site": "north"})
    answer = await door.client.get("/proxy/x", headers={"connection_name": name, "identifier": "ada"})
    assert (answer.status_code, upstream.last.target) == (200, "/north/v1/x")


async def test_what_was_disconnected_is_not_called_until_it_is_connected_again(door: Door, upstream: Capture) -> None:
    name = await _connected(door, upstream)
    made = await _create(door, name, "ada")
    gone = await door.done("POST", f"{ACCOUNTS}/{made['id']}:disconnect", json={})
    assert gone["connected_account"]["status"] == "DISCONNECTED"
    named = {"connection_name": name, "identifier": "ada"}
    assert (await door.client.get("/proxy/x", headers=named)).status_code >= 400
    assert upstream.requests == []
    body = {"connector": name, "identifier": "ada", "connected_account": {}}
    again = await door.done("PUT", ACCOUNTS, json=body)
    assert again["connected_account"]["status"] == "ACTIVE"
    assert (await door.client.get("/proxy/x", headers=named)).status_code == 200
