"""Token reads over HTTP while things happen to them: a key revoked from outside, a server killed under load."""

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from tests.attacks.app import App, anyone, database_file
from tests.parts.postgres import Postgres
from tests.parts.reads import EACH_READ
from tests.parts.server import HoldfastProcess

CALLERS = 16


def _cli(server: HoldfastProcess, *arguments: str) -> str:
    place = ["--data-dir", str(server.data_dir)]
    done = subprocess.run(
        [sys.executable, "-m", "holdfast.cli.main", "keys", *arguments, *place],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


def _entries(server: HoldfastProcess) -> set[str]:
    with closing(sqlite3.connect(database_file(server), timeout=30)) as database:
        return {row[0] for row in database.execute(EACH_READ["sqlite"])}


def test_a_key_revoked_at_the_command_line_stops_at_the_next_read(tmp_path: Path) -> None:
    server = HoldfastProcess(tmp_path)
    app, user = App.of(server), anyone()
    try:
        app.make_sandbox()
        app.connect(user)
        assert [app.token(user)["active"] for _ in range(3)] == [True] * 3
        with closing(sqlite3.connect(database_file(server), timeout=30)) as database:
            [(key_id,)] = database.execute("SELECT id FROM api_keys WHERE kind = 'key'").fetchall()
        _cli(server, "revoke", key_id)
        path, seen = "/data-integrations/sandbox/token", len(_entries(server))
        for body in ({"user_id": user}, {"user_id": user, "min_ttl": 5}, {"user_id": 1}, {}):
            reply = app.call("POST", path, body)
            assert (reply.status_code, reply.json()["code"]) == (401, "unauthenticated"), reply.text
        assert len(_entries(server)) == seen
    finally:
        server.stop()
        app.http.close()


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
async def test_a_server_killed_under_load_has_an_entry_for_every_answer_it_gave(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    postgres: Postgres | None = request.getfixturevalue("postgres") if engine == "postgresql" else None
    dsn = postgres.fresh_database() if postgres else None
    server = HoldfastProcess(tmp_path, database=dsn)
    app, user = App.of(server), anyone()
    app.make_sandbox()
    await asyncio.to_thread(app.connect, user)
    answered: set[str] = set()

    async def caller(http: httpx2.AsyncClient) -> None:
        while True:
            try:
                reply = await http.post(
                    f"{app.base_url}/data-integrations/sandbox/token",
                    json={"user_id": user},
                    headers={"authorization": f"Bearer {app.api_key}"},
                )
            except httpx2.TransportError:
                return
            if reply.json()["active"]:
                answered.add(reply.headers["x-request-id"])

    async with httpx2.AsyncClient(timeout=20, trust_env=False) as http:
        callers = [asyncio.ensure_future(caller(http)) for _ in range(CALLERS)]
        while len(answered) < 300:
            await asyncio.sleep(0.05)
        await asyncio.to_thread(server.kill)
        await asyncio.gather(*callers)
    app.http.close()
    restarted = HoldfastProcess(tmp_path, database=dsn)
    try:
        if dsn:
            import asyncpg  # type: ignore[import-untyped]

            connection = await asyncpg.connect(dsn)
            rows = await connection.fetch(EACH_READ["postgresql"])
            written = {row[0] for row in rows}
            await connection.close()
        else:
            written = _entries(restarted)
    finally:
        restarted.stop()
    assert answered <= written
    print(f"{engine}: {len(answered)} answers, {len(written)} entries")
