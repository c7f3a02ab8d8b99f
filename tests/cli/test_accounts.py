"""`holdfast accounts` as an operator meets it, beside a running server."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from holdfast.accounts import Owner
from tests.cli.test_transcripts import holdfast, one_line
from tests.parts.server import HoldfastProcess
from tests.tokens.house import house_on

ACCOUNTS = "/api/v1/connected_accounts"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HoldfastProcess]:
    running = HoldfastProcess(tmp_path_factory.mktemp("accounts"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def web(server: HoldfastProcess) -> Iterator[httpx2.Client]:
    headers = {"authorization": f"Bearer {server.api_key}"}
    with httpx2.Client(base_url=server.base_url, headers=headers, trust_env=False, timeout=30) as client:
        for name in ("acme", "other"):
            body = {"provider": name, "enabled": True, "auth_methods": ["api_key"], "custom_provider": {"name": name}}
            assert client.post("/data-integrations", json=body).status_code == 201
        yield client


def make(web: httpx2.Client, user: str, connector: str = "acme", *, key: str | None = "k-secret") -> str:
    given: dict[str, Any] = {"authorization_details": {"static_auth": {"details": {"api_key": key}}}} if key else {}
    body = {"connector": connector, "identifier": user, "connected_account": given}
    reply = web.post(ACCOUNTS, json=body)
    assert reply.status_code == 200, reply.text
    return str(reply.json()["connected_account"]["id"])


def status(web: httpx2.Client, account: str) -> str | None:
    reply = web.get(f"{ACCOUNTS}/{account}")
    return None if reply.status_code == 404 else str(reply.json()["connected_account"]["status"])


def accounts(server: HoldfastProcess, *arguments: str) -> str:
    done = holdfast("accounts", *arguments, "--data-dir", server.data_dir)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_a_list_tells_what_an_account_needs_and_never_its_credential(
    server: HoldfastProcess, web: httpx2.Client
) -> None:
    account, waiting = make(web, "lovelace"), make(web, "waiter", key=None)
    listed = accounts(server, "list", "--connection", "acme")
    assert "k-secret" not in listed
    [line] = [line for line in listed.splitlines() if "lovelace" in line]
    assert "active" in line and account.removeprefix("ca_") in line
    [line] = [line for line in listed.splitlines() if waiting.removeprefix("ca_") in line]
    assert "pending" in line and "Its owner has to open a link" in line
    only = accounts(server, "list", "--user", "lovelace", "--status", "active")
    assert "lovelace" in only and "waiter" not in only


def test_an_account_is_paused_and_resumed(server: HoldfastProcess, web: httpx2.Client) -> None:
    account = make(web, "paused")
    assert "is paused" in accounts(server, "suspend", account, "--why", "on leave")
    assert status(web, account) == "DISCONNECTED"
    read = web.post("/data-integrations/acme/credentials", json={"user_id": "paused"}).json()
    assert read["active"] is False
    assert "on leave" in accounts(server, "list", "--user", "paused")
    assert "in use again" in accounts(server, "resume", account.removeprefix("ca_"))
    assert status(web, account) == "ACTIVE"
    said = one_line(holdfast("accounts", "resume", make(web, "pend", key=None), "--data-dir", server.data_dir))
    assert said == "an account that is pending is not paused"


def test_accounts_are_deleted_by_id_and_by_filter_after_a_look(server: HoldfastProcess, web: httpx2.Client) -> None:
    mine = [make(web, f"leaver_{number}", "other") for number in range(3)]
    assert "1 accounts would be deleted." in accounts(server, "delete", mine[0], "--dry-run")
    assert status(web, mine[0]) == "ACTIVE"
    assert "1 accounts are deleted." in accounts(server, "delete", mine[0])
    assert "2 accounts would be deleted." in accounts(server, "delete", "--connection", "other", "--dry-run")
    assert "2 accounts are deleted." in accounts(server, "delete", "--connection", "other")
    assert [status(web, account) for account in mine] == [None, None, None]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("delete",), "say which accounts: by id, or with --connection"),
        (("delete", "ca_nonsense"), "'ca_nonsense' is no account's id"),
        (("suspend", "ca_01ARZ3NDEKTSV4RRFFQ69G5FAV"), "there is no such connected account"),
        (("list", "--connection", "nowhere"), "there is no connection 'nowhere'"),
        (("list", "--status", "asleep"), "there is no status 'asleep': pending, verifying, active"),
        (("clean-up",), "no policy is set: see `holdfast accounts policy`"),
        (("clean-up", "--unused-days", "3"), "other days are for --dry-run"),
        (("policy", "--unused-days", "4000"), "days must be 1 to 3650"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_one_line(
    server: HoldfastProcess, web: httpx2.Client, arguments: tuple[str, ...], said: str
) -> None:
    assert said in one_line(holdfast("accounts", *arguments, "--data-dir", server.data_dir))


async def test_a_look_at_a_clean_up_names_what_it_would_take_and_takes_nothing(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'holdfast.db'}"
    async with house_on(database, tmp_path) as house:
        house.clock.at = 1_600_000_000.0
        account = await house.connect(await house.connection(), owner=Owner.user("long_gone"))
    where = ("--data-dir", tmp_path, "--database", database)
    for arguments, said in (
        (("clean-up", "--dry-run", "--unused-days", "30"), "1 accounts would be deleted."),
        (("clean-up", "--dry-run", "--expired-days", "30"), "0 accounts would be deleted."),
        (("clean-up", "--dry-run"), "0 accounts would be deleted."),
        (("policy", "--unused-days", "30"), ""),
        (("clean-up", "--dry-run"), "1 accounts would be deleted."),
        (("clean-up",), "1 accounts are deleted."),
        (("list",), ""),
    ):
        done = await asyncio.to_thread(holdfast, "accounts", *arguments, *where)
        assert (done.returncode, said in done.stderr) == (0, True), (arguments, done.stderr)
        assert ("long_gone" in done.stdout) is said.startswith("1 accounts would")
        assert (account.id in done.stdout) is said.startswith("1 accounts would")


def test_a_policy_is_set_looked_at_and_carried_out(tmp_path: Path) -> None:
    server = HoldfastProcess(tmp_path)
    try:
        assert re.findall(r": (.+)", accounts(server, "policy")) == ["never", "never", "none"]
        set_to = accounts(server, "policy", "--unused-days", "30", "--user-verification", "custom")
        assert re.findall(r": (.+)", set_to) == ["30 days", "never", "custom"]
        assert "0 accounts would be deleted." in accounts(server, "clean-up", "--dry-run")
        assert "0 accounts would be deleted." in accounts(server, "clean-up", "--dry-run", "--expired-days", "1")
        assert "0 accounts are deleted." in accounts(server, "clean-up")
        back = accounts(server, "policy", "--unused-days", "0", "--user-verification", "none")
        assert re.findall(r": (.+)", back) == ["never", "never", "none"]
    finally:
        server.stop()
