"""The clock of a running server jumps."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.figures import Figures, form
from tests.faults.rig import Rig, Tally, until
from tests.parts.fake_time import FakeTime
from tests.parts.postgres import Postgres

ACCOUNTS = form(12, 200)
HOUR = 3600.0


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
async def test_clock_jump_of_an_hour(
    engine: str, rigs: Callable[..., Rig], tmp_path: Path, figures: Figures, request: pytest.FixtureRequest
) -> None:
    clock = FakeTime(tmp_path / "clock")
    postgres: Postgres | None = request.getfixturevalue("postgres") if engine == "postgresql" else None
    dsn = request.getfixturevalue("dsn") if postgres else None
    # Long enough for whatever else this machine does: what is to be seen here is the clock alone.
    times = {"HOLDFAST_OUTBOUND_TIMEOUT": "15", "HOLDFAST_LEASE_SECONDS": "31"}
    rig = rigs(database=dsn, postgres=postgres, env={**clock.env, **times, "HOLDFAST_SWEEP_INTERVAL": "0.3"})
    rig.judge.set(access_lifetime=1800, slow=0.05)
    users, tally, stop = await rig.accounts(ACCOUNTS, left=1800), Tally(), asyncio.Event()
    in_flight = 0
    load = asyncio.ensure_future(rig.load(list(users), tally, stop, callers=6, chance=figures.random))
    for jump in (HOUR, 0.0, -HOUR, 0.0):
        await asyncio.sleep(form(1.0, 3.0))
        # Each jump also hits a refresh that is at the provider: its lease and intent are of another hour.
        rig.judge.set(hold=True)
        [user] = await rig.accounts(1, ends=clock.now() + 0.3)
        users.append(user)
        await asyncio.sleep(0.4)
        reading = asyncio.ensure_future(rig.read_all([user], tally))
        await until("it did not ask", lambda: rig.judge.report()["in_flight"] > 0)
        in_flight += rig.judge.report()["in_flight"]
        clock.set(jump)
        await asyncio.sleep(0.3)
        rig.judge.set(hold=False)
        await reading
    await asyncio.sleep(form(1.0, 3.0))
    stop.set()
    await load
    final = Tally()
    tokens = await rig.read_all(users, final)
    report, works = rig.judge.report(), rig.judge.work([token or "" for token in tokens])
    verified = await asyncio.to_thread(_verified, rig)
    figures.tell(
        jumps=4,
        accounts=len(users),
        refreshes=report["requests"],
        in_flight_at_jump=in_flight,
        reads=tally.answers.total(),
        failed_reads=len(tally.failures) + tally.unanswered + len(tally.inactive),
        lost=works.count(False),
        double_refreshes=len(report["presented_again"]),
        log_verified=verified,
        released_without_entry=rig.released_without_entry(tally),
    )
    assert (tally.failures, tally.unanswered, tally.inactive) == ([], 0, {})
    assert all(works), rig.ended()
    assert report["presented_again"] == {}
    assert rig.released_without_entry(tally) == 0
    assert in_flight >= 4
    assert verified


def _verified(rig: Rig) -> bool:
    command = [sys.executable, "-m", "holdfast.cli.main", "audit", "verify", "--data-dir", str(rig.data_dir)]
    command += ["--database", rig.database] if rig.database else []
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=clean)
    if done.returncode:
        print(done.stdout, done.stderr)
    return done.returncode == 0
