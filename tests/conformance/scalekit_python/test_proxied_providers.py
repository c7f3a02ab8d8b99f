"""Providers that an environment defined for itself, called through both proxies: where each kind of auth pattern puts
the credential, and the hosts that it may go to. The upstream is on TLS, as a definition demands."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from scalekit import ScalekitClient
from scalekit.actions.models.custom_provider import AuthPattern
from scalekit.actions.models.requests.create_custom_provider_request import CreateCustomProviderRequest
from scalekit.v1.connections.connections_pb2 import CreateConnection

from tests.conformance.scalekit_house import House
from tests.parts.capture import Capture, Captured, capturing, reply

SECRET = "k-0123456789-the-secret"
FIELD = {"field_name": "api_key", "label": "Key", "input_type": "password", "required": True}
LOGIN = [{"field_name": "username", "label": "Name"}, {"field_name": "password", "input_type": "password"}]
BASIC = "Basic " + base64.b64encode(f"ada:{SECRET}".encode()).decode()
KEY: dict[str, Any] = {"type": "API_KEY", "fields": [FIELD], "auth_header_key_override": "X-Acme-Key"}

PATTERNS: dict[str, tuple[dict[str, Any], dict[str, str], tuple[str, str], str]] = {
    "a header of its own": (KEY, {"api_key": SECRET}, ("x-acme-key", SECRET), "/v1"),
    "a header that its field names": (
        {"type": "API_KEY", "fields": [{**FIELD, "header_name": "X-Field-Key"}]},
        {"api_key": SECRET},
        ("x-field-key", SECRET),
        "/v1",
    ),
    "a prefix and a suffix": (
        {
            "type": "API_KEY",
            "fields": [FIELD],
            "auth_field_mutations": {"api_key": {"prefix": "Token token=", "suffix": ";v=1"}},
        },
        {"api_key": SECRET},
        ("authorization", f"Token token={SECRET};v=1"),
        "/v1",
    ),
    "a prefix in a header of its own": (
        {**KEY, "auth_field_mutations": {"api_key": {"prefix": "Key "}}},
        {"api_key": SECRET},
        ("x-acme-key", f"Key {SECRET}"),
        "/v1",
    ),
    "a bearer": (
        {"type": "BEARER", "fields": [{**FIELD, "field_name": "token"}]},
        {"token": SECRET},
        ("authorization", f"Bearer {SECRET}"),
        "/v1",
    ),
    "user name and password": (
        {"type": "BASIC", "fields": LOGIN},
        {"username": "ada", "password": SECRET},
        ("authorization", BASIC),
        "/v1",
    ),
    "a part of the path beside it": (
        {**KEY, "fields": [FIELD, {"field_name": "tenant", "label": "Tenant", "is_path_param": True}]},
        {"api_key": SECRET, "tenant": "acme"},
        ("x-acme-key", SECRET),
        "/v1/{{tenant}}",
    ),
}
"""Pattern, what the account gives, the header that has to arrive, and the path of the API's address."""


@pytest.fixture
async def upstream(house: House) -> AsyncIterator[Capture]:
    async with capturing(house.certified()) as running:
        running.answers(reply("200 OK", b'{"things":[]}', "Content-Type: application/json"))
        yield running


@pytest.fixture
async def web(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    """Call the server with TLS as an app does that has no SDK."""
    trust = ssl.create_default_context(cafile=str(house.authority))
    headers = {"authorization": f"Bearer {house.clear.api_key}"}
    async with httpx2.AsyncClient(
        base_url=house.secure.base_url, headers=headers, verify=trust, trust_env=False, timeout=30
    ) as client:
        yield client


@pytest.mark.parametrize("kind", PATTERNS)
async def test_the_credential_goes_where_the_pattern_says_through_both_proxies(
    house: House, client: ScalekitClient, upstream: Capture, web: httpx2.AsyncClient, kind: str
) -> None:
    pattern, given, (name, value), path = PATTERNS[kind]
    connector = await asyncio.to_thread(_defined, house, client, pattern, upstream.url + path)
    user = await asyncio.to_thread(_connected, house, client, connector, given)
    caller = {"X-Acme-Key": "the caller's own", "X-Mine": "yes"}

    answer = await asyncio.to_thread(
        client.actions.request, connector, user, "/things", query_params={"a": "b"}, headers=caller
    )
    assert (answer.status_code, answer.json()) == (200, {"things": []}), answer.text
    assert answer.headers["x-holdfast-upstream-status"] == "200"
    by_path = await web.get(f"/relay/{connector}/things?a=b", headers={"x-relay-user": user, **caller})
    assert (by_path.status_code, by_path.headers["x-relay-upstream-status"]) == (200, "200"), by_path.text
    url = upstream.url + path.replace("{{tenant}}", "acme") + "/things?a=b"
    named = {"x-relay-user": user, "x-relay-provider": connector, "x-relay-url": url}
    by_url = await web.get("/relay", headers={**named, **caller})
    assert (by_url.status_code, by_url.headers["x-relay-upstream-status"]) == (200, "200"), by_url.text

    platform = (str(client.core_client.access_token), house.clear.api_key)
    assert len(upstream.requests) == 3
    for request in upstream.requests:
        assert request.target == path.replace("{{tenant}}", "acme") + "/things?a=b"
        assert [text for key, text in request.headers if key == name] == [value]
        assert request.header("x-mine") == "yes"
        assert _places_of(request, SECRET if name != "authorization" or "Basic" not in value else BASIC) == [name]
        assert not any(ours in text for ours in platform for _, text in request.headers)
        assert not {key for key, _ in request.headers} & {"connection_name", "identifier", "x-relay-user"}


async def test_a_provider_without_credentials_is_connected_by_naming_the_account(
    house: House, client: ScalekitClient, upstream: Capture, web: httpx2.AsyncClient
) -> None:
    connector = await asyncio.to_thread(_defined, house, client, {"type": "NO_AUTH"}, upstream.url + "/v1")
    user = house.new("user")
    for _ in range(2):
        made = await asyncio.to_thread(client.actions.get_or_create_connected_account, connector, user)
        account = made.connected_account
        assert (account.status, account.authorization_type) == ("ACTIVE", "NO_AUTH")
    read = await asyncio.to_thread(client.actions.get_connected_account, connector, user)
    assert read.connected_account.status == "ACTIVE" and not read.connected_account.authorization_details
    answer = await asyncio.to_thread(client.actions.request, connector, user, "/things", query_params={"a": "b"})
    assert (answer.status_code, answer.json()) == (200, {"things": []}), answer.text
    assert upstream.last.target == "/v1/things?a=b" and upstream.last.header("authorization") is None
    platform = (str(client.core_client.access_token), house.clear.api_key)
    assert not any(ours in text for ours in platform for _, text in upstream.last.headers)
    for what in ("token", "credentials"):
        refused = await web.post(f"/data-integrations/{connector}/{what}", json={"user_id": user})
        assert (refused.status_code, refused.json()["code"]) == (422, "auth_method_mismatch")


async def test_an_accounts_own_domain_must_be_an_allowed_one(
    house: House, client: ScalekitClient, upstream: Capture, web: httpx2.AsyncClient
) -> None:
    fields = [{"field_name": "domain", "label": "Domain", "required": True}]
    pattern = {**KEY, "account_fields": fields, "allowed_proxy_domains": ["127.0.0.1", "*.acme.example"]}
    address = f"https://{{{{domain}}}}:{upstream.port}/v1"
    connector = await asyncio.to_thread(_defined, house, client, pattern, address)
    user = await asyncio.to_thread(_connected, house, client, connector, {"api_key": SECRET}, domain="127.0.0.1")

    answer = await asyncio.to_thread(client.actions.request, connector, user, "/things")
    assert answer.status_code == 200, answer.text
    relayed = await web.get(f"/relay/{connector}/things", headers={"x-relay-user": user})
    assert relayed.status_code == 200, relayed.text
    assert [request.header("x-acme-key") for request in upstream.requests] == [SECRET] * 2

    named = {"x-relay-user": user, "x-relay-provider": connector}
    for elsewhere in (
        f"https://localhost:{upstream.port}/v1/things",
        f"https://evil.example:{upstream.port}/v1/things",
    ):
        refused = await web.get("/relay", headers={**named, "x-relay-url": elsewhere})
        assert refused.status_code in (400, 403), refused.text
        assert "x-relay-upstream-status" not in refused.headers
    for domain in ("localhost", "evil.example", "127.0.0.1@evil.example", "acme.example"):
        body = {"connector": connector, "identifier": user, "connected_account": {"api_config": {"domain": domain}}}
        changed = await web.put("/api/v1/connected_accounts", json=body)
        assert changed.status_code == 400, (domain, changed.text)
    assert len(upstream.requests) == 2, "nothing went anywhere"


def _places_of(request: Captured, secret: str) -> list[str]:
    """Return the headers that hold the credential; the request's line must not."""
    assert secret not in request.line
    return [name for name, text in request.headers if secret in text]


def _defined(house: House, client: ScalekitClient, pattern: dict[str, Any], address: str) -> str:
    """Define a provider and make a connection to it; return the connection's name."""
    one = AuthPattern.from_dict({"display_name": "Key", **pattern})
    asked = CreateCustomProviderRequest(display_name="Acme Rockets", proxy_url=address, auth_patterns=[one])
    made = client.actions.providers.create_custom_provider(asked).provider
    name = house.new("rockets").replace("_", "-")
    wanted = CreateConnection(provider_key=made.identifier, key_id=name)
    return str(client.connection.create_environment_connection(wanted)[0].connection.key_id)


def _connected(house: House, client: ScalekitClient, connector: str, given: dict[str, str], **api_config: str) -> str:
    user = house.new("user")
    client.actions.create_connected_account(connector, user, {"static_auth": given}, api_config=api_config or None)
    return user
