"""The disk is full: no token leaves whose entry cannot be written, and all goes on when there is room again."""

import asyncio
import os
import pwd
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.faults.figures import Figures, form
from tests.faults.rig import Rig, Tally, until
from tests.operations.fleet import free_port
from tests.parts.cluster import Server
from tests.parts.postgres import Postgres
from tests.parts.small_disk import SmallDisk, small_disk

ROUNDS = form(1, 5)
ACCOUNTS = 12


async def test_full_disk_under_sqlite(rigs: Callable[..., Rig], tmp_path: Path, figures: Figures) -> None:
    with small_disk(tmp_path / "disk", form(24, 200)) as disk:  # MB: at length the log alone takes tens
        await _filled_and_emptied(rigs(data_dir=disk.path / "data"), disk, figures, lambda: None)


async def test_full_disk_under_postgresql(
    rigs: Callable[..., Rig], postgres: Postgres, tmp_path: Path, figures: Figures
) -> None:
    # Not below pytest's directory: started by root, PostgreSQL runs as another user, who may not enter it.
    with small_disk(Path(tempfile.mkdtemp(prefix="holdfast-disk-")), 160) as disk:
        owner = postgres.data_dir.stat().st_uid
        server = Server(postgres.bin_path, owner, free_port())
        server.data_dir.rmdir()
        server.data_dir = disk.path / "data"
        server.data_dir.mkdir(mode=0o700)
        os.chown(server.data_dir, owner, pwd.getpwuid(owner).pw_gid)
        try:
            server.create("--wal-segsize=1")  # MB: what it may still write when the disk is full
            server.start()
            server.sql("ALTER SYSTEM SET wal_recycle = off")  # else it would write on in what it has
            server.reload()
            url = f"postgresql://postgres@127.0.0.1:{server.port}/postgres"

            def bring_back() -> None:
                """What its operator does where it gave up: PostgreSQL ends when its log has no room."""
                try:
                    server.sql("SELECT 1")
                except RuntimeError:
                    (server.data_dir / "postmaster.pid").unlink(missing_ok=True)
                    server.start()

            await _filled_and_emptied(rigs(database=url, postgres=postgres), disk, figures, bring_back)
        finally:
            server.remove()


async def _filled_and_emptied(rig: Rig, disk: SmallDisk, figures: Figures, bring_back: Callable[[], None]) -> None:
    rig.judge.set(access_lifetime=1800)
    users, tally = await rig.accounts(ACCOUNTS, left=3600), Tally()
    seconds_back, failed_after, at_the_provider, given_while_full = 0.0, 0, 0, 0
    for _ in range(ROUNDS):
        stop = asyncio.Event()
        load = asyncio.ensure_future(rig.load(list(users), tally, stop, callers=12, chance=figures.random))
        await asyncio.sleep(0.5)
        await asyncio.to_thread(disk.fill)
        full = time.monotonic()
        await until("it never noticed", lambda full=full: any(at > full for at, _, _ in tally.failures), 60)
        before = tally.answers[200]
        await asyncio.sleep(1.5)
        given_while_full += tally.answers[200] - before
        rotated = rig.judge.report()["rotations"]
        # New tokens that cannot be written yet stay in memory, and their callers wait.
        ending = Tally()
        waiting = asyncio.ensure_future(rig.read_all(users[:2], ending, min_ttl=3600))
        await asyncio.sleep(1)
        at_the_provider += rig.judge.report()["rotations"] - rotated
        await asyncio.to_thread(disk.empty)
        await asyncio.to_thread(bring_back)
        back = time.monotonic()
        await until("not back", lambda: rig.app.http.get(f"{rig.app.base_url}/readyz").status_code == 200, 60)
        ready = time.monotonic()
        seconds_back = max(seconds_back, ready - back)
        await asyncio.sleep(1)
        stop.set()
        await load
        await waiting
        failed_after += sum(at > ready for at, _, _ in tally.failures)
        tally.given.update(ending.given)
        tally.failures += ending.failures
    final = Tally()
    await asyncio.sleep(3.2)
    tokens = await rig.read_all(users, final, min_ttl=3600)
    works = rig.judge.work([token or "" for token in tokens])
    report, ended = rig.judge.report(), rig.ended()
    statuses = sorted({status for _, status, _ in tally.failures})
    figures.tell(
        rounds=ROUNDS,
        reads_refused_while_full=len(tally.failures),
        tokens_released_while_full=given_while_full,
        released_without_entry=rig.released_without_entry(tally),
        refreshes_begun_while_full=at_the_provider,
        seconds_until_ready=round(seconds_back, 1),
        failed_reads_after=failed_after,
        lost=works.count(False),
        double_refreshes=len(report["presented_again"]),
    )
    assert statuses == [503]
    assert all("code" in body and "Traceback" not in body for _, _, body in tally.failures)
    assert rig.released_without_entry(tally) == 0
    assert all(works), ended
    assert (failed_after, report["presented_again"]) == (0, {})
    assert not rig.died()
