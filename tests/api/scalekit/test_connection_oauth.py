"""The OAuth settings of a connection over REST: set, shown, sent to the provider, and refused."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from holdfast.events import Action
from holdfast.events import store as log
from tests.api.scalekit.conftest import Door

AT = "/api/v1/connections"
GOOGLE = {"client_id": "app", "client_secret": "s3cr3t-0123456789"}


async def change(door: Door, made: Any, **config: Any) -> Any:
    reply = await door.done("PATCH", f"{AT}/{made['id']}", json={"oauth_config": config})
    shown = (await door.done("GET", f"{AT}/{made['id']}"))["connection"]
    assert reply["connection"] == shown
    return shown["oauth_config"]


async def refused(door: Door, made: Any, **config: Any) -> str:
    """Expect a refusal of one field; return its name without the path."""
    status, code, fields = await door.refused("PATCH", f"{AT}/{made['id']}", json={"oauth_config": config})
    assert (status, code) == (400, "INVALID_ARGUMENT")
    assert len(fields) == 1
    return fields[0].removeprefix("connection.oauth_config.")


async def asked(door: Door, made: Any) -> tuple[str, dict[str, str]]:
    """Begin connecting; return the provider's address without its query, and the query."""
    link = (await door.done("POST", f"/data-integrations/{made['key_id']}/authorize", json={"user_id": "u"}))["url"]
    sent = await door.client.post(link, headers={"authorization": ""}, follow_redirects=False)
    assert sent.status_code == 303, sent.text
    parts = urlsplit(sent.headers["location"])
    return f"{parts.scheme}://{parts.netloc}{parts.path}", {
        name: values[0] for name, values in parse_qs(parts.query).items()
    }


async def test_the_user_is_sent_to_the_provider_with_the_parameters_that_are_set(door: Door) -> None:
    made = await door.connect("GOOGLE")
    before = await change(door, made, **GOOGLE)
    _, query = await asked(door, made)
    assert query["access_type"] == before["access_type"] == "offline" and "code_challenge" in query
    extra = {"hd": "acme.example", **before.get("extensions", {}).get("extra_authorize_params", {})}
    shown = await change(
        door, made, prompt="select_account", access_type="online", extensions={"extra_authorize_params": extra}
    )
    assert (shown["prompt"], shown["access_type"]) == ("select_account", "online")
    assert shown["extensions"]["extra_authorize_params"] == extra
    _, query = await asked(door, made)
    assert (query["prompt"], query["access_type"], query["hd"]) == ("select_account", "online", "acme.example")


async def test_an_empty_parameter_is_not_sent_and_the_providers_own_value_brings_it_back(door: Door) -> None:
    made = await door.connect("DROPBOX")
    own = (await change(door, made, **GOOGLE))["token_access_type"]
    assert own == "offline"
    assert "token_access_type" not in await change(door, made, token_access_type="")
    assert "token_access_type" not in (await asked(door, made))[1]
    assert (await change(door, made, token_access_type=own))["token_access_type"] == own
    assert (await asked(door, made))[1]["token_access_type"] == own


async def test_extra_parameters_are_said_all_at_once(door: Door) -> None:
    made = await door.connect("GITHUB")
    await change(door, made, **GOOGLE, extensions={"extra_authorize_params": {"one": "1", "two": "2"}})
    after = await change(door, made, extensions={"extra_authorize_params": {"two": "zwei"}})
    assert after["extensions"]["extra_authorize_params"] == {"two": "zwei"}
    again = await change(door, made, **after)
    assert again == after, "what is shown can be sent back"
    query = (await asked(door, made))[1]
    assert query["two"] == "zwei" and "one" not in query


async def test_pkce_and_the_clients_proof_are_set_for_this_connection_alone(door: Door) -> None:
    made, other = await door.connect("GITLAB"), await door.connect("GITLAB")
    for one in (made, other):
        await change(door, one, **GOOGLE)
    method = other["oauth_config"]["token_endpoint_auth_method"]
    wanted = "client_secret_basic" if method != "client_secret_basic" else "client_secret_post"
    shown = await change(door, made, pkce_enabled=False, token_endpoint_auth_method=wanted)
    assert (shown["pkce_enabled"], shown["token_endpoint_auth_method"]) == (False, wanted)
    untouched = (await door.done("GET", f"{AT}/{other['id']}"))["connection"]["oauth_config"]
    assert (untouched["pkce_enabled"], untouched["token_endpoint_auth_method"]) == (True, method)
    assert "code_challenge" not in (await asked(door, made))[1]
    assert "code_challenge" in (await asked(door, other))[1]
    await change(door, made, pkce_enabled=True)
    assert (await asked(door, made))[1]["code_challenge_method"] == "S256"


async def test_a_tenant_is_part_of_the_addresses_and_not_of_their_hosts(door: Door) -> None:
    made = await door.connect("MICROSOFT365")
    assert (await change(door, made, **GOOGLE))["tenant_id"] == "common"
    assert (await change(door, made, tenant_id="acme.onmicrosoft.com"))["tenant_id"] == "acme.onmicrosoft.com"
    context = await door.done("GET", f"{AT}/{made['id']}/contexts")
    assert context["context"] == {"tenant": "acme.onmicrosoft.com"}
    address, _ = await asked(door, made)
    assert address == "https://login.microsoftonline.com/acme.onmicrosoft.com/oauth2/v2.0/authorize"
    for bad in ("evil.example/x", "a b", "..", "x@y"):
        reply = await door.ask("PATCH", f"{AT}/{made['id']}", json={"oauth_config": {"tenant_id": bad}})
        assert reply.status_code == 400, bad
    assert (await change(door, made, tenant_id=""))["tenant_id"] == "common"
    github = await door.connect("GITHUB")
    assert await refused(door, github, tenant_id="acme") == "tenant_id"


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"authorize_uri": "https://evil.example/a"}, "authorize_uri"),
        ({"token_uri": "https://evil.example/t"}, "token_uri"),
        ({"user_info_uri": "https://evil.example/me"}, "user_info_uri"),
        ({"use_platform_creds": True}, "use_platform_creds"),
        ({"custom_scope_name": "user_scope"}, "custom_scope_name"),
        ({"app_name": "Mine"}, "app_name"),
        ({"googleads_developer_token": "x"}, "googleads_developer_token"),
        ({"scope_selection_allowed": True}, "scope_selection_allowed"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "token_endpoint_auth_method"),
        ({"token_endpoint_auth_method": "made_up"}, "token_endpoint_auth_method"),
        ({"pkce_enabled": False, "token_endpoint_auth_method": "none"}, "pkce_enabled"),
        ({"prompt": "{client_secret}"}, "prompt"),
        ({"extensions": {"extra_authorize_params": {"state": "mine"}}}, "extensions.extra_authorize_params"),
        ({"extensions": {"extra_authorize_params": {"redirect_uri": "x"}}}, "extensions.extra_authorize_params"),
        ({"extensions": {"extra_authorize_params": {"prompt": "none"}}}, "extensions.extra_authorize_params"),
        ({"extensions": {"smart": {"aud": "x"}}}, "extensions.smart"),
    ],
)
async def test_what_is_refused_is_named_and_nothing_changes(door: Door, config: dict[str, Any], field: str) -> None:
    made = await door.connect("GITHUB")
    before = await change(door, made, **GOOGLE)
    assert await refused(door, made, **config, scopes=["read:user"]) == field
    assert (await door.done("GET", f"{AT}/{made['id']}"))["connection"]["oauth_config"] == before


async def test_pkce_that_a_provider_requires_stays_on(door: Door) -> None:
    made = await door.connect("AIRTABLE")
    assert await refused(door, made, pkce_enabled=False) == "pkce_enabled"


async def test_a_custom_providers_endpoints_are_set_with_the_provider(door: Door) -> None:
    pattern = {
        "type": "OAUTH",
        "display_name": "Acme",
        "fields": [],
        "oauth_config": {"authorize_uri": "https://acme.example/a", "token_uri": "https://acme.example/t"},
    }
    body = {"display_name": "Acme", "proxy_url": "https://api.acme.example", "auth_patterns": [pattern]}
    made = (await door.done("POST", "/api/v1/custom-providers", json=body))["provider"]
    connection = await door.connect(made["identifier"], type="OAUTH")
    moved = {"oauth_config": {"token_uri": "https://acme.example/other"}}
    reply = await door.ask("PATCH", f"{AT}/{connection['id']}", json=moved)
    assert reply.status_code == 400 and "UpdateCustomProvider" in reply.text
    config = await change(door, connection, **GOOGLE, prompt="login", pkce_enabled=False)
    assert (config["prompt"], config["pkce_enabled"]) == ("login", False)
    address, query = await asked(door, connection)
    assert (address, query["prompt"], "code_challenge" in query) == ("https://acme.example/a", "login", False)


async def test_the_log_says_who_changed_the_settings_and_to_what(door: Door) -> None:
    made = await door.connect("GITHUB")
    await change(door, made, **GOOGLE, prompt="login", pkce_enabled=False)
    await change(door, made, scopes=["read:user"])
    found = [
        entry.data["oauth_settings"] for entry in await updates(door, made["key_id"]) if "oauth_settings" in entry.data
    ]
    assert found == [{"params": {"prompt": "login"}, "pkce": False}]


async def updates(door: Door, name: str) -> list[Any]:
    def work(tx: Any) -> list[Any]:
        kinds = [log.Kind(Action.CONNECTION_UPDATED)]
        return log.list_entries(tx, door.house.environment_id, kinds=kinds, limit=100)

    return [one for one in await door.house.holdfast.database.transact(work) if one.data["name"] == name]
