"""Idempotency keys on both engines: remembered for a day, for one environment."""

import pytest
from sqlalchemy.exc import IntegrityError

from holdfast.accounts.store import idempotency
from holdfast.accounts.store.idempotency import LIFETIME, EarlierUse
from holdfast.clock import FrozenClock
from holdfast.ids import new_id
from holdfast.storage import Database


async def test_a_key_is_remembered_for_a_day_and_then_free_again(database: Database, environment_id: str) -> None:
    clock, account_id = FrozenClock(), new_id()

    async def find() -> EarlierUse | None:
        return await database.transact(lambda tx: idempotency.find(tx, environment_id, "key", clock.now()))

    async def add(fingerprint: str) -> None:
        await database.transact(
            lambda tx: idempotency.add(tx, environment_id, "key", fingerprint, account_id, clock.now())
        )

    assert await find() is None
    await add("first")
    clock.advance(LIFETIME)
    assert await find() == EarlierUse("first", account_id)
    clock.advance(1)
    assert await find() is None
    await add("second")
    assert await find() == EarlierUse("second", account_id)


async def test_a_key_that_is_in_use_cannot_be_added_again(database: Database, environment_id: str) -> None:
    await database.transact(lambda tx: idempotency.add(tx, environment_id, "key", "a", new_id(), 1.0))
    with pytest.raises(IntegrityError):
        await database.transact(lambda tx: idempotency.add(tx, environment_id, "key", "b", new_id(), 1.0))


async def test_environments_do_not_see_each_others_keys(database: Database, environment_id: str) -> None:
    await database.transact(lambda tx: idempotency.add(tx, environment_id, "key", "a", new_id(), 1.0))
    assert await database.transact(lambda tx: idempotency.find(tx, new_id(), "key", 1.0)) is None


async def test_forgetting_takes_what_is_over_and_nothing_else(database: Database, environment_id: str) -> None:
    for name, at in (("old", -500.0), ("new", -400.0)):
        await database.transact(
            lambda tx, name=name, at=at: idempotency.add(tx, environment_id, name, "a", new_id(), at)
        )
    assert await database.transact(lambda tx: idempotency.forget_before(tx, -400.0)) == 1
    assert await database.transact(lambda tx: idempotency.find(tx, environment_id, "old", -400.0)) is None
    assert await database.transact(lambda tx: idempotency.find(tx, environment_id, "new", -400.0)) is not None
    await database.transact(lambda tx: idempotency.forget_before(tx, -300.0))
