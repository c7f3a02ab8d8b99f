"""Counting the log by the hour: every entry once, on both engines."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast.events import Action, Actor, Entry
from holdfast.events import store as log
from holdfast.events.order import Order
from holdfast.events.usage import Roller, quantile, roller
from holdfast.events.usage import store as usage
from holdfast.events.usage.counts import by_connection, by_time
from holdfast.ids import new_id
from holdfast.storage import Database, open_database
from holdfast.storage.migrations import migrate

HOUR = 3600
NOON = 500_000 * HOUR


@pytest.fixture
async def empty(fresh_url: str) -> AsyncIterator[Database]:
    opened = await open_database(fresh_url)
    await migrate(opened)
    yield opened
    await opened.close()


def _entry(action: Action = Action.CREDENTIAL_READ, at: float = NOON, **more: Any) -> Entry:
    given = {"environment_id": "E" * 26, "connection_id": "C" * 26, "account_id": new_id(), **more}
    return Entry(id=new_id(), at=at, action=action, actor=Actor.system(), **given)


def _call(status: int | None, ms: float, at: float = NOON) -> Entry:
    return _entry(Action.PROXY_CALLED, at, data={"status": status, "ms": ms})


async def _write(database: Database, *entries: Entry) -> None:
    await database.transact(lambda tx: log.append(tx, *entries))


async def _found(database: Database, **more: Any) -> list[Any]:
    given = {"since": 0, "until": 1_000_000, "bucket": 1, **more}
    return await database.transact(lambda tx: usage.sums(tx, "E" * 26, **given))


async def test_entries_are_counted_by_hour_connection_and_outcome(empty: Database) -> None:
    await _write(
        empty,
        *(_entry() for _ in range(3)),
        _entry(at=NOON + HOUR),
        _entry(connection_id="D" * 26),
        _entry(environment_id="F" * 26),
        _entry(Action.TOKEN_REFRESHED),
        _entry(Action.TOKEN_REFRESH_FAILED),
        _entry(Action.TOKEN_REFRESH_UNRESOLVED),
        _entry(Action.API_KEY_CREATED),
        _call(200, 40),
        _call(200, 60),
        _call(503, 20_000),
        _call(None, 10),
    )
    await Roller(empty, Order(empty)).roll()
    found = await _found(empty)
    noon, later = (by_time(found, ())[NOON // HOUR + step] for step in (0, 1))
    assert (noon.reads, later.reads) == (4, 1)
    assert (noon.refreshed, noon.refresh_failed) == (1, 2)
    assert (noon.calls, noon.calls_failed) == (4, 2)
    assert noon.within == {50: 2, 100: 1, 0: 1}
    assert noon.ms == 20_110
    assert by_connection(found)["D" * 26].reads == 1
    assert {one.outcome for one in found if one.action == "proxy.called"} == {"2xx", "5xx", "failed"}


async def test_an_entry_is_counted_once_however_often_and_by_however_many_one_looks(empty: Database) -> None:
    rollers = [Roller(empty, Order(empty)) for _ in range(3)]
    for _ in range(5):
        await _write(empty, *(_entry() for _ in range(20)))
        await asyncio.gather(*(one.roll() for one in rollers))
    await rollers[0].roll()
    assert sum(one.count for one in await _found(empty)) == 100


async def test_a_long_log_is_counted_in_stretches_and_what_comes_later_is_added(empty: Database) -> None:
    await _write(empty, *(_entry() for _ in range(50)))
    await Roller(empty, Order(empty), stretch=7).roll()
    await _write(empty, _entry())
    await Roller(empty, Order(empty), stretch=7).roll()
    [one] = await _found(empty)
    assert one.count == 51


async def test_a_count_that_fails_leaves_the_cursor_where_it_was(empty: Database) -> None:
    await _write(empty, _entry())

    def fails(tx: Any) -> None:
        cursor = log.take_cursor(tx, roller.CURSOR)
        assert cursor is not None
        log.move_cursor(tx, roller.CURSOR, usage.count(tx, cursor.position, 1))
        raise KeyError

    with pytest.raises(KeyError):
        await empty.transact(fails)
    assert await _found(empty) == []
    await Roller(empty, Order(empty)).roll()
    assert [one.count for one in await _found(empty)] == [1]


async def test_hours_are_put_together_and_old_ones_forgotten(empty: Database) -> None:
    day = NOON // HOUR // 24 * 24
    await _write(empty, *(_entry(at=(day + hour) * HOUR) for hour in range(30)))
    await Roller(empty, Order(empty)).roll()
    assert sorted((one.at, one.count) for one in await _found(empty, bucket=24)) == [(day, 24), (day + 24, 6)]
    assert sum(one.count for one in await _found(empty, since=day + 10, until=day + 20)) == 10
    await empty.transact(lambda tx: usage.forget_before(tx, day + 24))
    assert sum(one.count for one in await _found(empty)) == 6


def test_a_quantile_is_within_its_bound() -> None:
    assert quantile({}, 0.5) is None
    assert quantile({100: 10}, 0.5) == 75
    assert quantile({50: 90, 1000: 10}, 0.95) == 750
    assert quantile({50: 1, 0: 9}, 0.95) == 10_000
