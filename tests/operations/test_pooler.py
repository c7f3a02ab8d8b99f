"""Behind pgbouncer in transaction mode, where each transaction may meet another PostgreSQL session."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.storage.migrations import HEAD, migrate
from holdfast.storage.postgres import PostgresDatabase
from tests.operations.fleet import Front, Lab, Tally, intents_open, leases_held, under_load
from tests.parts.pgbouncer import Pgbouncer
from tests.parts.postgres import Postgres
from tests.parts.reads import EACH_READ
from tests.tokens.house import house_on, second_process
from tests.tokens.test_sweep import _swept

PROCESSES = 4


@pytest.fixture
def pooled(dsn: str, pgbouncer: Pgbouncer) -> str:
    """The address of an empty database, through the pooler."""
    return pgbouncer.dsn(dsn)


async def test_a_pooler_is_noticed_and_a_plain_server_is_not_taken_for_one(dsn: str, pooled: str) -> None:
    for url, pooler, expected in (
        (dsn, "auto", False),
        (pooled, "auto", True),
        (dsn, "transaction", True),
        (pooled, "none", False),
    ):
        database = await PostgresDatabase.open(url, pooler=pooler)
        assert database.pooled is expected
        await database.close()


async def test_statements_prepared_by_name_are_what_fails_there(pooled: str) -> None:
    """So that the tests below are known to be able to fail."""
    database = await PostgresDatabase.open(pooled, pooler="none")
    await migrate(database)
    work = [
        database.transact(lambda tx: tx.exec_driver_sql("SELECT count(*) FROM accounts").scalar()) for _ in range(60)
    ]
    done = await asyncio.gather(*work, return_exceptions=True)
    await database.close()
    assert [item for item in done if isinstance(item, Exception)]


async def test_many_who_migrate_at_once_through_a_pooler_do_it_once(pooled: str) -> None:
    several = [await PostgresDatabase.open(pooled) for _ in range(4)]
    assert await asyncio.gather(*(migrate(one) for one in several)) == [HEAD] * 4
    for one in several:
        await one.close()


async def test_the_sweep_of_two_processes_refreshes_each_due_account_once(pooled: str, tmp_path: Path) -> None:
    async with house_on(pooled, tmp_path) as house, second_process(house) as other:
        connection = await house.connection()
        await asyncio.gather(*(house.connect(connection) for _ in range(60)))
        house.clock.advance(3500)
        before = house.requests
        await asyncio.gather(_swept(house.holdfast), _swept(other.holdfast))
        assert house.requests - before == 60


@pytest.fixture
def fronts(lab: Lab, pooled: str, tmp_path: Path) -> Iterator[list[Front]]:
    first = Front(lab, tmp_path, pooled)
    first.set_up()
    env = {"HOLDFAST_LOG_LEVEL": "warning"}
    others = [Front(lab, tmp_path, pooled, key=first.app.api_key, env=env) for _ in range(PROCESSES - 1)]
    yield [first, *others]
    for front in [first, *others]:
        front.stop()


async def test_four_processes_read_and_refresh_with_no_failure_and_no_second_refresh(
    fronts: list[Front], lab: Lab, postgres: Postgres, dsn: str
) -> None:
    live = [await asyncio.to_thread(fronts[0].account) for _ in range(4)]
    ending = [await asyncio.to_thread(fronts[0].account, left=1.0) for _ in range(4)]
    await asyncio.sleep(1.1)
    before, tally, stop, began = lab.app.refreshes(), Tally(), asyncio.Event(), time.monotonic()
    load = asyncio.ensure_future(under_load(fronts, [*live, *ending], 12, stop, tally))
    await asyncio.sleep(4)
    stop.set()
    await load
    count = tally.answers.total()
    print(f"{PROCESSES} processes, {count} reads in {time.monotonic() - began:.1f} s through pgbouncer")
    assert (tally.lost, tally.inactive, set(tally.answers)) == ([], [], {200})
    assert lab.app.refreshes() - before == len(ending)
    entries = int(postgres.sql(dsn, f"SELECT count(*) FROM ({EACH_READ['postgresql']}) AS each"))
    assert entries == count, "one for each token that left"
    assert (leases_held(postgres, dsn), intents_open(postgres, dsn)) == (0, 0)
