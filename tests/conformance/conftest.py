"""One server for the whole suite; each test runs once with the synchronous and once with the asynchronous client."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.conformance import report
from tests.conformance.app import App
from tests.conformance.sandbox import Sandbox
from tests.conformance.sdk import CLIENTS, Sdk
from tests.parts.browser import Browser
from tests.parts.server import HoldfastProcess


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HoldfastProcess]:
    """A server of this suite's own: it records memberships, which are enforced from the first one on."""
    running = HoldfastProcess(tmp_path_factory.mktemp("conformance"), env={"HOLDFAST_REFUSAL_SPACING": "0.2"})
    yield running
    running.stop()


@pytest.fixture(scope="session")
def sandbox(server: HoldfastProcess) -> Iterator[Sandbox]:
    provider = Sandbox(f"{server.base_url}/lab/sandbox")
    yield provider
    provider.close()


@pytest.fixture(params=list(CLIENTS))
async def sdk(request: pytest.FixtureRequest, server: HoldfastProcess) -> AsyncIterator[Sdk]:
    """The SDK with retries off. At the end, a test must have called every method that it claims to prove."""
    client = CLIENTS[request.param](
        api_key=server.api_key, client_id="client_conformance", base_url=server.base_url, max_retries=0
    )
    used = Sdk(client)
    yield used
    closed = client.close()
    if closed is not None:
        await closed
    claimed = {method for method in report.proven(request.node) if not method.startswith("errors.")}
    assert claimed <= used.called or not request.node.stash.get(report.SUCCEEDED, False), (
        f"never called: {sorted(claimed - used.called)}"
    )


@pytest.fixture
def app(sdk: Sdk, sandbox: Sandbox, browser: Browser) -> App:
    return App(sdk, sandbox, browser)
