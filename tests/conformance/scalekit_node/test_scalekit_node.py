"""The official Node SDK, unmodified, over TLS and over clear HTTP/2: what scalekit.mjs finds, one test per method."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import report
from tests.conformance.fronts import FRONTS, started
from tests.conformance.scalekit_house import House
from tests.parts.node import NODE, environment

pytestmark = pytest.mark.node

SCRIPT = Path(__file__).parent / "scalekit.mjs"
REVOKED = Path(__file__).parent / "revoked.mjs"
MOST_SECONDS = 120
Accounts = dict[str, dict[str, str]]
METHODS = (
    "actions.createConnectedAccount",
    "actions.deleteConnectedAccount",
    "actions.getAuthorizationLink",
    "actions.getConnectedAccount",
    "actions.getOrCreateConnectedAccount",
    "actions.listConnections",
    "connection.listAppConnections",
    "events.listEventsPaginated",
    "actions.listConnectedAccounts",
    "actions.request",
    "actions.updateConnectedAccount",
    "actions.upsertConnectedAccount",
    "actions.verifyConnectedAccountUser",
    "connectedAccounts.createConnectedAccount",
    "connectedAccounts.deleteConnectedAccount",
    "connectedAccounts.getConnectedAccountByIdentifier",
    "connectedAccounts.getMagicLinkForConnectedAccount",
    "connectedAccounts.getOrCreateConnectedAccount",
    "connectedAccounts.listConnectedAccounts",
    "connectedAccounts.updateConnectedAccount",
    "connectedAccounts.upsertConnectedAccount",
    "connectedAccounts.verifyConnectedAccountUser",
    "organization.createOrganization",
    "organization.deleteOrganization",
    "organization.getOrganization",
    "organization.getOrganizationByExternalId",
    "organization.listOrganization",
)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    running = House(tmp_path_factory.mktemp("scalekit-node"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def found(node_modules: Path, house: House) -> dict[str, list[report.Row]]:
    """Run the script; return its outcomes by method, one for each transport. The report learns of them all."""
    house.connector()  # a second one, so that lists have pages
    waiting = {"tls": house.walked(house.secure, verify=True), "clear": house.walked(house.clear, verify=True)}
    connected = {"tls": house.walked(house.secure), "clear": house.walked(house.clear)}
    outcomes: dict[str, list[report.Row]] = {}
    for row in _outcomes(house, house.secure.base_url, waiting, connected):
        report.record(row.sdk, f"ScalekitClient.{row.method}", row.passed, row.detail)
        outcomes.setdefault(row.method, []).append(row)
    return outcomes


def _outcomes(house: House, secure: str, waiting: Accounts, connected: Accounts) -> list[report.Row]:
    """Run the script against this origin, and in clear; both name an account by transport."""
    given = {
        "secure": secure,
        "clear": house.clear.base_url,
        "clientId": house.client_id,
        "clientSecret": house.client_secret,
        "connector": house.connector(),
        "keyed": house.connector("api_key"),
        "waiting": waiting,
        "connected": connected,
    }
    told = _run(SCRIPT, house, given)
    return [report.Row(report.SCALEKIT_NODE, row["method"], row["passed"], row["detail"]) for row in told]


def _run(script: Path, house: House, given: dict[str, Any]) -> list[dict[str, Any]]:
    """Run a script that trusts the house's authority; return its lines of JSON."""
    told = {"HOLDFAST_TEST_SCALEKIT": json.dumps(given), "NODE_EXTRA_CA_CERTS": str(house.authority)}
    done = subprocess.run(
        [NODE, script],
        env={**environment(), **told},
        capture_output=True,
        text=True,
        timeout=MOST_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.mark.parametrize("method", METHODS)
def test_the_node_sdk_gets_what_it_expects_of(method: str, found: dict[str, list[report.Row]]) -> None:
    assert [row.detail for row in found[method] if not row.passed] == []
    assert len(found[method]) == 2


def test_every_check_is_looked_at(found: dict[str, list[report.Row]]) -> None:
    assert sorted(found) == sorted(METHODS)


LATER = {"actions.executeTool"}
LISTED = """
import sdk from '%s/@scalekit-sdk/node/lib/index.js';
const client = new sdk.ScalekitClient('http://127.0.0.1:9', 'id', 'secret');
for (const service of ['actions', 'connectedAccounts', 'events'])
  for (const name of Object.getOwnPropertyNames(Object.getPrototypeOf(client[service])))
    if (name !== 'constructor') console.log(`${service}.${name}`);
"""


def test_no_method_on_accounts_and_events_is_left_out(node_modules: Path) -> None:
    command = [NODE, "--input-type=module", "--eval", LISTED % node_modules]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=MOST_SECONDS, check=True)
    theirs = set(done.stdout.split())
    assert len(theirs) >= 20
    assert theirs - LATER <= set(METHODS)


def test_a_revoked_platform_token_costs_the_next_call_a_sign_in_and_nothing_else(
    node_modules: Path, house: House
) -> None:
    given = {
        "secure": house.secure.base_url,
        "clear": house.clear.base_url,
        "connector": house.connector(),
        "clients": {place: [house.new_client(), house.new_client()] for place in ("secure", "clear")},
        "revoke": [sys.executable, "-m", "holdfast.cli.main", "clients", "revoke", "--data-dir", str(house.home)],
    }
    told = _run(REVOKED, house, {**given, "clientId": "none", "clientSecret": "none"})
    assert told == [
        {
            "proxied": "ScalekitUnauthorizedException",
            "same": True,
            "anew": True,
            "pending": "ScalekitBadRequestException",
            "over": 401,
        }
    ] * len(given["clients"])


@pytest.mark.parametrize("kind", FRONTS)
def test_it_gets_the_same_through_a_terminator_and_on_pyvoy(kind: str, node_modules: Path, house: House) -> None:
    front = started(kind, house)
    try:
        waiting, connected = [
            {transport: house.walked(house.clear, verify=verify) for transport in ("tls", "clear")}
            for verify in (True, False)
        ]
        rows = _outcomes(house, front.base_url, waiting, connected)
    finally:
        front.stop()
    assert [row.detail for row in rows if not row.passed] == []
    assert sorted(row.method for row in rows if row.detail.startswith("tls: ")) == sorted(METHODS)
