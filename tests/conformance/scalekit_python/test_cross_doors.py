"""An account connected at one door lives and ends at the other: both official SDKs, and a strict OpenID provider."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from scalekit import ScalekitClient
from scalekit.actions.models.custom_provider import AuthPattern
from scalekit.actions.models.requests.create_custom_provider_request import CreateCustomProviderRequest
from scalekit.common.exceptions import ScalekitNotFoundException
from scalekit.v1.connections.connections_pb2 import CreateConnection, OAuthConnectionConfig, UpdateConnection

from tests.conformance.scalekit_house import House
from tests.journeys.journey import Journey
from tests.parts.browser import Browser
from tests.parts.capture import Captured, capturing, reply
from tests.parts.oidc_provider import OidcProvider

pytestmark = pytest.mark.node
LIFE = 2
"""Seconds that the first token lives."""


@pytest.fixture
async def journey(house: House) -> AsyncIterator[Journey]:
    with Browser(house.authority) as person:
        begun = Journey(house.clear, person)
        yield begun
        await begun.sdk.close()


async def _defined(journey: Journey, provider: OidcProvider) -> str:
    return await journey.define(
        client_id=provider.client_id,
        client_secret=provider.client_secret,
        authorization_url=provider.authorize_url,
        token_url=provider.token_url,
    )


def _whoami(provider: OidcProvider, token: str) -> Any:
    return httpx2.get(provider.userinfo_url, headers={"authorization": f"Bearer {token}"}).json().get("sub")


def _token(client: ScalekitClient, connector: str, user: str) -> str:
    found = client.actions.get_connected_account(connector, user).connected_account
    return str(found.authorization_details["oauth_token"]["access_token"])


def _listed(client: ScalekitClient, connector: str) -> list[str]:
    page = client.actions.list_connected_accounts(connection_name=connector)
    return [one.identifier for one in page.connected_accounts]


async def test_what_pipes_connected_is_read_refreshed_and_deleted_by_agentkit(
    house: House, client: ScalekitClient, journey: Journey, oidc_provider: OidcProvider
) -> None:
    slug, user = await _defined(journey, oidc_provider), house.new("user")
    oidc_provider.set_access_ttl(LIFE)
    assert "error" not in await journey.connect(slug, user)
    oidc_provider.set_access_ttl(3600)
    await asyncio.sleep(LIFE + 0.2)
    before = oidc_provider.refreshes()
    token = await asyncio.to_thread(_token, client, slug, user)
    assert oidc_provider.refreshes() - before == 1
    assert _whoami(oidc_provider, token) == "ada"
    assert await journey.token(slug, user) == token
    assert await asyncio.to_thread(_listed, client, slug) == [user]
    await asyncio.to_thread(client.actions.delete_connected_account, slug, user)
    assert await journey.refused(slug, user) == "not_installed"


async def test_what_agentkit_connected_is_read_refreshed_and_deleted_by_pipes(
    house: House, client: ScalekitClient, journey: Journey, oidc_provider: OidcProvider
) -> None:
    slug, user = await _defined(journey, oidc_provider), house.new("user")
    oidc_provider.set_access_ttl(LIFE)
    link = await asyncio.to_thread(client.actions.get_authorization_link, connection_name=slug, identifier=user)
    await journey.browser.walk_async(link.link, stop_at=house.secure.base_url + "/connect/success")
    oidc_provider.set_access_ttl(3600)
    await asyncio.sleep(LIFE + 0.2)
    before = oidc_provider.refreshes()
    token = await journey.token(slug, user)
    assert oidc_provider.refreshes() - before == 1
    assert _whoami(oidc_provider, token) == "ada"
    assert await asyncio.to_thread(_token, client, slug, user) == token
    assert await journey.state(slug, user) == "connected"
    await journey.sdk.pipes.delete_user_connected_account(user, slug)
    with pytest.raises(ScalekitNotFoundException):
        await asyncio.to_thread(client.actions.get_connected_account, slug, user)
    assert await asyncio.to_thread(_listed, client, slug) == []


async def test_a_token_that_its_provider_refuses_is_renewed_once_by_agentkits_proxy(
    house: House, client: ScalekitClient, journey: Journey, oidc_provider: OidcProvider
) -> None:
    async with _guarded(house, oidc_provider) as (api, asked):
        slug, user = await asyncio.to_thread(_with_api, house, client, oidc_provider, api), house.new("user")
        assert "error" not in await journey.connect(slug, user)
        first = await journey.token(slug, user)
        oidc_provider.end_token(first)
        before = oidc_provider.refreshes()

        calls = (asyncio.to_thread(client.actions.request, slug, user, "/me") for _ in range(4))
        answers = await asyncio.gather(*calls)

    assert [answer.json().get("sub") for answer in answers] == ["ada"] * 4
    assert first in asked, "the proxy began with the token that there was"
    assert oidc_provider.refreshes() - before == 1
    second = await journey.token(slug, user)
    assert (second != first, _whoami(oidc_provider, second)) == (True, "ada")
    assert oidc_provider.refreshes() - before == 1


async def test_what_agentkit_connected_is_renewed_once_when_pipes_asks_for_a_longer_life(
    house: House, client: ScalekitClient, journey: Journey, oidc_provider: OidcProvider
) -> None:
    slug, user = await _defined(journey, oidc_provider), house.new("user")
    oidc_provider.set_access_ttl(900)
    link = await asyncio.to_thread(client.actions.get_authorization_link, connection_name=slug, identifier=user)
    await journey.browser.walk_async(link.link, stop_at=house.secure.base_url + "/connect/success")
    oidc_provider.set_access_ttl(3600)
    before, first = oidc_provider.refreshes(), await asyncio.to_thread(_token, client, slug, user)
    assert oidc_provider.refreshes() == before, "it lives"

    path = f"/data-integrations/{slug}/token"  # the SDK has no parameter for min_ttl
    answers = await asyncio.gather(*(journey.post(path, user_id=user, min_ttl=1800) for _ in range(4)))

    (second,) = {answer["access_token"]["access_token"] for answer in answers}
    assert oidc_provider.refreshes() - before == 1
    assert (second != first, _whoami(oidc_provider, second)) == (True, "ada")
    assert await asyncio.to_thread(_token, client, slug, user) == second
    assert oidc_provider.refreshes() - before == 1


@asynccontextmanager
async def _guarded(house: House, provider: OidcProvider) -> AsyncIterator[tuple[str, list[str]]]:
    """Run an API that asks the provider whose token a call carries; yield its address, and the tokens it was sent."""
    asked: list[str] = []

    async def behave(request: Captured, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        token = (request.header("authorization") or "").removeprefix("Bearer ")
        asked.append(token)
        sub = await asyncio.to_thread(_whoami, provider, token)
        status = "200 OK" if sub else "401 Unauthorized"
        writer.write(reply(status, json.dumps({"sub": sub}).encode(), "Content-Type: application/json"))
        await writer.drain()

    async with capturing(house.certified()) as upstream:
        upstream.behaviour = behave
        yield upstream.url, asked


def _with_api(house: House, client: ScalekitClient, provider: OidcProvider, api: str) -> str:
    """Define the provider with its API at the AgentKit door, and connect the app to it; return its name."""
    scopes = [{"scope": scope, "required": True} for scope in ("openid", "offline_access", "read")]
    config = {
        "authorize_uri": provider.authorize_url,
        "token_uri": provider.token_url,
        "token_endpoint_auth_method": "client_secret_basic",
        "available_scopes": scopes,
        "pkce_enabled": True,
    }
    pattern = AuthPattern.from_dict({"type": "OAUTH", "display_name": "Sign in", "oauth_config": config})
    asked = CreateCustomProviderRequest(display_name="Guarded", proxy_url=api, auth_patterns=[pattern])
    made = client.actions.providers.create_custom_provider(asked).provider
    name = house.new("guarded").replace("_", "-")
    wanted = CreateConnection(provider_key=made.identifier, key_id=name)
    connection = client.connection.create_environment_connection(wanted)[0].connection
    secret = OAuthConnectionConfig(
        client_id=StringValue(value=provider.client_id), client_secret=StringValue(value=provider.client_secret)
    )
    client.connection.update_environment_connection(connection.id, UpdateConnection(oauth_config=secret))
    return str(connection.key_id)
