"""One lab for all; each test has servers of its own."""

from collections.abc import Iterator

import pytest

from tests.operations.fleet import Lab
from tests.parts.postgres import Postgres
from tests.storage.engines import fresh_url

__all__ = ["fresh_url"]


@pytest.fixture(scope="session")
def running_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("lab"))
    yield lab
    lab.close()


@pytest.fixture
def lab(running_lab: Lab) -> Lab:
    """The sandbox as if just started; its counters begin at 0."""
    running_lab.app.control("reset")
    running_lab.app.switch(auto_consent_as="ada@sandbox.test")
    return running_lab


@pytest.fixture
def dsn(postgres: Postgres) -> Iterator[str]:
    """An empty PostgreSQL database."""
    made = postgres.fresh_database()
    yield made
    postgres.drop(made)
