"""The server under attack: in development, on SQLite, with everything it can log."""

from collections.abc import Iterator

import pytest

from tests.attacks.app import App
from tests.attacks.provider import EvilProvider
from tests.parts.server import HoldfastProcess


@pytest.fixture(scope="session")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HoldfastProcess]:
    server = HoldfastProcess(tmp_path_factory.mktemp("attacked"), env={"HOLDFAST_LOG_LEVEL": "debug"})
    yield server
    server.stop()


@pytest.fixture
def app(attacked: HoldfastProcess) -> Iterator[App]:
    """The app, with the sandbox as if just started."""
    app = App.of(attacked)
    app.control("reset")
    app.make_sandbox()
    yield app
    app.http.close()


@pytest.fixture
def evil() -> Iterator[EvilProvider]:
    """A provider in the attacker's hands."""
    with EvilProvider() as provider:
        yield provider
