"""The vault's keys changed beside a running server: under load, killed in the middle, and what a start says after."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.attacks.app import ADA, App, anyone
from tests.cli.test_transcripts import holdfast, one_line
from tests.parts.postgres import Postgres
from tests.parts.process import NotStarted
from tests.parts.server import HoldfastProcess

HEADWAY = "8"
"""More than a server takes to look for new data keys, less than an operator gives it."""


@dataclass
class Place:
    data_dir: Path
    database: str | None
    started: list[HoldfastProcess] = field(default_factory=list)

    def start(self) -> HoldfastProcess:
        self.started.append(HoldfastProcess(self.data_dir, database=self.database))
        return self.started[-1]

    def end(self) -> None:
        for server in self.started:
            if server.returncode is None:
                server.kill()

    @property
    def options(self) -> list[str]:
        return ["--data-dir", str(self.data_dir), *(["--database", self.database] if self.database else [])]

    def vault(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return holdfast("vault", *arguments, *self.options)

    @property
    def key_file(self) -> Path:
        return self.data_dir / "holdfast.key"

    def keys(self) -> list[str]:
        return [line.split()[1] for line in self.key_file.read_text().splitlines()]


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "sqlite":
        made = Place(tmp_path, None)
        yield made
        made.end()
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    dsn = postgres.fresh_database()
    made = Place(tmp_path, dsn)
    yield made
    made.end()
    postgres.drop(dsn)


class _Load:
    """Apps that read, and have what they read refreshed, until it is enough. Each has an account of its own."""

    def __init__(self, server: HoldfastProcess, users: list[str]) -> None:
        self.failed: list[str] = []
        self.reads = self.refreshes = 0
        self._server, self._stop = server, threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(user,)) for user in users]
        for thread in self._threads:
            thread.start()

    def _run(self, user: str) -> None:
        app, former = App.of(self._server), ""
        turn = 0
        while not self._stop.is_set():
            turn += 1
            body = {"user_id": user, **({"min_ttl": 3600} if turn % 3 == 0 else {})}
            reply = app.call("POST", "/data-integrations/sandbox/token", body)
            if reply.status_code != 200 or not reply.json()["active"]:
                self.failed.append(reply.text)
                continue
            token = reply.json()["access_token"]["access_token"]
            self.reads, self.refreshes = self.reads + 1, self.refreshes + (token != former)
            former = token
            self._stop.wait(0.02)
        app.http.close()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def _import(app: App, count: int) -> list[str]:
    users = [anyone() for _ in range(count)]
    for user in users:
        tokens = {
            "access_token": f"imported-at-{user}",
            "refresh_token": f"imported-rt-{user}",
            "expires_at": "2099-01-01T00:00:00Z",
        }
        path = f"/user_management/users/{user}/connected_accounts/sandbox"
        reply = app.call("POST", path, tokens)
        assert reply.status_code == 201, reply.text
    return users


def test_keys_are_rotated_under_load_and_no_read_fails_and_no_refresh_is_lost(place: Place, tmp_path: Path) -> None:
    server = place.start()
    app = App.of(server)
    app.make_sandbox()
    users = [anyone() for _ in range(3)]
    for user in users:
        app.connect(user, person=ADA)
    imported = _import(app, 120)
    [old] = place.keys()
    former = tmp_path / "former.key"
    shutil.copy2(place.key_file, former)
    load = _Load(server, users)
    try:
        done = place.vault("rotate", "--data-keys", "--headway", HEADWAY)
    finally:
        load.stop()
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert re.search(r"2 data keys are wrapped with it\n", done.stdout), done.stdout
    assert done.stdout.endswith("0 secrets are left under former data keys\n"), done.stdout
    assert load.failed == []
    assert load.reads > 50, "there was a load"
    assert load.refreshes > 10, "there were refreshes"
    told = place.vault("status")
    assert told.returncode == 0, told.stdout
    [_, new] = place.keys()
    assert f"nothing uses {old}: holdfast vault retire ID" in told.stdout
    assert one_line(place.vault("retire", new)) == f"key {new} is the current one: `holdfast vault rotate` first"
    assert place.vault("retire", old).returncode == 0
    assert place.keys() == [new]
    for user in users:  # the grant that the last refresh left is the one that is stored
        assert app.token(user, min_ttl=3600)["active"]
    app.http.close()
    assert server.stop() == 0

    server = place.start()
    app = App.of(server)
    app.api_key = holdfast("keys", "create", *place.options).stdout.strip()
    for user in (*users, *imported[:5]):
        assert app.token(user)["active"]
    app.http.close()
    assert server.stop() == 0
    assert holdfast("audit", "verify", *place.options).returncode == 0
    exported = holdfast("audit", "export", *place.options).stdout
    for action in ("vault.key_added", "vault.key_rewrapped", "vault.resealed", "vault.key_retired"):
        assert f'"{action}"' in exported, action

    shutil.copy2(former, place.key_file)
    with pytest.raises(NotStarted, match=f"sealed with key {new}, which the key file does not hold: it is an older"):
        place.start()


def test_a_rotation_that_is_killed_in_the_middle_leaves_a_server_that_serves_and_is_resumed(place: Place) -> None:
    server = place.start()
    app = App.of(server)
    app.make_sandbox()
    users = _import(app, 250)
    command = [sys.executable, "-m", "holdfast.cli.main", "vault", "rotate", "--data-keys", "--headway", HEADWAY]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    running = subprocess.Popen([*command, *place.options], stdout=subprocess.PIPE, text=True, env=clean)
    assert running.stdout is not None
    for line in running.stdout:
        if "are sealed anew" in line:
            running.send_signal(signal.SIGKILL)
            break
    running.stdout.close()
    assert running.wait() == -signal.SIGKILL
    told = place.vault("status")
    assert told.returncode == 1, told.stdout
    assert re.search(r"to do: 0 data keys to wrap, [1-9]\d* secrets to seal: holdfast vault resume", told.stdout)
    for user in users[::25]:
        assert app.token(user)["active"]
    server.kill()
    server = place.start()
    app.base_url = server.base_url
    for user in users[::25]:
        assert app.token(user)["active"]
    resumed = place.vault("resume")
    assert resumed.returncode == 0, (resumed.stdout, resumed.stderr)
    assert resumed.stdout.endswith("0 secrets are left under former data keys\n")
    assert place.vault("status").returncode == 0
    for user in users[::25]:
        assert app.token(user)["active"]
    app.http.close()
    assert server.stop() == 0
