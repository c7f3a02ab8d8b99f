"""What is deleted here is dead at a certified OpenID provider too: by the door that promises it, and over a crash."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import httpx2
import pytest

from holdfast.accounts import Owner
from holdfast.app import Holdfast
from holdfast.cli.serve import running
from holdfast.config import Config
from holdfast.connections.changes import Changes, NewConnection
from holdfast.connections.clients import ClientInput
from holdfast.events import Action, Actor, Entry
from holdfast.events import store as log
from holdfast.oauth2.dialect import Dialect
from holdfast.providers.entry import Call, CallAuth, Identity, Provider, Revoke
from holdfast.secret import Secret
from tests.journeys.test_scalekit_accounts import ACCOUNTS, app_of, connect
from tests.parts.oidc_provider import OidcProvider
from tests.parts.server import HoldfastProcess

pytestmark = pytest.mark.node

WHERE = {"connector": "acme", "identifier": "ada"}


async def set_up(holdfast: Holdfast, at: OidcProvider) -> None:
    """Define the provider with its RFC 7009 endpoint, and make a connection to it."""
    entry = Provider(
        slug="acme",
        name="Acme",
        auth="oauth2",
        custom=True,
        oauth2=Dialect(
            authorize_url=at.authorize_url, token_url=at.token_url, scopes=("openid", "offline_access", "read")
        ),
        revoke=Revoke(
            call=Call(
                url=at.revocation_url,
                method="POST",
                auth=CallAuth(kind="client_basic"),
                body="form",
                params={"token": "{token}", "token_type_hint": "{token_type_hint}"},
            ),
            token="both",
        ),
        identity=Identity(call=Call(url=at.userinfo_url), id="sub"),
    )
    client = ClientInput(at.client_id, Secret(at.client_secret))
    new = NewConnection(provider_slug="acme", enabled=True, definition=entry, client_supply="custom", client=client)
    await holdfast.connections.create(holdfast.environment.id, new, Actor.system())


def is_active(at: OidcProvider, token: str) -> bool:
    """Ask the provider (RFC 7662)."""
    reply = httpx2.post(at.introspection_url, data={"token": token}, auth=basic(at), trust_env=False)
    return bool(reply.json()["active"])


def basic(at: OidcProvider) -> Any:
    return quote_plus(at.client_id), quote_plus(at.client_secret)


async def stored_refresh_token(holdfast: Holdfast, user: str) -> str:
    found, _ = await holdfast.keeping.find(holdfast.environment.id, "acme", Owner.user(user))
    assert found.grant is not None
    return holdfast.vault.open(found.grant, found.grant_place()).reveal()


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 30.0) -> None:
    for _ in range(int(seconds / 0.1)):
        if await condition():
            return
        await asyncio.sleep(0.1)
    raise AssertionError("it did not come about")


async def test_a_deleted_accounts_tokens_are_dead_at_the_provider(tmp_path: Path, oidc_provider: OidcProvider) -> None:
    async with running(Config(dev=True, data_dir=tmp_path, port=0)) as (holdfast, _), app_of(holdfast) as web:
        await set_up(holdfast, oidc_provider)
        found = await connect(web, "acme", "ada")
        access = found["authorization_details"]["oauth_token"]["access_token"]
        refresh = await stored_refresh_token(holdfast, "ada")
        assert is_active(oidc_provider, access)
        assert is_active(oidc_provider, refresh)
        assert (await web.post(f"{ACCOUNTS}:delete", json=WHERE)).status_code == 200

        async def told() -> list[Entry]:
            kinds = [log.Kind(Action.ACCOUNT_REVOCATION_DONE)]
            return await holdfast.database.transact(
                lambda tx: log.list_entries(tx, holdfast.environment.id, kinds=kinds, limit=5)
            )

        async def is_told() -> bool:
            return bool(await told())

        await until(is_told)
        assert not is_active(oidc_provider, access)
        assert not is_active(oidc_provider, refresh)
        form = {"grant_type": "refresh_token", "refresh_token": refresh}
        again = httpx2.post(oidc_provider.token_url, data=form, auth=basic(oidc_provider), trust_env=False)
        assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
        assert access not in repr(await told())
        assert refresh not in repr(await told())


async def test_a_kill_between_deletion_and_revocation_loses_nothing(
    tmp_path: Path, oidc_provider: OidcProvider
) -> None:
    async with running(Config(dev=True, data_dir=tmp_path, port=0)) as (holdfast, _), app_of(holdfast) as web:
        await set_up(holdfast, oidc_provider)
        await connect(web, "acme", "ada")
        refresh = await stored_refresh_token(holdfast, "ada")
        assert holdfast.firsts.client is not None
        name, secret = holdfast.firsts.client
        form = {"grant_type": "client_credentials", "client_id": name, "client_secret": secret.reveal()}
    quick = {"HOLDFAST_OUTBOUND_TIMEOUT": "1"}
    server = HoldfastProcess(tmp_path, env=quick)
    try:
        oidc_provider.freeze()
        try:
            async with httpx2.AsyncClient(base_url=server.base_url, trust_env=False, timeout=30) as web:
                token = (await web.post("/oauth/token", data=form)).json()["access_token"]
                headers = {"authorization": f"Bearer {token}"}
                assert (await web.post(f"{ACCOUNTS}:delete", json=WHERE, headers=headers)).status_code == 200
            assert server.kill() == -signal.SIGKILL
        finally:
            oidc_provider.thaw()
        assert is_active(oidc_provider, refresh)
        server = HoldfastProcess(tmp_path, env=quick)

        async def is_dead() -> bool:
            return not is_active(oidc_provider, refresh)

        await until(is_dead)
    finally:
        server.stop()
    assert refresh not in server.log()


async def test_the_workos_doors_deletion_leaves_the_provider_alone(tmp_path: Path, oidc_provider: OidcProvider) -> None:
    async with running(Config(dev=True, data_dir=tmp_path, port=0)) as (holdfast, _), app_of(holdfast) as web:
        await set_up(holdfast, oidc_provider)
        for setting, lives in (("usual", True), ("always", False)):
            await connect(web, "acme", "ada")
            refresh = await stored_refresh_token(holdfast, "ada")
            changes = Changes(revokes=setting)  # type: ignore[arg-type]
            await holdfast.connections.update(holdfast.environment.id, "acme", "user", changes, Actor.system())
            assert holdfast.first_key is not None
            bearer = {"authorization": f"Bearer {holdfast.first_key.reveal()}"}
            gone = await web.delete("/user_management/users/ada/connected_accounts/acme", headers=bearer)
            assert gone.status_code // 100 == 2, gone.text
            await holdfast.revoker.run()
            assert is_active(oidc_provider, refresh) is lives
