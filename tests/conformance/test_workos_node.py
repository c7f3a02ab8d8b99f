"""The official Node SDK, unmodified, against a running server: what node/workos.mjs finds, one test per method."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import report
from tests.parts.node import NODE, environment
from tests.parts.server import HoldfastProcess

pytestmark = pytest.mark.node

SCRIPT = Path(__file__).parent / "node" / "workos.mjs"
MOST_SECONDS = 180
CLIENT = "WorkOS"

PIPES = (
    "authorizeDataIntegration",
    "createDataIntegration",
    "createDataIntegrationApiKey",
    "createDataIntegrationClientCredential",
    "createDataIntegrationCredential",
    "createOrganizationConnectedAccount",
    "createUserConnectedAccount",
    "deleteDataIntegration",
    "deleteOrganizationConnectedAccount",
    "deleteOrganizationDataIntegration",
    "deleteUserConnectedAccount",
    "getAccessToken",
    "getDataIntegration",
    "getOrganizationConnectedAccount",
    "getOrganizationDataIntegration",
    "getUserConnectedAccount",
    "listDataIntegrations",
    "listOrganizationDataProviders",
    "listUserDataProviders",
    "updateDataIntegration",
    "updateDataIntegrationApiKey",
    "updateDataIntegrationClientCredentials",
    "updateOrganizationConnectedAccount",
    "updateOrganizationDataIntegration",
    "updateUserConnectedAccount",
)
WEBHOOKS = ("createWebhookEndpoint", "deleteWebhookEndpoint", "listWebhookEndpoints", "updateWebhookEndpoint")
MEMBERSHIPS = ("create", "deactivate", "delete", "get", "list", "reactivate", "update")
SDK_METHODS = (
    *(f"pipes.{name}" for name in PIPES),
    "events.listEvents",
    *(f"webhooks.{name}" for name in WEBHOOKS),
    "widgets.createToken",
)
METHODS = (
    *SDK_METHODS,
    "pipes.getAccessToken:needs_reauthorization",
    "pipes.connectedInABrowser",
    *(f"userManagement.{verb}OrganizationMembership{'s' if verb == 'list' else ''}" for verb in MEMBERSHIPS),
    # What Node 11 has no method for goes through the client's own post, put and get.
    "raw.connectionIntent",
    "raw.finishConnection",
    "raw.idempotencyKey",
    "raw.listOrganizationDataIntegrationConfigurations",
    "raw.updateOrganizationDataIntegrationConfiguration",
    "errors.BadRequestException",
    "errors.ConflictException",
    "errors.GenericServerException",
    "errors.GenericServerException:403",
    "errors.NotFoundException",
    "errors.RateLimitExceededException",
    "errors.UnauthorizedException",
    "errors.UnprocessableEntityException",
    "errors.neverOauthOrParse",
)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, HoldfastProcess]]:
    """A server of the script's own (it turns the sandbox's switches), and one that soon asks to slow down."""
    running = {
        "server": HoldfastProcess(tmp_path_factory.mktemp("node-sdk"), env={"HOLDFAST_REFUSAL_SPACING": "0.2"}),
        "throttled": HoldfastProcess(
            tmp_path_factory.mktemp("node-throttled"), env={"HOLDFAST_REQUESTS_PER_MINUTE": "3"}
        ),
    }
    yield running
    for server in running.values():
        server.stop()


@pytest.fixture(scope="module")
def found(node_modules: Path, servers: dict[str, HoldfastProcess]) -> dict[str, Any]:
    """Run the script; return its outcome by method, and `sdk_methods`. The report learns of them all."""
    addresses = {name: {"url": server.base_url, "key": server.api_key} for name, server in servers.items()}
    done = subprocess.run(
        [NODE, SCRIPT],
        env={**environment(), "HOLDFAST_TEST_SERVERS": json.dumps(addresses)},
        capture_output=True,
        text=True,
        timeout=MOST_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    outcomes: dict[str, Any] = {}
    for line in done.stdout.splitlines():
        told = json.loads(line)
        if "sdk_methods" in told:
            outcomes["sdk_methods"] = told["sdk_methods"]
            continue
        outcomes[told["method"]] = told
        report.record(report.NODE, f"{CLIENT}.{told['method']}", told["passed"], told["detail"])
    return outcomes


@pytest.mark.parametrize("method", METHODS)
def test_the_node_sdk_gets_what_it_expects_of(method: str, found: dict[str, Any]) -> None:
    assert found[method]["passed"], found[method]["detail"]


def test_every_method_that_the_node_sdk_has_is_checked(found: dict[str, Any]) -> None:
    assert sorted(SDK_METHODS) == sorted(found["sdk_methods"])
    assert sorted(METHODS) == sorted(set(found) - {"sdk_methods"})
