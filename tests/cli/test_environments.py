"""Keys, clients and accounts of an environment that is not the first one, at the command line."""

import asyncio
from collections.abc import Iterator

import httpx2
import pytest

from holdfast.access import ensure_environment
from holdfast.app import open_vault
from holdfast.clock import SystemClock
from holdfast.config import load
from tests.cli.test_transcripts import holdfast, one_line
from tests.parts.server import HoldfastProcess

ACCOUNTS = "/api/v1/connected_accounts"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HoldfastProcess]:
    running = HoldfastProcess(tmp_path_factory.mktemp("environments"))
    asyncio.run(_made(running, "staging"))
    yield running
    running.stop()


async def _made(server: HoldfastProcess, name: str) -> None:
    clock = SystemClock()
    database, vault = await open_vault(load(data_dir=server.data_dir), clock)
    await ensure_environment(database, vault, clock, name)
    await database.close()


def run(server: HoldfastProcess, *arguments: str) -> str:
    done = holdfast(*arguments, "--data-dir", server.data_dir)
    assert done.returncode == 0, done.stderr
    return done.stdout


def connected(server: HoldfastProcess, bearer: str, user: str) -> str:
    """Make a connection and an account of it; return the account's id."""
    headers = {"authorization": f"Bearer {bearer}"}
    with httpx2.Client(base_url=server.base_url, headers=headers, trust_env=False, timeout=30) as web:
        new = {"provider_key": "SENDGRID", "type": "API_KEY", "key_id": "mail"}
        assert web.post("/api/v1/connections", json=new).status_code == 200
        given = {"authorization_details": {"static_auth": {"details": {"api_key": "SG.k-secret"}}}}
        body = {"connector": "mail", "identifier": user, "connected_account": given}
        reply = web.post(ACCOUNTS, json=body)
        assert reply.status_code == 200, reply.text
        return str(reply.json()["connected_account"]["id"])


def test_a_client_made_for_an_environment_signs_in_there_and_is_listed_and_revoked_there(
    server: HoldfastProcess,
) -> None:
    identity, secret = run(server, "clients", "create", "--environment", "staging").split()
    form = {"grant_type": "client_credentials", "client_id": identity, "client_secret": secret}
    token = httpx2.post(f"{server.base_url}/oauth/token", data=form, trust_env=False).json()["access_token"]
    here, there = connected(server, server.api_key, "ada"), connected(server, token, "ada")

    assert identity in run(server, "clients", "list", "--environment", "staging")
    assert identity not in run(server, "clients", "list")
    said = one_line(holdfast("clients", "revoke", identity, "--data-dir", server.data_dir))
    assert said == f"there is no client {identity} in force"

    listed = run(server, "accounts", "list", "--environment", "staging")
    assert there.partition("_")[2] in listed and here.partition("_")[2] not in listed
    assert there.partition("_")[2] not in run(server, "accounts", "list")
    foreign = ("accounts", "delete", here, "--environment", "staging", "--data-dir", server.data_dir)
    assert holdfast(*foreign).returncode == 2
    run(server, "accounts", "suspend", there, "--environment", "staging")
    assert "suspended" in run(server, "accounts", "list", "--environment", "staging")
    assert "suspended" not in run(server, "accounts", "list")
    assert "7 days" in run(server, "accounts", "policy", "--environment", "staging", "--unused-days", "7")
    assert "7 days" not in run(server, "accounts", "policy")

    run(server, "clients", "revoke", identity, "--environment", "staging")
    refused = httpx2.get(server.base_url + ACCOUNTS, headers={"authorization": f"Bearer {token}"}, trust_env=False)
    assert refused.status_code == 401


def test_a_key_is_made_where_it_is_asked_for(server: HoldfastProcess) -> None:
    key = run(server, "keys", "create", "--name", "nightly-export", "--environment", "staging").strip()
    assert key.startswith("sk_")
    assert "nightly-export" in run(server, "keys", "list", "--environment", "staging")
    assert "nightly-export" not in run(server, "keys", "list")


@pytest.mark.parametrize("command", [("keys", "create"), ("clients", "list"), ("accounts", "list")])
def test_an_environment_that_is_not_there_is_not_made(server: HoldfastProcess, command: tuple[str, ...]) -> None:
    said = one_line(holdfast(*command, "--environment", "stagging", "--data-dir", server.data_dir))
    assert said == "there is no environment 'stagging': default, staging"
