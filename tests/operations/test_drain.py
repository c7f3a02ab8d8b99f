"""SIGTERM under load: nothing that was accepted is left without its answer, and no refresh is lost."""

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.operations.fleet import Caller, Front, Lab, Tally, intents_open, leases_held, under_load
from tests.parts.postgres import Postgres

SLOW = 1.5


async def _stopped(front: Front) -> int:
    return await asyncio.to_thread(front.server.stop)


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
async def test_no_request_and_no_refresh_is_lost(
    engine: str, lab: Lab, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    postgres: Postgres | None = request.getfixturevalue("postgres") if engine == "postgresql" else None
    dsn = postgres.fresh_database() if postgres else f"sqlite:///{tmp_path / 'holdfast.db'}"
    front = Front(lab, tmp_path, dsn)
    front.set_up()
    live = [await asyncio.to_thread(front.account) for _ in range(3)]
    ending = [await asyncio.to_thread(front.account, left=1.0) for _ in range(8)]
    await asyncio.sleep(1.1)
    lab.app.switch(slow_seconds=SLOW)
    before, tally, stop = lab.app.refreshes(), Tally(), asyncio.Event()
    load = asyncio.ensure_future(under_load([front], live, 16, stop, tally))
    refreshing, renewed = [], Tally()
    for user in ending:
        caller = Caller(front.app.base_url, front.app.api_key, renewed)
        refreshing.append(asyncio.ensure_future(caller.read(user)))
    await asyncio.sleep(0.7)
    assert lab.app.refreshes() - before == len(ending), "all are at the provider"
    assert renewed.answers.total() == 0
    began = time.monotonic()
    os.kill(front.server.pid, signal.SIGTERM)
    await load
    await asyncio.gather(*refreshing)
    assert await _stopped(front) == 0
    seconds = time.monotonic() - began
    print(f"{engine}: {tally.answers.total()} reads, {renewed.answers.total()} refreshes, ended in {seconds:.1f} s")
    assert (tally.lost, set(tally.answers)) == ([], {200})
    assert (renewed.lost, dict(renewed.answers), len(renewed.tokens)) == ([], {200: len(ending)}, len(ending))
    assert seconds < SLOW + 3
    if postgres:
        assert (leases_held(postgres, dsn), intents_open(postgres, dsn)) == (0, 0)
    # What was refreshed was committed: a new start serves it, and asks the provider for nothing.
    lab.app.switch(slow_seconds=0)
    again = Front(lab, tmp_path, dsn, key=front.app.api_key)
    after = Tally()
    caller = Caller(again.app.base_url, again.app.api_key, after)
    for user in ending:
        await caller.read(user)
    caller.hang_up()
    assert after.tokens == renewed.tokens
    assert lab.app.refreshes() - before == len(ending)
    assert again.stop() == 0


async def test_a_refresh_whose_caller_has_gone_is_committed_before_the_end(
    lab: Lab, tmp_path: Path, postgres: Postgres, dsn: str
) -> None:
    front = Front(lab, tmp_path, dsn)
    front.set_up()
    user = await asyncio.to_thread(front.account, left=1.0)
    await asyncio.sleep(1.1)
    lab.app.switch(slow_seconds=SLOW)
    caller = Caller(front.app.base_url, front.app.api_key, Tally())
    reading = asyncio.ensure_future(caller.read(user))
    await asyncio.sleep(0.4)
    assert leases_held(postgres, dsn) == 1
    caller.hang_up()
    assert await _stopped(front) == 0
    reading.cancel()
    assert (leases_held(postgres, dsn), intents_open(postgres, dsn)) == (0, 0)
    assert postgres.sql(dsn, "SELECT count(*) FROM entries WHERE action = 'token.refreshed'").strip() == "1"


async def test_readiness_goes_first_and_the_rest_is_served_for_the_delay(lab: Lab, tmp_path: Path, dsn: str) -> None:
    front = Front(lab, tmp_path, dsn, env={"HOLDFAST_DRAIN_DELAY": "1.5"})
    front.set_up()
    user = await asyncio.to_thread(front.account)
    status, body = await asyncio.to_thread(front.ready)
    assert (status, body["status"]) == (200, "ready")
    began = time.monotonic()
    os.kill(front.server.pid, signal.SIGTERM)
    await asyncio.sleep(0.2)
    status, body = await asyncio.to_thread(front.ready)
    assert (status, body["status"]) == (503, "not ready")
    assert body["checks"] == {"server": "draining: it is about to end", "database": "ok", "keys": "ok"}
    assert front.app.http.get(front.app.base_url + "/healthz").status_code == 200
    reply = front.app.call("POST", "/data-integrations/sandbox/token", {"user_id": user})
    assert reply.json()["active"] is True
    assert reply.headers["connection"] == "close", "so that callers leave by themselves"
    assert await _stopped(front) == 0
    assert 1.5 <= time.monotonic() - began < 4


async def test_a_second_signal_changes_nothing(lab: Lab, tmp_path: Path, dsn: str) -> None:
    front = Front(lab, tmp_path, dsn)
    front.set_up()
    user: Any = await asyncio.to_thread(front.account, left=1.0)
    await asyncio.sleep(1.1)
    lab.app.switch(slow_seconds=SLOW)
    tally = Tally()
    reading = asyncio.ensure_future(Caller(front.app.base_url, front.app.api_key, tally).read(user))
    await asyncio.sleep(0.4)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        os.kill(front.server.pid, number)
        await asyncio.sleep(0.1)
    await reading
    assert await _stopped(front) == 0
    assert (tally.lost, dict(tally.answers)) == ([], {200: 1})
