"""ProviderService over REST: the catalogue, and providers that an environment defines for itself."""

import asyncio
from typing import Any

import pytest

from holdfast.connections.definitions import ProviderInUse
from holdfast.providers import store as provider_store
from holdfast.providers.entry import Placement, Provider
from tests.api.scalekit.conftest import Door
from tests.api.scalekit.test_connection_rpcs import client_of

AT = "/api/v1/custom-providers"
OAUTH: dict[str, Any] = {
    "type": "OAUTH",
    "display_name": "Sign in",
    "fields": [],
    "oauth_config": {
        "pkce_enabled": False,
        "authorize_uri": "https://acme.example/authorize",
        "token_uri": "https://acme.example/token",
        "token_endpoint_auth_method": "client_secret_basic",
        "available_scopes": [{"scope": "read", "required": True}, {"scope": "write"}],
        "extra_authorize_params": {"access_type": "offline"},
        "future_setting": {"deep": [1, 2]},
    },
    "allowed_proxy_domains": ["api.acme.example", "eu.acme.example"],
    "unknown_key": "stays",
}
KEY = {
    "type": "API_KEY",
    "display_name": "Key",
    "fields": [{"field_name": "api_key", "label": "Key", "input_type": "password", "required": True}],
    "auth_header_key_override": "X-Acme-Key",
}

LAUNCHPAD = {
    "provider": "launchpad",
    "custom_provider": {
        "name": "Launchpad",
        "authorization_url": "https://launch.example/a",
        "token_url": "https://launch.example/t",
    },
    "credentials": {"type": "custom", "client_id": "x", "client_secret": "y"},
}
"""Asked of the other door: a provider that is defined along with its connection."""


async def test_what_was_defined_comes_back_whole_unknown_keys_too(door: Door) -> None:
    made = await _define(door, OAUTH, description="Rockets", metadata={"tier": "gold"}, icon_src="https://a.example/i")
    assert made["identifier"].startswith("ACMEROCKETS") and made["is_custom"] and not made["is_custom_mcp"]
    listed = await door.done("GET", "/api/v1/providers", params={"identifier": made["identifier"]})
    assert listed["providers"] == [made] and listed["total_size"] == 1
    assert (made["description"], made["metadata"], made["icon_src"]) == (
        "Rockets",
        {"tier": "gold"},
        "https://a.example/i",
    )
    pattern = made["auth_patterns"][0]
    assert pattern["unknown_key"] == "stays"
    assert pattern["oauth_config"]["future_setting"] == {"deep": [1, 2]}


async def test_a_definition_becomes_an_entry(door: Door) -> None:
    made = await _define(door, OAUTH, proxy_url="https://{{domain}}/v2/")
    entry = await _entry(door, made["identifier"])
    dialect, api = entry.oauth2, entry.api
    assert dialect is not None and api is not None
    assert (dialect.authorize_url, dialect.token_url) == (
        "https://acme.example/authorize",
        "https://acme.example/token",
    )
    assert (dialect.pkce, dialect.client_auth, dialect.scopes) == ("omit", "client_secret_basic", ("read",))
    assert dialect.authorize_params == {"access_type": "offline"}
    assert (api.base_url, api.hosts) == ("https://{domain}/v2", ("api.acme.example", "eu.acme.example"))
    assert entry.config["domain"].pattern == r"api\.acme\.example|eu\.acme\.example"


@pytest.mark.parametrize(
    ("pattern", "placement", "credential", "config"),
    [
        (KEY, Placement(where="header", name="X-Acme-Key"), ["api_key"], []),
        ({"type": "BEARER", "fields": [{"field_name": "token"}]}, Placement(), ["token"], []),
        (
            {"type": "BASIC", "fields": [{"field_name": "username"}, {"field_name": "password"}]},
            Placement(where="basic", username="{username}", password="{token}"),
            ["password"],
            ["username"],
        ),
        (
            {
                "type": "API_KEY",
                "fields": [
                    {"field_name": "tenant", "is_path_param": True},
                    {"field_name": "key", "header_name": "X-Key"},
                ],
            },
            Placement(where="header", name="X-Key"),
            ["key"],
            ["tenant"],
        ),
        (
            {
                "type": "API_KEY",
                "fields": [{"field_name": "key"}],
                "auth_field_mutations": {"key": {"prefix": "Token "}},
            },
            Placement(where="header", name="Authorization", value="Token {token}"),
            ["key"],
            [],
        ),
    ],
)
async def test_fields_become_a_credential_and_settings(
    door: Door, pattern: dict[str, Any], placement: Placement, credential: list[str], config: list[str]
) -> None:
    made = await _define(door, pattern)
    entry = await _entry(door, made["identifier"])
    assert entry.api is not None and entry.api.credential == placement
    assert (list(entry.credential), list(entry.config)) == (credential, config)
    connection = await door.connect(made["identifier"])
    assert connection["type"] == pattern["type"]


async def test_an_update_keeps_what_it_leaves_out_and_does_not_switch_the_proxy_off(door: Door) -> None:
    made = await _define(door, KEY, description="Rockets", metadata={"tier": "gold"})
    body = {"display_name": "Acme Two", "proxy_url": "https://two.acme.example"}
    after = (await door.done("PUT", f"{AT}/{made['identifier']}", json=body))["provider"]
    assert after == {**made, **body}
    assert after["proxy_enabled"] is True
    body |= {"metadata": {"other": "value"}, "auth_patterns": [{"type": "BEARER"}]}
    after = (await door.done("PUT", f"{AT}/{made['identifier']}", json=body))["provider"]
    assert (after["metadata"], after["auth_patterns"]) == ({"other": "value"}, [{"type": "BEARER"}])


async def test_the_proxy_is_off_where_it_was_not_switched_on(door: Door) -> None:
    made = await _define(door, KEY, proxy_enabled=False)
    assert (await _entry(door, made["identifier"])).api is None
    body = {"display_name": "Acme", "proxy_url": "https://api.acme.example", "proxy_enabled": True}
    assert (await door.done("PUT", f"{AT}/{made['identifier']}", json=body))["provider"]["proxy_enabled"] is True


async def test_a_provider_that_is_used_cannot_go_and_outlives_its_connections(door: Door) -> None:
    made = await _define(door, KEY)
    connection = await door.connect(made["identifier"], key_id="launcher")
    reply = await door.ask("DELETE", f"{AT}/{made['identifier']}")
    assert reply.status_code == 400 and "launcher" in reply.json()["message"]
    assert reply.json()["details"][0]["debug_info"]["detail"] == ProviderInUse.default_code
    await door.done("DELETE", f"/api/v1/connections/{connection['id']}")
    assert (await _entry(door, made["identifier"])).name == "Acme Rockets"
    await door.done("DELETE", f"{AT}/{made['identifier']}")
    assert await door.refused("DELETE", f"{AT}/{made['identifier']}") == (404, "RESOURCE_NOT_FOUND", [])


async def test_moving_to_another_host_forgets_the_client_secrets(door: Door) -> None:
    made = await _define(door, OAUTH)
    connection = await door.connect(made["identifier"])
    client = {"client_id": "a", "client_secret": "secret-1234"}
    await door.done("PATCH", f"/api/v1/connections/{connection['id']}", json={"oauth_config": client})
    config = {**OAUTH["oauth_config"], "token_uri": "https://elsewhere.example/token"}
    body = {
        "display_name": "Acme",
        "proxy_url": made["proxy_url"],
        "auth_patterns": [{**OAUTH, "oauth_config": config}],
    }
    await door.done("PUT", f"{AT}/{made['identifier']}", json=body)
    assert (await client_of(door, connection["id"])).secret is None


async def test_a_provider_outlives_the_last_connection_that_is_deleted_here_also_one_of_the_other_door(
    door: Door,
) -> None:
    assert (await door.ask("POST", "/data-integrations", json=LAUNCHPAD)).status_code == 201
    (connection,) = (await door.done("GET", "/api/v1/connections/app", params={"provider": "LAUNCHPAD"}))["connections"]
    await door.done("DELETE", f"/api/v1/connections/{connection['id']}")
    assert (await door.ask("GET", "/data-integrations/launchpad")).status_code == 404
    found = await door.done("GET", "/api/v1/providers", params={"identifier": "LAUNCHPAD"})
    assert [one["display_name"] for one in found["providers"]] == ["Launchpad"]

    again = {name: value for name, value in LAUNCHPAD.items() if name != "custom_provider"}
    assert (await door.ask("POST", "/data-integrations", json=again)).status_code == 201
    # On the other wire a definition that came along with a root goes with the last one.
    assert (await door.ask("DELETE", "/data-integrations/launchpad")).status_code == 204
    assert not (await door.done("GET", "/api/v1/providers", params={"identifier": "LAUNCHPAD"}))["providers"]


async def test_a_provider_of_this_door_outlives_the_last_connection_that_is_deleted_at_the_other(door: Door) -> None:
    made = await _define(door, KEY)
    entry = await _entry(door, made["identifier"])
    body = {"provider": entry.slug, "auth_methods": ["api_key"]}
    assert (await door.ask("POST", "/data-integrations", json=body)).status_code == 201
    assert (await door.ask("DELETE", f"/data-integrations/{entry.slug}")).status_code == 204
    found = await door.done("GET", "/api/v1/providers", params={"identifier": made["identifier"]})
    assert found["providers"] == [made]


async def test_a_provider_of_the_other_door_is_listed_here(door: Door) -> None:
    assert (await door.ask("POST", "/data-integrations", json=LAUNCHPAD)).status_code == 201
    found = await door.done("GET", "/api/v1/providers", params={"identifier": "LAUNCHPAD"})
    pattern = found["providers"][0]["auth_patterns"][0]
    assert (pattern["type"], pattern["oauth_config"]["token_uri"]) == ("OAUTH", "https://launch.example/t")
    assert (await door.ask("DELETE", "/data-integrations/launchpad")).status_code == 204
    assert not (await door.done("GET", "/api/v1/providers", params={"identifier": "LAUNCHPAD"}))["providers"]


async def test_lists_are_filtered_by_kind_and_paged(door: Door) -> None:
    made = await _define(door, KEY)
    own = await door.done("GET", "/api/v1/providers", params={"filter.provider_type": "CUSTOM", "page_size": 100})
    assert made["identifier"] in [one["identifier"] for one in own["providers"]]
    assert all(one["is_custom"] for one in own["providers"])
    built_in = await door.done("GET", "/api/v1/providers", params={"filter.provider_type": "DEFAULT", "page_size": 100})
    assert not any(one["is_custom"] for one in built_in["providers"])
    every = await door.done("GET", "/api/v1/providers", params={"page_size": 100})
    assert every["total_size"] == own["total_size"] + built_in["total_size"]
    seen, token = [], ""
    while True:
        page = await door.done("GET", "/api/v1/providers", params={"page_size": 7, "page_token": token})
        seen += page["providers"]
        token = page["next_page_token"]
        if not token:
            break
    assert seen == every["providers"]
    back = await door.done("GET", "/api/v1/providers", params={"page_size": 7, "page_token": page["prev_page_token"]})
    assert back["providers"] == seen[-len(page["providers"]) - 7 : -len(page["providers"])]
    wrong = {"page_token": page["prev_page_token"], "filter.provider_type": "CUSTOM"}
    assert (await door.refused("GET", "/api/v1/providers", params=wrong))[2] == ["page_token"]


async def test_the_catalogues_providers_cannot_be_changed_nor_a_strangers(door: Door) -> None:
    made = await _define(door, KEY)
    gone = (404, "RESOURCE_NOT_FOUND", [])
    body = {"display_name": "Mine", "proxy_url": "https://a.example"}
    for identifier, key in (("GITHUB", None), (made["identifier"], door.stranger), ("NOSUCH1", None)):
        assert await door.refused("PUT", f"{AT}/{identifier}", json=body, key=key) == gone
        assert await door.refused("DELETE", f"{AT}/{identifier}", key=key) == gone


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"display_name": "no/slash"}, "provider.display_name"),
        ({"proxy_url": "http://plain.example"}, "provider.proxy_url"),
        ({"proxy_url": "https://user@acme.example"}, "provider.proxy_url"),
        ({"proxy_url": "https://acme.example/?q=1"}, "provider.proxy_url"),
        ({"proxy_url": "https://{{token}}.example"}, "provider.proxy_url"),
        ({"auth_patterns": [KEY, KEY]}, "provider.auth_patterns"),
        ({"auth_patterns": ["x"]}, "provider.auth_patterns[0]"),
        ({"auth_patterns": [{"type": "MAGIC"}]}, "provider.auth_patterns[0].type"),
        (
            {"auth_patterns": [{"type": "BEARER", "fields": [{"field_name": "No Good"}]}]},
            "provider.auth_patterns[0].fields[0].field_name",
        ),
        (
            {"auth_patterns": [{"type": "API_KEY", "auth_header_key_override": "Host"}]},
            "provider.auth_patterns[0].auth_header_key_override",
        ),
        (
            {
                "auth_patterns": [
                    {
                        "type": "OAUTH",
                        "oauth_config": {"authorize_uri": "https://a.example/{x}", "token_uri": "https://a.example"},
                    }
                ]
            },
            "provider.auth_patterns[0].oauth_config.authorize_uri",
        ),
        (
            {"auth_patterns": [{"type": "OAUTH", "oauth_config": {"authorize_uri": "https://a.example"}}]},
            "provider.auth_patterns[0].oauth_config.token_uri",
        ),
        ({"metadata": {"ab": "short key"}}, "provider.metadata (a key)"),
    ],
)
async def test_a_definition_that_contradicts_itself_is_refused(door: Door, change: dict[str, Any], field: str) -> None:
    good = {"display_name": "Acme", "proxy_url": "https://api.acme.example", "auth_patterns": [KEY]}
    assert await door.refused("POST", AT, json={**good, **change}) == (400, "INVALID_ARGUMENT", [field])


@pytest.mark.parametrize("asked", [{}, {"type": "NO_AUTH"}])
async def test_a_provider_without_credentials_is_defined_and_connected(door: Door, asked: dict[str, str]) -> None:
    made = await _define(door, {"type": "NO_AUTH", "display_name": "None", "fields": []})
    body = {"provider_key": made["identifier"], **asked}
    connection = (await door.done("POST", "/api/v1/connections", json=body))["connection"]
    assert (connection["type"], connection["status"]) == ("NO_AUTH", "COMPLETED")
    other = await door.refused("POST", "/api/v1/connections", json={**body, "type": "OAUTH", "key_id": "other"})
    assert other == (400, "INVALID_ARGUMENT", ["connection.type"])


async def test_a_server_whose_endpoints_are_unknown_is_defined_and_cannot_be_connected_yet(door: Door) -> None:
    made = await _define(door, {"type": "OAUTH", "is_mcp": True, "oauth_config": {"pkce_enabled": True}})
    assert made["is_custom_mcp"]
    reply = await door.ask("POST", "/api/v1/connections", json={"provider_key": made["identifier"]})
    assert (reply.status_code, reply.json()["code"]) == (400, 9)


async def _define(door: Door, pattern: dict[str, Any], **more: Any) -> Any:
    given = {"display_name": "Acme Rockets", "proxy_url": "https://api.acme.example", "proxy_enabled": True, **more}
    return (await door.done("POST", AT, json={**given, "auth_patterns": [pattern]}))["provider"]


async def _entry(door: Door, identifier: str) -> Provider:
    own = await door.house.holdfast.database.transact(lambda tx: provider_store.all_of(tx, door.house.environment_id))
    return next(one for one in own if one.slug.replace("-", "").upper() == identifier)


async def test_a_provider_never_goes_from_under_a_connection_that_is_being_made(door: Door) -> None:
    for _ in range(8):
        made = await _define(door, KEY)
        creating, deleting = await asyncio.gather(
            door.ask("POST", "/api/v1/connections", json={"provider_key": made["identifier"]}),
            door.ask("DELETE", f"{AT}/{made['identifier']}"),
        )
        assert (creating.status_code, deleting.status_code) in ((200, 400), (404, 200))
    assert (await door.ask("GET", "/api/v1/connections/app")).status_code == 200
