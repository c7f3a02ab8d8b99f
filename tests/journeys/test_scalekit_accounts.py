"""An app at the Scalekit door, signed in as its SDKs do: its users connect at other people's servers, and it calls
those through the proxy."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from holdfast.app import Holdfast
from holdfast.cli.serve import running
from holdfast.config import Config
from holdfast.connections.changes import NewConnection
from holdfast.connections.clients import ClientInput
from holdfast.events import Actor
from holdfast.oauth2.dialect import Dialect
from holdfast.providers.entry import Provider
from holdfast.secret import Secret
from tests.parts.browser import Browser, LostWay
from tests.parts.emulate import Emulators
from tests.parts.oidc_provider import OidcProvider

ACCOUNTS = "/api/v1/connected_accounts"
BACK = "http://localhost:3000/back"


@asynccontextmanager
async def app_of(holdfast: Holdfast) -> AsyncIterator[httpx2.AsyncClient]:
    """Sign in with the first client; what is called from then on carries its access token."""
    assert holdfast.firsts.client is not None
    name, secret = holdfast.firsts.client
    form = {"grant_type": "client_credentials", "client_id": name, "client_secret": secret.reveal()}
    async with httpx2.AsyncClient(base_url=holdfast.config.base_url, trust_env=False, timeout=30) as web:
        token = (await web.post("/oauth/token", data=form)).json()["access_token"]
        web.headers["authorization"] = f"Bearer {token}"
        yield web


async def connect(web: httpx2.AsyncClient, connector: str, user: str, choose: str | None = None) -> Any:
    """Take a user through a link, verify them, return the account as read with its credential."""
    asked = {"connector": connector, "identifier": user, "user_verify_url": BACK, "state": "s"}
    link = (await web.post(f"{ACCOUNTS}/magic_link", json=asked)).json()["link"]
    with Browser() as person:
        landed = await person.walk_async(link, stop_at=BACK, choose=choose)
    told = {name: values[0] for name, values in parse_qs(urlsplit(landed).query).items()}
    assert told["state"] == "s"
    where = {"connector": connector, "identifier": user}
    waiting = (await web.get(f"{ACCOUNTS}/auth", params=where)).json()["connected_account"]
    assert "authorization_details" not in waiting or waiting["status"] == "ACTIVE"
    body = {"auth_request_id": told["auth_request_id"], "identifier": user}
    assert (await web.post(f"{ACCOUNTS}/user/verify", json=body)).status_code == 200
    return (await web.get(f"{ACCOUNTS}/auth", params=where)).json()["connected_account"]


@pytest.mark.node
async def test_a_certified_provider_knows_whom_a_linked_account_is(tmp_path: Path, oidc_provider: OidcProvider) -> None:
    provider = Provider(
        slug="acme",
        name="Acme",
        auth="oauth2",
        custom=True,
        oauth2=Dialect(
            authorize_url=oidc_provider.authorize_url,
            token_url=oidc_provider.token_url,
            scopes=("openid", "offline_access", "read"),
        ),
    )
    async with running(Config(dev=True, data_dir=tmp_path, port=0)) as (holdfast, _), app_of(holdfast) as web:
        client = ClientInput(oidc_provider.client_id, Secret(oidc_provider.client_secret))
        new = NewConnection(
            provider_slug="acme", enabled=True, definition=provider, client_supply="custom", client=client
        )
        await holdfast.connections.create(holdfast.environment.id, new, Actor.system())
        tokens = []
        for _ in range(2):  # the second time while the account is active
            found = await connect(web, "acme", "ada")
            assert found["status"] == "ACTIVE"
            tokens.append(found["authorization_details"]["oauth_token"]["access_token"])
            who = httpx2.get(oidc_provider.userinfo_url, headers={"authorization": f"Bearer {tokens[-1]}"})
            assert who.json()["sub"] == "ada"
        assert len(set(tokens)) == 2


@pytest.mark.node
async def test_a_connection_may_have_a_public_client_where_its_provider_has_others(
    tmp_path: Path, oidc_provider: OidcProvider
) -> None:
    pattern = {
        "type": "OAUTH",
        "display_name": "Acme",
        "fields": [],
        "oauth_config": {"authorize_uri": oidc_provider.authorize_url, "token_uri": oidc_provider.token_url},
    }
    body = {"display_name": "Acme", "proxy_url": "https://api.acme.example", "auth_patterns": [pattern]}
    async with running(Config(dev=True, data_dir=tmp_path, port=0)) as (holdfast, _), app_of(holdfast) as web:
        made = (await web.post("/api/v1/custom-providers", json=body)).json()["provider"]
        new = {"provider_key": made["identifier"], "type": "OAUTH", "key_id": "acme"}
        path = "/api/v1/connections/" + (await web.post("/api/v1/connections", json=new)).json()["connection"]["id"]
        config = {
            "client_id": oidc_provider.public_client_id,
            "client_secret": "none-that-is-known",
            "scopes": ["openid", "offline_access", "read"],
            "prompt": "consent",
        }
        assert (await web.patch(path, json={"oauth_config": config})).status_code == 200
        asked = {"connector": "acme", "identifier": "ada", "user_verify_url": BACK, "state": "s"}
        link = (await web.post(f"{ACCOUNTS}/magic_link", json=asked)).json()["link"]
        with Browser() as person, pytest.raises(LostWay, match="refuses this app"):
            await person.walk_async(link, stop_at=BACK)
        public = {"oauth_config": {"token_endpoint_auth_method": "none"}}
        assert (await web.patch(path, json=public)).status_code == 200
        found = await connect(web, "acme", "ada")
        assert found["status"] == "ACTIVE"
        token = found["authorization_details"]["oauth_token"]["access_token"]
        who = httpx2.get(oidc_provider.userinfo_url, headers={"authorization": f"Bearer {token}"})
        assert who.json()["sub"] == "ada"


@pytest.mark.node
async def test_an_emulated_vendor_is_called_with_the_token_that_signs_grpc_calls(
    tmp_path: Path, emulators: Emulators
) -> None:
    config = Config(dev=True, data_dir=tmp_path, port=0, provider_origins=emulators.provider_origins())
    async with running(config) as (holdfast, _), app_of(holdfast) as web:
        app = emulators["github"]
        client = ClientInput(app.client_id, Secret(app.client_secret))
        new = NewConnection(provider_slug="github", client_supply="custom", client=client, enabled=True)
        await holdfast.connections.create(holdfast.environment.id, new, Actor.system())
        found = await connect(web, "github", "user_1", choose=app.users[1])
        assert (found["provider"], found["status"]) == ("GITHUB", "ACTIVE")
        named = {"Connection_name": "github", "identifier": "user_1"}
        for _ in range(2):  # the second time the token is known
            reply = await web.get("/proxy/user", headers=named)
            assert (reply.status_code, reply.json()["login"]) == (200, "hubot")
        refused = await web.get("/proxy/user", headers={**named, "authorization": "Bearer made-up"})
        assert (refused.status_code, refused.json()["code"]) == (401, 16)
        missing = await web.get("/proxy/nowhere", headers=named)
        assert (missing.status_code, missing.headers["x-holdfast-upstream-status"]) == (404, "404")
        assert holdfast.firsts.client is not None
        key_id = holdfast.firsts.client[0].removeprefix("skc_")
        assert await holdfast.clients.revoke(holdfast.environment.id, key_id, Actor.system())
        assert (await web.get("/proxy/user", headers=named)).status_code == 401
