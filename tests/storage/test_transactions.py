"""`transact` on both engines: what it promises of commits, failures and callers who leave."""

import asyncio
import threading
import time
import uuid
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from holdfast.errors import Unavailable
from holdfast.storage import Connection, Database, open_database

_ADD = text("INSERT INTO redirect_uris (environment_id, id, uri, created_at) VALUES (:e, :i, :u, 0)")


def _add(tx: Connection, environment_id: str, name: str) -> None:
    tx.execute(_ADD, {"e": environment_id, "i": name, "u": name})


def _names(tx: Connection, environment_id: str) -> set[str]:
    rows = tx.execute(text("SELECT uri FROM redirect_uris WHERE environment_id = :e"), {"e": environment_id})
    return {row.uri for row in rows}


async def _stored(url: str, environment_id: str) -> set[str]:
    """Read with a connection of its own, which sees only what was committed."""
    other = await open_database(url)
    try:
        return await other.transact(lambda tx: _names(tx, environment_id))
    finally:
        await other.close()


async def test_what_work_returns_is_returned_once_it_is_committed(
    database: Database, database_url: str, environment_id: str
) -> None:
    def work(tx: Connection) -> str:
        _add(tx, environment_id, "one")
        return "done"

    assert await database.transact(work) == "done"
    assert await _stored(database_url, environment_id) == {"one"}


async def test_what_work_raises_is_raised_and_nothing_of_it_is_kept(
    database: Database, database_url: str, environment_id: str
) -> None:
    def work(tx: Connection) -> None:
        _add(tx, environment_id, "one")
        raise KeyError("thought better of it")

    with pytest.raises(KeyError, match="thought better of it"):
        await database.transact(work)
    assert await _stored(database_url, environment_id) == set()


async def test_a_job_that_fails_in_the_database_undoes_only_itself(
    database: Database, database_url: str, environment_id: str
) -> None:
    """On SQLite all of these share one commit."""
    gate = threading.Event()
    jobs = []
    if database.dialect == "sqlite":  # holds the writer's thread, so that what follows is one batch
        jobs.append(asyncio.ensure_future(database.transact(lambda tx: gate.wait(5))))
        await asyncio.sleep(0.05)

    def twice(tx: Connection) -> None:
        _add(tx, environment_id, "half")
        _add(tx, environment_id, "half")

    good = [
        asyncio.ensure_future(database.transact(lambda tx, name=f"good{number}": _add(tx, environment_id, name)))
        for number in range(4)
    ]
    bad = asyncio.ensure_future(database.transact(twice))
    last = asyncio.ensure_future(database.transact(lambda tx: _add(tx, environment_id, "good4")))
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*jobs, *good, last)
    with pytest.raises(IntegrityError):
        await bad
    assert await _stored(database_url, environment_id) == {f"good{number}" for number in range(5)}


async def test_a_caller_who_leaves_does_not_take_the_commit_along(
    database: Database, database_url: str, environment_id: str
) -> None:
    task = asyncio.ensure_future(database.transact(lambda tx: _add(tx, environment_id, "kept")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(100):
        if await _stored(database_url, environment_id):
            break
        await asyncio.sleep(0.02)
    assert await _stored(database_url, environment_id) == {"kept"}


async def test_five_hundred_writes_at_once_are_all_durable(
    database: Database, database_url: str, environment_id: str
) -> None:
    names = [uuid.uuid4().hex[:26] for _ in range(500)]
    await asyncio.gather(*(database.transact(lambda tx, name=name: _add(tx, environment_id, name)) for name in names))
    assert await _stored(database_url, environment_id) == set(names)


async def test_a_closing_database_finishes_what_is_queued_and_takes_nothing_more(
    fresh_url: str, environment_id: str
) -> None:
    database = await open_database(fresh_url)
    await database.transact(lambda tx: tx.execute(text("CREATE TABLE kept (name VARCHAR(30))")))
    writes = [
        asyncio.ensure_future(
            database.transact(lambda tx, name=f"n{number}": tx.execute(text(f"INSERT INTO kept VALUES ('{name}')")))
        )
        for number in range(8)
    ]
    await asyncio.sleep(0)
    await database.close()
    await asyncio.gather(*writes)
    again = await open_database(fresh_url)
    count = await again.transact(lambda tx: tx.execute(text("SELECT count(*) FROM kept")).scalar_one())
    await again.close()
    assert count == 8
    if database.dialect == "sqlite":
        with pytest.raises(Unavailable, match="closed"):
            await database.transact(lambda tx: None)


async def test_sqlite_waits_for_a_second_process_that_holds_the_write_lock(
    database: Database, database_url: str, environment_id: str
) -> None:
    """The command line writes beside a running server; on PostgreSQL the two do not meet at all."""
    other = await open_database(database_url)
    gate = threading.Event()

    def slow(tx: Connection) -> None:
        _add(tx, environment_id, "slow")
        if other.dialect == "sqlite":
            gate.wait(5)

    holding = asyncio.ensure_future(other.transact(slow))
    await asyncio.sleep(0.05)
    waiting = asyncio.ensure_future(database.transact(lambda tx: _add(tx, environment_id, "quick")))
    await asyncio.sleep(0.1)
    gate.set()
    await asyncio.gather(holding, waiting)
    await other.close()
    assert await _stored(database_url, environment_id) == {"slow", "quick"}


async def test_when_a_full_disk_undoes_a_batch_nobody_is_told_that_it_was_written(tmp_path: Path) -> None:
    database = await open_database(f"sqlite:///{tmp_path / 'full.db'}")
    try:
        await database.transact(lambda tx: tx.exec_driver_sql("CREATE TABLE t (x BLOB)"))

        def hold_up(tx: Connection) -> None:
            time.sleep(0.2)  # so that the three below form one batch

        def fill(tx: Connection) -> None:
            pages = tx.exec_driver_sql("PRAGMA page_count").scalar_one()
            tx.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")
            tx.exec_driver_sql("INSERT INTO t VALUES (zeroblob(1000000))")

        def write(tx: Connection) -> str:
            tx.exec_driver_sql("INSERT INTO t VALUES (x'01')")
            return "written"

        held = asyncio.ensure_future(database.transact(hold_up))
        await asyncio.sleep(0.05)
        results = await asyncio.gather(
            *(database.transact(work) for work in (write, fill, write)), return_exceptions=True
        )
        await held
        told = results.count("written")
        count = await database.transact(lambda tx: tx.exec_driver_sql("SELECT count(*) FROM t").scalar_one())
        assert count == told
        assert isinstance(results[1], Exception)
    finally:
        await database.close()
