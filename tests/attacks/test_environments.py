"""Attack: reach another environment's things with one's own API key (security list, rows 18 and 27).

Every operation of the OpenAPI document is called with ids and slugs that exist, elsewhere.
"""

import asyncio
import hashlib
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest

from holdfast.access import Keys, ensure_environment
from holdfast.app import open_vault
from holdfast.clock import SystemClock
from holdfast.config import Config
from holdfast.events import Actor
from tests.attacks.app import RETURN_TO, App, anyone, challenge, database_file, query_of
from tests.parts.browser import Browser
from tests.parts.server import HoldfastProcess

USER, ORGANIZATION, ELSEWHERE = "user_shared", "org_shared", "elsewhere"


async def _second_environment(server: HoldfastProcess) -> str:
    """Make another environment in the server's own database, and return a key of it."""
    clock = SystemClock()
    database, vault = await open_vault(Config(data_dir=server.data_dir), clock)
    try:
        environment, _ = await ensure_environment(database, vault, clock, ELSEWHERE)
        _, text = await Keys(database, vault, clock).create(environment.id, "elsewhere", Actor("operator"))
        return text.reveal()
    finally:
        await database.close()


@pytest.fixture(scope="module")
def theirs(attacked: HoldfastProcess) -> Iterator[tuple[App, dict[str, str]]]:
    """The other environment, filled: an integration of each owner kind, accounts, and one of everything with an id."""
    with ThreadPoolExecutor(1) as thread:  # the test session's own event loop runs in this thread
        key = thread.submit(lambda: asyncio.run(_second_environment(attacked))).result()
    app = App(attacked.base_url, key)
    ids: dict[str, str] = {}
    for ownership in ("user", "organization"):
        body = {
            "provider": "their-api",
            "ownership": ownership,
            "enabled": True,
            "auth_methods": ["api_key"],
            **({"custom_provider": {"name": "Theirs"}} if ownership == "user" else {}),
        }
        assert app.call("POST", "/data-integrations", body).status_code == 201
    oauth = {
        "provider": "github",
        "enabled": True,
        "credentials": {"type": "custom", "client_id": "theirs", "client_secret": "their-secret"},
    }
    assert app.call("POST", "/data-integrations", oauth).status_code == 201
    for path, body in (
        ("their-api/api-key", {"user_id": USER, "secret": "their-api-key-1"}),
        (
            "their-api/api-key",
            {
                "user_id": USER,
                "organization_id": ORGANIZATION,
                "connection_owner": "organization",
                "secret": "their-api-key-2",
            },
        ),
    ):
        reply = app.call("PUT", f"/data-integrations/{path}", body)
        assert reply.status_code == 200, reply.text
    imported = app.call(
        "POST", f"/user_management/users/{USER}/connected_accounts/github", {"access_token": "their-access-token"}
    )
    ids["account"] = imported.json()["id"]
    configured = app.call(
        "PUT", f"/organizations/{ORGANIZATION}/data_integration_configurations/github", {"enabled": True}
    )
    assert configured.status_code == 200, configured.text
    made = {
        "om": ("/user_management/organization_memberships", {"user_id": USER, "organization_id": ORGANIZATION}),
        "ruri": ("/user_management/redirect_uris", {"uri": "https://theirs.example/back"}),
        "we": (
            "/webhook_endpoints",
            {"endpoint_url": "https://theirs.example/hook", "events": ["pipes.connected_account.connected"]},
        ),
    }
    for name, (path, body) in made.items():
        reply = app.call("POST", path, body)
        assert reply.status_code == 201, reply.text
        ids[name] = reply.json()["id"]
    yield app, ids
    app.http.close()


BODIES: dict[str, Any] = {
    "user_id": USER,
    "return_to": RETURN_TO,
    "secret": "mine",
    "client_id": "mine",
    "client_secret": "mine",
    "connection_intent": "add",
    "access_token": "mine",
    "role_slug": "admin",
    "enabled": False,
}


def _operations(document: Any) -> list[tuple[str, str, Any]]:
    return [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def _filled(path: str, ids: dict[str, str], slug: str) -> str:
    kind = "om" if "memberships" in path else "ruri" if "redirect" in path else "we"
    values = {"slug": slug, "user_id": USER, "organization_id": ORGANIZATION, "id": ids[kind]}
    return re.sub(r"\{(\w+)\}", lambda found: quote(values[found[1]], safe=""), path)


def _body(method: str, operation: Any, document: Any) -> Any:
    if "requestBody" not in operation:
        return None
    name = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    schema = document["components"]["schemas"][name]
    given = {key: value for key, value in BODIES.items() if key in schema["properties"]}
    if method == "PUT":  # which replaces, and does not add
        given.pop("connection_intent", None)
    return given


def test_every_route_answers_a_foreign_id_like_one_that_nobody_has(
    app: App, theirs: tuple[App, dict[str, str]]
) -> None:
    other, ids = theirs
    document = app.http.get(f"{app.base_url}/openapi.json").json()
    nobodys = {name: f"{name}_01ARZ3NDEKTSV4RRFFQ69G5FAV" for name in ids}
    before, tried = _everything(other), 0
    for method, path, operation in _operations(document):
        if "{slug}" not in path and "{id}" not in path:
            continue
        body = _body(method, operation, document)
        for slug in ("their-api", "github"):
            foreign = app.call(method, _filled(path, ids, slug), body)
            missing = app.call(method, _filled(path, nobodys, slug if slug == "github" else "nobodys-api"), body)
            assert foreign.status_code == missing.status_code == 404, (method, path, foreign.text, missing.text)
            assert set(foreign.json()) == set(missing.json()) == {"message", "code"}
            assert foreign.json()["code"] == missing.json()["code"]
            assert foreign.json()["message"].replace("their-api", "nobodys-api") == missing.json()["message"]
            tried += 1
    assert tried >= 40
    assert _everything(other) == before, "nothing of theirs has changed"


def test_every_list_holds_ones_own_things_only(app: App, theirs: tuple[App, dict[str, str]]) -> None:
    _, ids = theirs
    for path in _lists():
        text = app.call("GET", path).text
        assert "their" not in text, path
        assert not [one for one in ids.values() if one in text], path


def test_a_foreign_account_id_is_one_that_this_owner_does_not_have(
    app: App, theirs: tuple[App, dict[str, str]]
) -> None:
    _, ids = theirs
    app.connect(USER)
    for path in ("token", "credentials"):
        reply = app.call(
            "POST", f"/data-integrations/sandbox/{path}", {"user_id": USER, "connected_account_id": ids["account"]}
        )
        assert (reply.status_code, reply.json()["code"]) == (404, "connected_account_not_found")
    body = {"connection_intent": "reauthorize", "connected_account_id": ids["account"], "return_to": RETURN_TO}
    assert app.authorize(USER, **body).status_code == 404
    path = f"/user_management/users/{USER}/connected_accounts/sandbox?connected_account_id={ids['account']}"
    assert app.call("GET", path).status_code == 404
    assert app.call("PUT", path, {"access_token": "mine"}).status_code == 404
    assert app.call("DELETE", path).status_code == 404
    assert app.has_account(USER)


def test_foreign_cursors_show_nothing_of_theirs(app: App, theirs: tuple[App, dict[str, str]]) -> None:
    _, ids = theirs
    for path, cursor in (
        ("/webhook_endpoints", ids["we"]),
        (f"/user_management/organization_memberships?organization_id={ORGANIZATION}", ids["om"]),
    ):
        for side in ("after", "before"):
            reply = app.call("GET", f"{path}{'&' if '?' in path else '?'}{side}={cursor}")
            assert reply.status_code == 200
            assert "their" not in reply.text


def test_a_connect_code_of_one_environment_does_not_finish_in_another(
    app: App, theirs: tuple[App, dict[str, str]]
) -> None:
    other, _ = theirs
    app.call("POST", "/user_management/redirect_uris", {"uri": RETURN_TO})
    user, (verifier, asked) = anyone(), challenge()
    with Browser() as browser:
        code = query_of(browser.walk(app.link(user, **asked), stop_at=RETURN_TO))["connect_code"]
    body = {"connect_code": code, "code_verifier": verifier}
    refused = other.call("POST", "/data-integrations/finish", body)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_connect_code")
    assert app.call("POST", "/data-integrations/finish", body).status_code == 200


def test_one_users_account_is_not_anothers(app: App) -> None:
    user, stranger = anyone(), anyone()
    app.connect(user)
    account = app.account(user)["id"]
    assert app.token(stranger) == {"active": False, "error": "not_installed"}
    assert app.token(user, organization_id="org_1") == {"active": False, "error": "not_installed"}
    for near in (user.upper(), f" {user}", f"{user} ", user + "0", "%", "_" * len(user), user[:-1] + "%"):
        assert app.token(near) == {"active": False, "error": "not_installed"}
    reply = app.call("POST", "/data-integrations/sandbox/token", {"user_id": stranger, "connected_account_id": account})
    assert reply.status_code == 404


def test_several_accounts_are_never_guessed_at(app: App) -> None:
    user = anyone()
    app.connect(user)
    app.connect(user, connection_intent="add")
    reply = app.call(
        "POST", "/data-integrations/sandbox/token", {"user_id": user, "supports_multiple_connections": True}
    )
    assert (reply.status_code, reply.json()["code"]) == (409, "account_selection_required")


def _lists() -> list[str]:
    return [
        "/data-integrations?limit=100",
        "/webhook_endpoints?limit=100",
        "/user_management/redirect_uris",
        f"/user_management/organization_memberships?organization_id={ORGANIZATION}",
        f"/user_management/organization_memberships?user_id={USER}&statuses=active,inactive,pending",
        f"/user_management/users/{USER}/data_providers?supports_multiple_connections=true",
        f"/organizations/{ORGANIZATION}/data_integration_configurations",
        "/events?limit=100&events=pipes.connected_account.connected,pipes.connected_account.disconnected",
    ]


def _everything(app: App) -> list[str]:
    return [app.call("GET", path).text for path in _lists()]


# 27. Guessing keys


def test_a_wrong_key_of_any_shape_is_401_in_the_same_words(app: App) -> None:
    right = app.api_key
    wrong = [
        "sk_",
        "sk_" + "A" * 43,
        right[:-1],
        right + "x",
        right.swapcase(),
        right.removeprefix("sk_"),
        "pk_" + right.removeprefix("sk_"),
        "sk_" + "A" * 10_000,
        "sk_%",
        "sk_' OR 1=1 --",
        hashlib.sha256(right.encode()).hexdigest(),
    ]
    for key in wrong:
        reply = app.call("GET", "/data-integrations", headers={"authorization": f"Bearer {key}"})
        assert (reply.status_code, reply.json()["code"]) == (401, "unauthenticated"), key
        assert set(reply.json()) == {"message", "code"}
        assert right not in reply.text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Basic c2s6"},
        {"authorization": "{key}"},
        {"x-api-key": "{key}"},
        {"cookie": "api_key={key}"},
    ],
)
def test_no_key_where_one_is_expected_is_401(app: App, headers: dict[str, str]) -> None:
    sent = {name: value.replace("{key}", app.api_key) for name, value in headers.items()}
    document = app.http.get(f"{app.base_url}/openapi.json").json()
    for method, path, _ in _operations(document):
        url = app.base_url + re.sub(r"\{\w+\}", "x", path)
        reply = app.http.request(method, url, headers=sent)
        assert (reply.status_code, reply.json()["code"]) == (401, "unauthenticated"), path


def test_a_key_in_the_query_is_no_key(app: App) -> None:
    assert app.http.get(f"{app.base_url}/data-integrations?api_key={app.api_key}").status_code == 401


def test_the_scheme_is_case_insensitive_and_the_first_of_two_keys_counts(app: App) -> None:
    for headers, status in (
        ([("authorization", f"bearer {app.api_key}")], 200),
        ([("authorization", "Bearer sk_wrong"), ("authorization", f"Bearer {app.api_key}")], 401),
    ):
        assert app.http.get(f"{app.base_url}/data-integrations", headers=headers).status_code == status


def test_the_database_holds_a_hash_of_the_key_and_not_the_key(attacked: HoldfastProcess, app: App) -> None:
    """Nor a plain hash, which could be looked up in a table of leaked keys."""
    held = database_file(attacked).read_bytes()
    wal = database_file(attacked).with_name("holdfast.db-wal")
    held += wal.read_bytes() if wal.exists() else b""
    bare = app.api_key.removeprefix("sk_")
    plain = [hashlib.new(name, key.encode()) for name in ("sha256", "sha1", "md5") for key in (bare, app.api_key)]
    for text in (app.api_key, bare, bare[:20], *(digest.hexdigest() for digest in plain)):
        assert text.encode() not in held
    for digest in plain:
        assert digest.digest() not in held
    assert app.api_key not in attacked.log()
