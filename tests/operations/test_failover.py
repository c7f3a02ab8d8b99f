"""PostgreSQL goes away and comes back, or another one in its place."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from holdfast.errors import Misconfigured, Unavailable
from holdfast.storage import Connection, open_database
from holdfast.storage.engine import InDoubt, is_unavailable
from tests.operations.fleet import Front, Lab, Tally, free_port, under_load
from tests.parts.cluster import Server, servers
from tests.parts.postgres import Postgres


@pytest.fixture
def cluster(postgres: Postgres) -> Iterator[tuple[Server, Server]]:
    pair = servers(postgres, (free_port(), free_port()))
    yield pair
    for server in pair:
        server.remove()


def _url(*ports: int) -> str:
    return f"postgresql://postgres@{','.join(f'127.0.0.1:{port}' for port in ports)}/postgres"


async def test_a_transaction_whose_connection_was_cut_is_run_again(postgres: Postgres, dsn: str) -> None:
    database = await open_database(dsn)
    await database.transact(lambda tx: tx.execute(text("CREATE TABLE t (n integer)")))
    runs = 0

    def work(tx: Connection) -> None:
        nonlocal runs
        runs += 1
        tx.execute(text("INSERT INTO t VALUES (1)"))
        if runs == 1:
            pid = tx.execute(text("SELECT pg_backend_pid()")).scalar_one()
            postgres.sql(dsn, f"SELECT pg_terminate_backend({pid})")
        tx.execute(text("SELECT 1"))

    await database.transact(work)
    assert runs == 2
    assert postgres.sql(dsn, "SELECT count(*) FROM t").strip() == "1"
    await database.close()


async def test_one_that_is_cut_in_its_commit_is_in_doubt_and_not_run_again(postgres: Postgres, dsn: str) -> None:
    database = await open_database(dsn)
    await database.transact(lambda tx: tx.execute(text("CREATE TABLE t (n integer)")))
    runs = 0

    def work(tx: Connection) -> None:
        nonlocal runs
        runs += 1
        tx.execute(text("INSERT INTO t VALUES (1)"))
        pid = tx.execute(text("SELECT pg_backend_pid()")).scalar_one()
        postgres.sql(dsn, f"SELECT pg_terminate_backend({pid})")

    with pytest.raises(InDoubt) as raised:
        await database.transact(work)
    assert runs == 1
    assert (raised.value.code, isinstance(raised.value, Unavailable)) == ("outcome_unknown", True)
    assert await database.transact(lambda tx: tx.execute(text("SELECT 1")).scalar()) == 1, "on a new connection"
    await database.close()


async def test_all_idle_connections_may_die_and_nobody_notices(postgres: Postgres, dsn: str) -> None:
    database = await open_database(dsn)
    ask = lambda: database.transact(lambda tx: tx.execute(text("SELECT pg_sleep(0.02), 1")).scalar())  # noqa: E731
    await asyncio.gather(*(ask() for _ in range(10)))
    postgres.sql(dsn, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    await asyncio.gather(*(ask() for _ in range(10)))
    await database.close()


async def test_reads_go_on_after_postgresql_was_killed_and_started_again(
    cluster: tuple[Server, Server], lab: Lab, tmp_path: Path
) -> None:
    first, _ = cluster
    first.sql("ALTER SYSTEM RESET synchronous_standby_names")
    first.reload()
    front = Front(lab, tmp_path, _url(first.port))
    front.set_up()
    users = [await asyncio.to_thread(front.account) for _ in range(3)]
    tally, stop = Tally(), asyncio.Event()
    load = asyncio.ensure_future(under_load([front], users, 8, stop, tally))
    await asyncio.sleep(0.5)
    await asyncio.to_thread(first.kill)
    await asyncio.to_thread(first.start)
    back = time.monotonic()
    while front.ready()[0] != 200:
        await asyncio.sleep(0.1)
    ready_after = time.monotonic() - back
    before = tally.answers[200]
    await asyncio.sleep(1)
    stop.set()
    await load
    print(f"killed and back: {dict(tally.answers)}, ready {ready_after:.1f} s after")
    assert tally.lost == []
    assert set(tally.answers) <= {200, 503}
    assert tally.answers[200] > before
    assert front.stop() == 0


async def test_a_standby_that_is_promoted_takes_over_and_no_refresh_is_lost(
    cluster: tuple[Server, Server], lab: Lab, tmp_path: Path
) -> None:
    first, second = cluster
    front = Front(lab, tmp_path, _url(second.port, first.port))  # the standby is named first, and passed over
    front.set_up()
    live = [await asyncio.to_thread(front.account) for _ in range(3)]
    ending = [await asyncio.to_thread(front.account, left=1.0) for _ in range(6)]
    await asyncio.sleep(1.1)
    lab.app.switch(slow_seconds=1.5)
    asked, tally, renewed, stop = lab.app.refreshes(), Tally(), Tally(), asyncio.Event()
    load = asyncio.ensure_future(under_load([front], live, 8, stop, tally))
    refreshing = asyncio.ensure_future(under_load([front], ending, 6, stop, renewed))
    await asyncio.sleep(0.7)
    assert lab.app.refreshes() - asked == len(ending), "all are at the provider"
    await asyncio.to_thread(first.kill)
    await asyncio.sleep(1.5)  # their tokens arrive while only a standby is there
    assert (await asyncio.to_thread(front.ready))[0] == 503
    await asyncio.to_thread(second.promote)
    promoted = time.monotonic()
    while front.ready()[0] != 200:
        await asyncio.sleep(0.1)
    seconds = time.monotonic() - promoted
    await asyncio.sleep(3)
    stop.set()
    await asyncio.gather(load, refreshing)
    print(f"promoted: ready after {seconds:.1f} s; {dict(tally.answers)}, refreshed {dict(renewed.answers)}")
    assert (tally.lost, renewed.lost) == ([], [])
    assert set(tally.answers) | set(renewed.answers) <= {200, 503}
    assert lab.app.refreshes() - asked == len(ending), "none was asked for twice"
    assert renewed.inactive == []
    assert sorted(renewed.tokens) == sorted(ending)
    held = second.sql(
        "SELECT count(*) FROM accounts WHERE lease_owner IS NOT NULL AND lease_until > extract(epoch from now())"
    )
    assert held.strip() == "0"
    assert front.stop() == 0


async def test_a_standby_alone_is_refused_with_what_to_do(cluster: tuple[Server, Server]) -> None:
    with pytest.raises(Misconfigured, match=r"takes no writes .* name all hosts") as raised:
        await open_database(_url(cluster[1].port))
    assert "\n" not in raised.value.message


async def test_what_cannot_be_done_in_time_fails_as_unavailable(cluster: tuple[Server, Server], tmp_path: Path) -> None:
    first, _ = cluster
    database = await open_database(_url(first.port))
    await asyncio.to_thread(first.kill)
    began = time.monotonic()
    with pytest.raises(Exception) as raised:
        await database.transact(lambda tx: tx.execute(text("SELECT 1")).scalar())
    assert is_unavailable(raised.value)
    assert 3 < time.monotonic() - began < 9
    await database.close()
