"""Wrapped data keys on both engines."""

import pytest
from sqlalchemy.exc import IntegrityError

from holdfast.ids import new_id
from holdfast.storage import Database, open_database
from holdfast.storage.migrations import migrate
from holdfast.vault import store


async def test_data_keys_come_back_oldest_first_and_by_environment(database: Database, environment_id: str) -> None:
    other = new_id()
    for owner, version in ((environment_id, 2), (environment_id, 1), (other, 1)):
        await database.transact(
            lambda tx, owner=owner, version=version: store.add(tx, owner, version, bytes([version, 0, 255]), "kek", 1.0)
        )
    mine = [(environment_id, 1, b"\x01\x00\xff", "kek", 0.0), (environment_id, 2, b"\x02\x00\xff", "kek", 0.0)]
    assert await database.transact(lambda tx: store.load(tx, environment_id)) == mine
    everyone = await database.transact(store.load)
    assert [row for row in everyone if row[0] in (environment_id, other)] == sorted(
        [*mine, (other, 1, b"\x01\x00\xff", "kek", 0.0)]
    )


async def test_a_version_is_written_once(database: Database, environment_id: str) -> None:
    await database.transact(lambda tx: store.add(tx, environment_id, 1, b"first", "kek", 1.0))
    with pytest.raises(IntegrityError):
        await database.transact(lambda tx: store.add(tx, environment_id, 1, b"second", "kek", 1.0))
    assert await database.transact(lambda tx: store.load(tx, environment_id)) == [
        (environment_id, 1, b"first", "kek", 0.0)
    ]


async def test_a_database_without_data_keys_says_so(fresh_url: str) -> None:
    database = await open_database(fresh_url)
    try:
        await migrate(database)
        assert await database.transact(store.is_empty)
        await database.transact(lambda tx: store.add(tx, new_id(), 1, b"key", "kek", 1.0))
        assert not await database.transact(store.is_empty)
    finally:
        await database.close()
