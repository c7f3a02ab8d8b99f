"""The log's order: a reader who pages through it misses nothing, whenever the transactions commit."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from holdfast.events import Entry, store
from holdfast.events.order import Order
from holdfast.events.store import Kind
from holdfast.ids import new_id
from holdfast.storage import Database
from tests.events.test_event_store import CONNECTED, READ, an_entry

_LATE = """INSERT INTO entries (environment_id, id, at, action, actor_kind, actor_id, account_id, connection_id,
user_id, organization_id, request_id, data)
VALUES ($1, $2, 1, 'account.connected', 'system', '', '', '', '', '', '', '{}')"""


class Reader:
    """Pages through the log as an app does: it keeps the id it saw last, and nothing else."""

    def __init__(self, database: Database, environment_id: str) -> None:
        self._database, self._environment_id = database, environment_id
        self._order = Order(database)
        self.seen: list[str] = []

    async def read(self, patience: float = 0.05) -> list[str]:
        up_to = await self._order.settled(patience)
        after = self.seen[-1] if self.seen else None
        found: list[Entry] = await self._database.transact(
            lambda tx: store.list_entries(
                tx, self._environment_id, kinds=[Kind(CONNECTED)], limit=100, after=after, up_to=up_to
            )
        )
        self.seen += [entry.id for entry in found]
        return self.seen


@pytest.fixture
async def late(database: Database, database_url: str) -> AsyncIterator[Any]:
    """A connection of its own to PostgreSQL, whose transaction commits when the test says so."""
    if database.dialect != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def test_an_entry_that_commits_late_is_not_passed_by(database: Database, environment_id: str, late: Any) -> None:
    reader, early, quick = Reader(database, environment_id), new_id(), new_id()
    transaction = late.transaction()
    await transaction.start()
    await late.execute(_LATE, environment_id, early)
    await database.transact(lambda tx: store.append(tx, an_entry(environment_id, CONNECTED, id=quick)))

    assert await reader.read() == [], "the later one is not shown while the earlier one may still come"
    await transaction.commit()

    assert await reader.read() == [early, quick]
    assert await reader.read() == [early, quick]


async def test_an_id_that_was_made_early_and_written_late_is_read_where_it_was_written(
    database: Database, environment_id: str
) -> None:
    reader, early, quick = Reader(database, environment_id), new_id(), new_id()
    await database.transact(lambda tx: store.append(tx, an_entry(environment_id, CONNECTED, id=quick)))
    assert await reader.read() == [quick]
    await database.transact(lambda tx: store.append(tx, an_entry(environment_id, CONNECTED, id=early)))
    assert await reader.read() == [quick, early]


async def test_an_entry_that_is_taken_back_holds_nobody_up(database: Database, environment_id: str, late: Any) -> None:
    reader, kept = Reader(database, environment_id), new_id()
    transaction = late.transaction()
    await transaction.start()
    await late.execute(_LATE, environment_id, new_id())
    await database.transact(lambda tx: store.append(tx, an_entry(environment_id, CONNECTED, id=kept)))
    assert await reader.read() == []
    await transaction.rollback()
    assert await reader.read() == [kept]


async def test_a_reader_waits_for_transactions_that_are_soon_over(
    database: Database, environment_id: str, late: Any
) -> None:
    reader, early = Reader(database, environment_id), new_id()
    transaction = late.transaction()
    await transaction.start()
    await late.execute(_LATE, environment_id, early)
    reading = asyncio.ensure_future(reader.read(patience=10))
    await asyncio.sleep(0.05)
    assert not reading.done()
    await transaction.commit()
    assert await reading == [early]


async def test_transactions_that_always_overlap_hold_nobody_up_for_good(
    database: Database, database_url: str, environment_id: str, late: Any
) -> None:
    """Each look finds a long transaction running, and never the same one: what came before them is shown."""
    reader, first = Reader(database, environment_id), new_id()
    other = await asyncpg.connect(database_url)
    try:
        await database.transact(lambda tx: store.append(tx, an_entry(environment_id, CONNECTED, id=first)))
        running = late.transaction()
        await running.start()
        await late.execute("SELECT pg_current_xact_id()")
        await reader.read(patience=0)
        following = other.transaction()
        await following.start()
        await other.execute("SELECT pg_current_xact_id()")
        await running.commit()
        assert await reader.read(patience=0) == [first]
        await following.rollback()
    finally:
        await other.close()


async def test_writers_and_a_reader_at_once(database: Database, environment_id: str) -> None:
    """Every entry is read once, though transactions take their time between writing and committing."""
    reader, made, writing = Reader(database, environment_id), [], True

    async def write(number: int) -> None:
        for step in range(15):
            mine = [an_entry(environment_id, CONNECTED), an_entry(environment_id, READ)]
            pause = 0.004 * ((number + step) % 3)

            def work(tx: Any, mine: list[Entry] = mine, pause: float = pause) -> None:
                store.append(tx, *mine)
                if database.dialect == "postgresql":
                    tx.exec_driver_sql(f"SELECT pg_sleep({pause})")

            await database.transact(work)
            made.append(mine[0].id)

    async def read() -> None:
        while writing:
            await reader.read(patience=0.002)
            await asyncio.sleep(0)

    reading = asyncio.ensure_future(read())
    await asyncio.gather(*(write(number) for number in range(6)))
    writing = False
    await reading
    await reader.read(patience=5)
    assert sorted(reader.seen) == sorted(made)
