"""Work on the driver's own connection, and that a batch never reports as durable what SQLite has rolled back."""

import asyncio
import sqlite3
from dataclasses import dataclass
from typing import Any

import pytest

from holdfast.errors import Unavailable
from holdfast.storage import Connection, Database
from holdfast.storage.engine import open_database


@dataclass(frozen=True)
class _Statement:
    text: str

    def on_sqlite(self, raw: sqlite3.Connection) -> list[Any]:
        return raw.execute(self.text).fetchall()

    async def on_postgres(self, raw: Any) -> list[Any]:
        return [tuple(row) for row in await raw.fetch(self.text)]


@pytest.fixture
async def opened(fresh_url: str) -> Any:
    database = await open_database(fresh_url)
    await database.direct(_Statement("CREATE TABLE t (n integer PRIMARY KEY)"))
    yield database
    await database.close()


async def _numbers(database: Database) -> list[int]:
    return [row[0] for row in await database.direct(_Statement("SELECT n FROM t ORDER BY n"))]


async def test_direct_work_is_committed_and_seen_by_the_ordinary_kind(opened: Database) -> None:
    await opened.direct(_Statement("INSERT INTO t VALUES (1)"))
    assert await opened.transact(lambda tx: tx.exec_driver_sql("SELECT n FROM t").scalar_one()) == 1


async def test_direct_work_that_fails_undoes_only_itself_and_the_next_goes_on(opened: Database) -> None:
    statements = [_Statement(f"INSERT INTO t VALUES ({number})") for number in (1, 2, 2, 3)]
    done = await asyncio.gather(*(opened.direct(item) for item in statements), return_exceptions=True)
    assert [isinstance(item, Exception) for item in done].count(True) == 1
    assert await _numbers(opened) == [1, 2, 3]


async def test_a_caller_who_hangs_up_does_not_stop_direct_work(opened: Database) -> None:
    task = asyncio.ensure_future(opened.direct(_Statement("INSERT INTO t VALUES (7)")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(100):
        if await _numbers(opened):
            break
        await asyncio.sleep(0.01)
    assert await _numbers(opened) == [7]


async def test_a_batch_that_sqlite_has_rolled_back_is_reported_as_such_to_all_of_it(opened: Database) -> None:
    if opened.dialect != "sqlite":
        pytest.skip("SQLite puts several callers into one transaction")
    await opened.direct(
        _Statement("CREATE TRIGGER no_nine BEFORE INSERT ON t WHEN new.n = 9 BEGIN SELECT RAISE(ROLLBACK, 'full'); END")
    )

    def insert(number: int) -> Any:
        return lambda tx: _add(tx, number)

    results = await asyncio.gather(*(opened.transact(insert(n)) for n in (0, 1, 2, 9, 3)), return_exceptions=True)
    kept = await _numbers(opened)
    told = [number for number, result in zip((0, 1, 2, 9, 3), results, strict=True) if result is None]
    assert set(told) <= set(kept)
    assert 9 not in kept
    await opened.transact(insert(10))
    assert 10 in await _numbers(opened)


def _add(tx: Connection, number: int) -> None:
    tx.exec_driver_sql(f"INSERT INTO t VALUES ({number})")


async def test_a_closed_database_takes_no_direct_work(fresh_url: str) -> None:
    database = await open_database(fresh_url)
    await database.close()
    if database.dialect == "sqlite":
        with pytest.raises(Unavailable):
            await database.direct(_Statement("SELECT 1"))
