"""The parts as fixtures: started at first use, shared by the whole run, stopped at its end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.browser import Browser
from tests.parts.emulate import Emulators
from tests.parts.node import ensure_modules
from tests.parts.oidc_provider import OidcProvider
from tests.parts.pgbouncer import PROGRAM, Pgbouncer
from tests.parts.postgres import Postgres
from tests.parts.server import HoldfastProcess


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """tests/node/node_modules, installed."""
    return ensure_modules()


@pytest.fixture(scope="session")
def oidc_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OidcProvider]:
    """The shared OpenID provider. After each test its switches go back; its counts go on: compare differences."""
    provider = OidcProvider(tmp_path_factory.mktemp("oidc-provider") / "server.log")
    yield provider
    provider.stop()


@pytest.fixture(autouse=True)
def _switches_go_back(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "oidc_provider" in request.fixturenames:
        request.getfixturevalue("oidc_provider").reset_settings()


@pytest.fixture(scope="session")
def emulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulators]:
    """GitHub, Google, Slack and Microsoft on loopback."""
    running = Emulators(tmp_path_factory.mktemp("emulate") / "server.log")
    yield running
    running.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def pgbouncer(postgres: Postgres) -> Iterator[Pgbouncer]:
    """A pooler in transaction mode before `postgres`."""
    if PROGRAM is None:
        pytest.skip("there is no pgbouncer here: apt-get install pgbouncer")
    pooler = Pgbouncer(postgres)
    yield pooler
    pooler.stop()


@pytest.fixture(scope="session")
def holdfast_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HoldfastProcess]:
    """A development server on SQLite with the sandbox provider, no emulators."""
    server = HoldfastProcess(tmp_path_factory.mktemp("holdfast"))
    yield server
    server.stop()


@pytest.fixture
def browser() -> Iterator[Browser]:
    """One person's browser; for a second person make a second Browser."""
    with Browser() as person:
        yield person
