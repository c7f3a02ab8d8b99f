"""Leases on rows, on both engines: one holder at a time, and a late writer who changes nothing."""

import asyncio

from sqlalchemy import update

from holdfast.accounts import store
from holdfast.storage import Connection, Database, open_database
from holdfast.storage.leases import database_now
from tests.accounts.records import an_account


async def _added(database: Database, environment_id: str) -> str:
    account = an_account(environment_id)
    await database.transact(lambda tx: store.add(tx, account))
    return account.id


async def test_of_twenty_who_want_a_lease_at_once_one_gets_it(
    database: Database, database_url: str, environment_id: str
) -> None:
    account_id = await _added(database, environment_id)
    others = [await open_database(database_url) for _ in range(2)]

    def take(tx: Connection) -> int | None:
        return store.take_lease(tx, environment_id, account_id, owner="me", seconds=60)

    fences = await asyncio.gather(*(handle.transact(take) for handle in [database, *others] * 7))
    for handle in others:
        await handle.close()
    assert sorted(fence for fence in fences if fence is not None) == [1]


async def test_a_lease_that_was_given_up_is_taken_again_with_a_higher_fence(
    database: Database, environment_id: str
) -> None:
    account_id = await _added(database, environment_id)

    def turn(tx: Connection) -> int | None:
        fence = store.take_lease(tx, environment_id, account_id, owner="me", seconds=60)
        if fence is not None:
            store.give_up_lease(tx, environment_id, account_id, fence=fence)
        return fence

    assert [await database.transact(turn) for _ in range(3)] == [1, 2, 3]


async def test_a_lease_ends_by_the_databases_clock(database: Database, environment_id: str) -> None:
    account_id = await _added(database, environment_id)

    def take(tx: Connection) -> int | None:
        return store.take_lease(tx, environment_id, account_id, owner="me", seconds=0.2)

    assert await database.transact(take) == 1
    assert await database.transact(take) is None
    await asyncio.sleep(0.3)
    assert await database.transact(take) == 2


async def test_a_holder_who_comes_late_cannot_release_the_next_ones_lease(
    database: Database, environment_id: str
) -> None:
    account_id = await _added(database, environment_id)

    def take(tx: Connection) -> int | None:
        return store.take_lease(tx, environment_id, account_id, owner="me", seconds=60)

    def end_it_early(tx: Connection) -> None:
        here = (store.accounts.c.environment_id == environment_id) & (store.accounts.c.id == account_id)
        tx.execute(update(store.accounts).where(here).values(lease_until=database_now() - 1))

    assert await database.transact(take) == 1
    await database.transact(end_it_early)
    assert await database.transact(take) == 2
    await database.transact(lambda tx: store.give_up_lease(tx, environment_id, account_id, fence=1))
    assert await database.transact(take) is None


async def test_there_is_no_lease_on_a_row_that_does_not_exist(database: Database, environment_id: str) -> None:
    def take(tx: Connection) -> int | None:
        return store.take_lease(tx, environment_id, "nobody", owner="me", seconds=60)

    assert await database.transact(take) is None
