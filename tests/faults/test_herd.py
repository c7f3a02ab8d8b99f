"""Many tokens that come due in the same second."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing

from tests.faults.figures import Figures, form
from tests.faults.rig import Rig, Tally, until

ACCOUNTS = form(600, 10_000)
CAP = 8
"""HOLDFAST_REFRESHES_PER_PROVIDER as it comes."""


async def test_herd_of_tokens_that_end_in_one_second(rigs: Callable[..., Rig], figures: Figures) -> None:
    """The sweep renews them all before their end, a few at a time, while everybody's token is being read."""
    rig, tally, stop = rigs(), Tally(), asyncio.Event()
    rig.judge.set(slow=0.02)
    users = await rig.accounts(ACCOUNTS)
    await asyncio.to_thread(rig.server.stop)
    end = time.time() + form(90, 300)
    with closing(sqlite3.connect(rig.data_dir / "holdfast.db")) as database:
        database.execute(
            "UPDATE accounts SET expires_at = ?1, refresh_at = ?2, sweep_at = ?2, look_at = ?2", (end, end - 300)
        )
        database.commit()
    rig.change(HOLDFAST_SWEEP_INTERVAL="0.5")
    began = time.monotonic()
    await asyncio.to_thread(rig.start)
    load = asyncio.ensure_future(rig.load(list(users), tally, stop, callers=8, chance=figures.random))
    await until("not all renewed", lambda: rig.judge.report()["rotations"] >= ACCOUNTS, form(80, 280))
    seconds = time.monotonic() - began
    stop.set()
    await load
    await asyncio.sleep(0.5)
    report = rig.judge.report()
    left = int(rig.rows(f"SELECT count(*) FROM accounts WHERE expires_at < {end + 60}")[0][0])
    figures.tell(
        accounts=ACCOUNTS,
        refreshes=report["requests"],
        most_in_flight=report["most_in_flight"],
        cap_in_flight=CAP,
        not_renewed=left,
        double_refreshes=len(report["presented_again"]),
        seconds_to_renew_all=round(seconds, 1),
        reads_meanwhile=tally.answers.total(),
        failed_reads=len(tally.failures) + tally.unanswered + len(tally.inactive),
        released_without_entry=rig.released_without_entry(tally),
    )
    assert report["most_in_flight"] <= CAP
    assert (report["requests"], left, report["presented_again"]) == (ACCOUNTS, 0, {})
    assert (set(tally.answers), tally.unanswered, tally.inactive) == ({200}, 0, {})
    assert rig.released_without_entry(tally) == 0
