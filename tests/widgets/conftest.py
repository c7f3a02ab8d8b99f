"""One server, with the sandbox set up and a provider that takes keys, for all tests of widgets."""

import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import httpx2
import pytest
from workos import WorkOSClient
from workos.common.models import DataIntegrationCredentialType
from workos.pipes.models import CustomProviderDefinition, DataIntegrationCredentialsInput

from tests.conformance.sandbox import Sandbox
from tests.parts.browser import chromium
from tests.parts.node import NODE, WIDGET, ensure_modules, environment
from tests.parts.server import HoldfastProcess

BUILD_SECONDS = 180
_numbers = count(1)


@dataclass(frozen=True)
class App:
    """An app with the official SDK."""

    server: HoldfastProcess
    sandbox: Sandbox
    sdk: WorkOSClient

    def user(self) -> str:
        return f"user_{next(_numbers)}"

    def token(self, user_id: str, **asked: object) -> str:
        body = {"user_id": user_id, **asked}
        headers = {"authorization": f"Bearer {self.server.api_key}"}
        reply = httpx2.post(f"{self.server.base_url}/widgets/token", json=body, headers=headers, trust_env=False)
        assert reply.status_code == 201, reply.text
        return str(reply.json()["token"])

    def lose(self, slug: str, user_id: str) -> None:
        """The provider takes the access back, and we come to know."""
        self.sandbox.revoke_all()
        self.sdk.pipes.update_user_connected_account(user_id, slug, state="needs_reauthorization")


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    server = HoldfastProcess(
        tmp_path_factory.mktemp("widgets"),
        env={"HOLDFAST_APP_NAME": "Acme Notes", "HOLDFAST_REFUSAL_SPACING": "0.2"},
    )
    sandbox = Sandbox(f"{server.base_url}/lab/sandbox")
    sdk = WorkOSClient(api_key=server.api_key, client_id="client_widgets", base_url=server.base_url, max_retries=0)
    sdk.pipes.create_data_integration(
        provider="sandbox",
        enabled=True,
        scopes=["read", "offline"],
        credentials=DataIntegrationCredentialsInput(
            type=DataIntegrationCredentialType("custom"),
            client_id=sandbox.client_id,
            client_secret=sandbox.client_secret,
        ),
    )
    sdk.pipes.create_data_integration(
        provider="ledger",
        enabled=True,
        auth_methods=["api_key"],
        description="Your invoices",
        custom_provider=CustomProviderDefinition(name="Ledger"),
    )
    yield App(server, sandbox, sdk)
    sdk.close()
    sandbox.close()
    server.stop()


@pytest.fixture(scope="session")
def built_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page with the vendor's React widget, bundled by Vite."""
    modules = ensure_modules(WIDGET)
    out = tmp_path_factory.mktemp("page")
    done = subprocess.run(
        [NODE, modules / "vite" / "bin" / "vite.js", "build", "--outDir", out, "--emptyOutDir"],
        cwd=WIDGET,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture
async def chrome() -> AsyncIterator[object]:
    async with chromium() as browser:
        yield browser
