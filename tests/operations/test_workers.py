"""`serve --workers`: one port, several processes, a supervisor that keeps them."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.operations.fleet import Front, Lab, Tally, leases_held, under_load
from tests.parts.postgres import Postgres
from tests.parts.procfs import children

WORKERS = 3


def _until(what: str, holds: object, seconds: float = 15.0) -> None:
    until = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < until, what
        time.sleep(0.05)


@pytest.fixture
def front(lab: Lab, dsn: str, tmp_path: Path) -> Iterator[Front]:
    running = Front(lab, tmp_path, dsn, arguments=["--workers", str(WORKERS)])
    running.set_up()
    yield running
    running.stop()


async def test_workers_share_a_port_and_one_refresh_is_enough_for_all_of_them(front: Front, lab: Lab) -> None:
    assert len(children(front.server.pid)) == WORKERS
    users = [await asyncio.to_thread(front.account, left=1.0) for _ in range(5)]
    before, tally, stop = lab.app.refreshes(), Tally(), asyncio.Event()
    await asyncio.sleep(1.1)
    load = asyncio.ensure_future(under_load([front], users, 20, stop, tally))
    await asyncio.sleep(2)
    stop.set()
    await load
    assert (tally.lost, tally.inactive, set(tally.answers)) == ([], [], {200})
    assert lab.app.refreshes() - before == len(users), "one each"
    assert all(len(tokens) == 1 for tokens in tally.tokens.values())


async def test_a_worker_that_is_killed_is_replaced_and_the_others_go_on(front: Front, lab: Lab) -> None:
    user = await asyncio.to_thread(front.account)
    before = children(front.server.pid)
    os.kill(before[0], signal.SIGKILL)
    tally, stop = Tally(), asyncio.Event()
    load = asyncio.ensure_future(under_load([front], [user], 6, stop, tally))
    await asyncio.to_thread(
        _until, "nobody took its place", lambda: len(set(children(front.server.pid)) - set(before)) == 1
    )
    await asyncio.sleep(0.5)
    stop.set()
    await load
    assert (tally.lost, tally.refused, set(tally.answers)) == ([], 0, {200})
    assert '"worker_died"' in front.server.log()
    assert front.stop() == 0


async def test_a_worker_that_keeps_dying_is_started_later_each_time(front: Front) -> None:
    def kill_all_but_one() -> None:
        for pid in children(front.server.pid)[1:]:
            os.kill(pid, signal.SIGKILL)

    for _ in range(3):
        kill_all_but_one()
        await asyncio.to_thread(_until, "not restarted", lambda: len(children(front.server.pid)) == WORKERS)
        await asyncio.sleep(0.3)
    pauses = [
        float(line.split('"restart_in": ')[1].split(",")[0])
        for line in front.server.log().splitlines()
        if "restart_in" in line
    ]
    assert pauses[0] == 0.1
    assert max(pauses) >= 0.4, pauses
    assert front.ready()[0] == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_to_the_supervisor_drains_all_workers(
    front: Front, lab: Lab, postgres: Postgres, dsn: str, number: signal.Signals
) -> None:
    users = [await asyncio.to_thread(front.account, left=1.0) for _ in range(6)]
    lab.app.switch(slow_seconds=1.0)
    await asyncio.sleep(1.1)
    tally, stop, workers = Tally(), asyncio.Event(), children(front.server.pid)
    load = asyncio.ensure_future(under_load([front], users, 12, stop, tally))
    await asyncio.sleep(0.5)
    os.kill(front.server.pid, number)
    await load
    assert await asyncio.to_thread(front.server.stop) == 0
    assert tally.lost == []
    assert set(tally.answers) == {200}
    assert leases_held(postgres, dsn) == 0
    assert [pid for pid in workers if Path(f"/proc/{pid}").exists()] == []


async def test_workers_end_when_their_supervisor_is_killed(front: Front) -> None:
    workers = children(front.server.pid)
    front.server.kill()
    await asyncio.to_thread(
        _until, "a worker lives on", lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers)
    )


def test_a_start_that_fails_says_so_once_and_ends_with_its_status(lab: Lab, front: Front, tmp_path: Path) -> None:
    front.stop()
    (tmp_path / "holdfast.key").chmod(0o644)
    from tests.cli.test_transcripts import holdfast, one_line

    done = holdfast(
        "serve", "--workers", "2", "--port", "0", "--data-dir", tmp_path, "--database", str(front.server.database)
    )
    assert "can be read by others: run chmod 600 on it" in one_line(done)
