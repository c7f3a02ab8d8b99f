"""The two engines as fixtures: one migrated database each for the whole run, where every test has an environment of
its own; and empty databases for the tests that are about the schema."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from holdfast.ids import new_id
from holdfast.storage import Database, open_database
from holdfast.storage.migrations import migrate
from tests.parts.postgres import Postgres

ENGINES = ("sqlite", "postgresql")


@pytest.fixture(scope="session", params=ENGINES)
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp('sqlite') / 'holdfast.db'}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.fresh_database()


@pytest.fixture(scope="session")
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated database, shared by the run."""
    opened = await open_database(database_url)
    await migrate(opened)
    yield opened
    await opened.close()


@pytest.fixture
def environment_id() -> str:
    return new_id()


@pytest.fixture(params=ENGINES)
def fresh_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of this test's own."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'holdfast.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    dsn = server.fresh_database()
    yield dsn
    server.drop(dsn)
