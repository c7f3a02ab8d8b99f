"""An account connected at one door lives and ends at the other: both official SDKs, and a strict OpenID provider."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from scalekit import ScalekitClient
from scalekit.common.exceptions import ScalekitNotFoundException

from tests.conformance.scalekit_house import House
from tests.journeys.journey import Journey
from tests.parts.browser import Browser
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
