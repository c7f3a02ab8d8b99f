"""Journeys share servers; every address that a browser visits on one is kept, and searched for secrets at its end."""

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from tests.journeys.journey import Journey, check_addresses
from tests.parts.browser import Browser
from tests.parts.oidc_provider import OidcProvider
from tests.parts.postgres import Postgres
from tests.parts.server import HoldfastProcess

QUICK = {"HOLDFAST_REFUSAL_SPACING": "0.2"}
"""A dead grant is asked about twice; there is no need to wait a whole second in between."""


@pytest.fixture(scope="session")
def visited_urls() -> list[str]:
    """Every address that browsers have visited on journeys so far."""
    return []


@pytest.fixture
async def journey_on(browser: Browser, visited_urls: list[str]) -> AsyncIterator[Callable[..., Journey]]:
    """Begin a journey on a server: `journey_on(server)`. At its end, no address may hold a secret."""
    begun: list[Journey] = []

    def begin(server: HoldfastProcess, *, api_key: str = "") -> Journey:
        begun.append(Journey(server, browser, api_key=api_key))
        return begun[-1]

    yield begin
    for journey in begun:
        await journey.sdk.close()
    visited_urls.extend(browser.visited)
    assert browser.visited, "nobody went anywhere"
    check_addresses(browser.visited, {secret for journey in begun for secret in journey.secrets})


@pytest.fixture(scope="session")
def sqlite_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HoldfastProcess]:
    server = HoldfastProcess(tmp_path_factory.mktemp("journeys-sqlite"), env=QUICK)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres_servers(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres
) -> Iterator[tuple[HoldfastProcess, HoldfastProcess]]:
    """Two server processes beside each other: one database, one key file. The first one has the API key."""
    data_dir, dsn = tmp_path_factory.mktemp("journeys-postgres"), postgres.fresh_database()
    first = HoldfastProcess(data_dir, database=dsn, env=QUICK)
    second = HoldfastProcess(data_dir, database=dsn, env=QUICK)
    yield first, second
    second.stop()
    first.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def any_server(request: pytest.FixtureRequest) -> HoldfastProcess:
    """Once on each engine."""
    if request.param == "sqlite":
        return request.getfixturevalue("sqlite_server")
    return request.getfixturevalue("postgres_servers")[0]


@pytest.fixture
def provider(oidc_provider: OidcProvider) -> dict[str, str]:
    """What an app has to know of the shared OpenID provider."""
    return {
        "client_id": oidc_provider.client_id,
        "client_secret": oidc_provider.client_secret,
        "authorization_url": oidc_provider.authorize_url,
        "token_url": oidc_provider.token_url,
    }
