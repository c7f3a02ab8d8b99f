"""ConnectionService over REST: connections made, completed, listed, switched, and deleted."""

import re
from typing import Any

import pytest

from holdfast.connections import store
from tests.api.scalekit.conftest import Door

AT = "/api/v1/connections"
SECRET = "s3cr3t-0123456789"


async def test_a_connection_is_a_draft_until_it_has_aclient_of(door: Door) -> None:
    made = await door.connect("NOTION", type="OAUTH")
    assert (made["type"], made["status"], made["enabled"], made["auth_mode"]) == ("OAUTH", "DRAFT", True, "USER")
    config = made["oauth_config"]
    assert config["redirect_uri"].endswith(f"/sso/v1/oauth/{made['id']}/callback")
    assert config["authorize_uri"].startswith("https://api.notion.com/") and config["token_uri"]
    given = {"client_id": "abc", "client_secret": SECRET, "scopes": ["a", "b"]}
    reply = await door.ask("PATCH", f"{AT}/{made['id']}", json={"oauth_config": given})
    assert SECRET not in reply.text
    after = reply.json()["connection"]
    assert (after["status"], after["oauth_config"]["client_id"]) == ("COMPLETED", "abc")
    assert after["oauth_config"]["scopes"] == ["a", "b"]
    assert SECRET not in (await door.ask("GET", f"{AT}/{made['id']}")).text


async def test_a_second_connection_to_a_provider_gets_a_name_of_its_own(door: Door) -> None:
    first, second = await door.connect("LINEAR"), await door.connect("LINEAR")
    assert first["key_id"] == "linear"
    assert re.fullmatch(r"linear-[a-z0-9]{8}", second["key_id"])
    chosen = await door.connect("LINEAR", key_id="our-linear")
    assert (chosen["key_id"], chosen["provider_key"]) == ("our-linear", "LINEAR")
    again = await door.refused("POST", AT, json={"provider_key": "LINEAR", "key_id": "our-linear"})
    assert again[:2] == (409, "ALREADY_EXISTS")


async def test_it_is_the_other_doors_data_integration(door: Door) -> None:
    made = await door.connect("SLACK", key_id="talk")
    shown = await door.done("GET", "/data-integrations/talk")
    assert (shown["slug"], shown["id"]) == ("talk", made["id"].replace("conn_", "data_integration_"))
    other = await door.ask("DELETE", "/data-integrations/talk")
    assert other.status_code == 204
    assert (await door.refused("GET", f"{AT}/{made['id']}"))[:2] == (404, "RESOURCE_NOT_FOUND")


async def test_a_secret_alone_replaces_the_secret_and_an_empty_change_nothing(door: Door) -> None:
    made = await door.connect("ASANA")
    path = f"{AT}/{made['id']}"
    assert (await door.refused("PATCH", path, json={"oauth_config": {"client_secret": SECRET}}))[2] == [
        "connection.oauth_config.client_id"
    ]
    await door.done("PATCH", path, json={"oauth_config": {"client_id": "one", "client_secret": SECRET}})
    await door.done("PATCH", path, json={"oauth_config": {"client_secret": "another-123"}})
    after = (await door.done("PATCH", path, json={}))["connection"]
    assert after["oauth_config"]["client_id"] == "one"
    client = await client_of(door, made["id"])
    assert (client.client_id, client.secret_version, client.secret_last4) == ("one", 2, "-123")


async def test_optional_scopes_are_asked_for_and_not_required(door: Door) -> None:
    made = await door.connect("GITLAB")
    path = f"{AT}/{made['id']}"
    given = {"scopes": ["api", "read_user"], "optional_scopes": {"scopes": ["email"]}}
    config = (await door.done("PATCH", path, json={"oauth_config": given}))["connection"]["oauth_config"]
    assert config["scopes"] == ["api", "read_user", "email"]
    assert config["required_scopes"] == ["api", "read_user"]
    assert config["optional_scopes"]["scopes"] == ["email"]
    again = (await door.done("PATCH", path, json={"oauth_config": config}))["connection"]["oauth_config"]
    assert again == config, "what is shown can be sent back"
    bare = {"scopes": ["api"], "required_scopes": ["nothing-asked"]}
    assert (await door.refused("PATCH", path, json={"oauth_config": bare}))[2] == [
        "connection.oauth_config.required_scopes"
    ]


async def test_settings_of_the_provider_may_be_repeated_and_not_changed(door: Door) -> None:
    made = await door.connect("GITHUB")
    same = {"authorize_uri": made["oauth_config"]["authorize_uri"], "prompt": ""}
    await door.done("PATCH", f"{AT}/{made['id']}", json={"oauth_config": same})
    other = {"token_uri": "https://evil.example/token"}
    refused = await door.refused("PATCH", f"{AT}/{made['id']}", json={"oauth_config": other})
    assert refused == (400, "INVALID_ARGUMENT", ["connection.oauth_config.token_uri"])


async def test_a_connection_is_disabled_and_enabled(door: Door) -> None:
    made = await door.connect("DROPBOX")
    assert (await door.done("PATCH", f"{AT}/{made['id']}:disable"))["enabled"] is False
    assert (await door.done("GET", f"{AT}/{made['id']}"))["connection"]["enabled"] is False
    assert (await door.done("PATCH", f"{AT}/{made['id']}:enable"))["enabled"] is True


async def test_connections_of_organizations_and_by_key(door: Door) -> None:
    made = await door.connect("AIRTABLE", auth_mode="ORG_WIDE")
    assert made["auth_mode"] == "ORG_WIDE"
    keyed = await door.connect("RESEND", type="API_KEY")
    assert (keyed["type"], keyed["status"], keyed["static_config"]["static_config"]) == ("API_KEY", "COMPLETED", {})


async def test_pages_of_the_list_lead_there_and_back_and_filters_apply(door: Door) -> None:
    names = [f"box-{number}" for number in range(5)]
    for name in names:
        door.house.clock.at += 1
        await door.connect("HUBSPOT", key_id=name)
    first = await door.done("GET", f"{AT}/app", params={"page_size": 2, "query": "BOX-"})
    assert [one["key_id"] for one in first["connections"]] == ["box-4", "box-3"]
    assert first["total_size"] == 5 and first["prev_page_token"] == "" and len(first["next_page_token"]) <= 32
    token = first["next_page_token"]
    second = await door.done("GET", f"{AT}/app", params={"page_size": 2, "query": "BOX-", "page_token": token})
    assert [one["key_id"] for one in second["connections"]] == ["box-2", "box-1"]
    token = second["prev_page_token"]
    back = await door.done("GET", f"{AT}/app", params={"page_size": 2, "query": "BOX-", "page_token": token})
    assert back["connections"] == first["connections"]
    hubspot = await door.done("GET", f"{AT}/app", params={"page_size": 30, "provider": "hubspot"})
    assert {one["provider_key"] for one in hubspot["connections"]} == {"HUBSPOT"}
    nobody = await door.done("GET", f"{AT}/app", params={"provider": "NOSUCH"})
    assert (nobody["connections"], nobody["total_size"]) == ([], 0)
    for bad in ({"query": "bo", "page_size": 2}, {"page_size": 31}, {"page_token": token}):
        assert (await door.refused("GET", f"{AT}/app", params=bad))[1] == "INVALID_ARGUMENT"


async def test_context_is_what_the_providers_templates_need(door: Door) -> None:
    made = await door.connect("ZENDESK", context={"subdomain": "acme"})
    path = f"{AT}/{made['id']}/contexts"
    assert (await door.done("GET", path))["context"] == {"subdomain": "acme"}
    await door.done("PUT", path, json={"subdomain": "other"})
    assert (await door.done("GET", path))["context"] == {"subdomain": "other"}
    assert (await door.refused("PUT", path, json={"nothing": "x"}))[:2] == (400, "INVALID_ARGUMENT")


async def test_an_organization_has_a_context_of_its_own(door: Door) -> None:
    made = await door.connect("ZENDESK")
    everybodys = f"{AT}/{made['id']}/contexts"
    acme, other = (f"/api/v1/organizations/{name}/connections/{made['id']}/contexts" for name in ("org_a", "org_b"))
    assert await door.done("PUT", acme, json={"subdomain": "acme"}) == {}
    assert (await door.done("GET", acme))["context"] == {"subdomain": "acme"}
    for elsewhere in (everybodys, other):
        assert (await door.done("GET", elsewhere))["context"] == {}
    for bad in ({"nothing": "x"}, {"subdomain": "evil.com/"}):
        assert (await door.refused("PUT", acme, json=bad))[:2] == (400, "INVALID_ARGUMENT")
    await door.done("PUT", acme, json={})
    assert (await door.done("GET", acme))["context"] == {}


async def test_what_is_set_for_everybody_is_not_an_organizations_to_change(door: Door) -> None:
    made = await door.connect("ZENDESK")
    everybodys, acme = (f"{at}{made['id']}/contexts" for at in (f"{AT}/", "/api/v1/organizations/org_a/connections/"))
    await door.done("PUT", acme, json={"subdomain": "acme"})
    await door.done("PUT", everybodys, json={"subdomain": "all"})
    assert (await door.done("GET", acme))["context"] == {"subdomain": "all"}
    assert (await door.refused("PUT", acme, json={"subdomain": "mine"}))[:2] == (400, "INVALID_ARGUMENT")
    await door.done("PUT", acme, json={"subdomain": "all"})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "connection.provider_key"),
        ({"provider_key": "GITHUB", "key_id": "not/allowed"}, "connection.key_id"),
        ({"provider_key": "GITHUB", "key_id": "organization"}, "connection.key_id"),
        ({"provider_key": "GITHUB", "type": "SAML"}, "connection.type"),
        ({"provider_key": "GITHUB", "type": "API_KEY"}, "connection.type"),
    ],
)
async def test_what_is_not_allowed_is_named(door: Door, body: dict[str, Any], field: str) -> None:
    assert await door.refused("POST", AT, json=body) == (400, "INVALID_ARGUMENT", [field])


async def test_what_is_not_there_or_not_ones_own_is_not_found(door: Door) -> None:
    made = await door.connect("ZOOM")
    gone = (404, "RESOURCE_NOT_FOUND", [])
    assert await door.refused("POST", AT, json={"provider_key": "NOSUCHPROVIDER"}) == gone
    for verb, path in (
        ("GET", "{}"),
        ("PATCH", "{}"),
        ("DELETE", "{}"),
        ("PATCH", "{}:enable"),
        ("PATCH", "{}:disable"),
        ("GET", "{}/contexts"),
        ("PUT", "{}/contexts"),
    ):
        at = f"{AT}/{path}"
        body = {} if verb == "GET" else {"json": {}}
        assert await door.refused(verb, at.format(made["id"]), key=door.stranger, **body) == gone, (verb, path)
        for unknown in ("conn_01JZZZZZZZZZZZZZZZZZZZZZZZ", "conn_nonsense"):
            assert await door.refused(verb, at.format(unknown), **body) == gone, (verb, path)
    assert (await door.done("GET", f"{AT}/{made['id']}"))["connection"]["enabled"] is True


async def client_of(door: Door, connection_id: str) -> Any:
    environment_id = door.house.environment_id

    def work(tx: Any) -> Any:
        found = store.by_id(tx, environment_id, connection_id.removeprefix("conn_"))
        assert found is not None and found.client_ref is not None
        return store.client(tx, environment_id, found.client_ref)

    return await door.house.holdfast.database.transact(work)
