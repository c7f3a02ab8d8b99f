"""A certified OpenID provider that keeps its tokens' life to itself is asked, so that they are refreshed in time."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.accounts import Account, Owner
from holdfast.cli.serve import running
from holdfast.config import Config
from holdfast.connections.changes import NewConnection
from holdfast.connections.clients import ClientInput
from holdfast.events import Actor
from holdfast.oauth2.dialect import Dialect
from holdfast.providers.entry import Lifetime, Provider
from holdfast.secret import Secret
from holdfast.tokens.outcome import Refreshed
from tests.journeys.test_scalekit_accounts import app_of, connect
from tests.parts.oidc_provider import OidcProvider
from tests.parts.postgres import Postgres
from tests.storage.engines import ENGINES

pytestmark = pytest.mark.node

LIFE = 1234


@pytest.mark.parametrize("engine", ENGINES)
async def test_the_provider_says_when_each_token_ends(
    tmp_path: Path, oidc_provider: OidcProvider, engine: str, request: pytest.FixtureRequest
) -> None:
    database = ""
    if engine == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        database = server.fresh_database()
    entry = Provider(
        slug="acme",
        name="Acme",
        auth="oauth2",
        custom=True,
        oauth2=Dialect(
            authorize_url=oidc_provider.authorize_url,
            token_url=oidc_provider.token_url,
            introspect_url=oidc_provider.introspection_url,
            client_auth="client_secret_basic",
            scopes=("openid", "offline_access", "read"),
        ),
        lifetime=Lifetime(rotation="each_use", reuse="whole_grant_dead"),
    )
    oidc_provider.omit_expires_in()
    oidc_provider.set_access_ttl(LIFE)
    config = Config(dev=True, data_dir=tmp_path, port=0, database=database)
    async with running(config) as (holdfast, _), app_of(holdfast) as web:
        client = ClientInput(oidc_provider.client_id, Secret(oidc_provider.client_secret))
        new = NewConnection(provider_slug="acme", enabled=True, definition=entry, client_supply="custom", client=client)
        await holdfast.connections.create(holdfast.environment.id, new, Actor.system())

        async def stored() -> Account:
            found, _ = await holdfast.keeping.find(holdfast.environment.id, "acme", Owner.user("ada"))
            return found

        async def told(holds: Callable[[Account], bool]) -> Account:
            for _ in range(300):
                account = await stored()
                if holds(account):
                    return account
                await asyncio.sleep(0.1)
            raise AssertionError("the end is still unknown")

        await connect(web, "acme", "ada")
        first = await told(lambda account: account.expires_at is not None)
        assert first.expires_at == pytest.approx(time.time() + LIFE, abs=60)
        assert first.refresh_at == pytest.approx(first.expires_at - 300, abs=10)

        outcome = await holdfast.refresher.refresh(first, force=True)
        assert isinstance(outcome, Refreshed)
        assert outcome.account.expires_at is None, "the pair is stored before anybody is asked"
        version = outcome.account.credential_version
        second = await told(lambda account: account.expires_at is not None)
        assert second.credential_version == version == first.credential_version + 1
        assert second.expires_at == pytest.approx(time.time() + LIFE, abs=60)
