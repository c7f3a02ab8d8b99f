"""Webhook endpoints on both engines."""

from dataclasses import replace

import pytest
from sqlalchemy.exc import IntegrityError

from holdfast.ids import new_id
from holdfast.storage import Database
from holdfast.vault import Sealed
from holdfast.webhooks import Endpoint, store


def an_endpoint(environment_id: str, url: str = "https://app.example.test/hooks") -> Endpoint:
    return Endpoint(
        environment_id=environment_id,
        id=new_id(),
        url=url,
        status="enabled",
        events=("a.b", "c.d"),
        secret=Sealed(b"\x01secret"),
        created_at=1.0,
        updated_at=1.0,
    )


async def test_an_endpoint_is_stored_found_changed_and_removed(database: Database, environment_id: str) -> None:
    made = an_endpoint(environment_id)
    await database.transact(lambda tx: store.save(tx, made))
    assert await database.transact(lambda tx: store.get(tx, environment_id, made.id)) == made
    assert await database.transact(lambda tx: store.by_url(tx, environment_id, made.url)) == made
    assert await database.transact(lambda tx: store.get(tx, new_id(), made.id)) is None
    changed = replace(made, status="disabled", events=(), updated_at=2.0)
    await database.transact(lambda tx: store.save(tx, changed))
    assert await database.transact(lambda tx: store.get(tx, environment_id, made.id)) == changed
    await database.transact(lambda tx: store.remove(tx, new_id(), made.id))
    assert await database.transact(lambda tx: store.get(tx, environment_id, made.id)) == changed
    await database.transact(lambda tx: store.remove(tx, environment_id, made.id))
    assert await database.transact(lambda tx: store.get(tx, environment_id, made.id)) is None


async def test_a_url_has_one_endpoint_in_an_environment(database: Database, environment_id: str) -> None:
    await database.transact(lambda tx: store.save(tx, an_endpoint(environment_id)))
    with pytest.raises(IntegrityError):
        await database.transact(lambda tx: store.save(tx, an_endpoint(environment_id)))
    await database.transact(lambda tx: store.save(tx, an_endpoint(new_id())))


async def test_endpoints_are_listed_in_pages(database: Database, environment_id: str) -> None:
    made = [an_endpoint(environment_id, f"https://app.example.test/{number}") for number in range(3)]
    for one in made:
        await database.transact(lambda tx, one=one: store.save(tx, one))

    async def listed(after: str | None, *, newest_first: bool) -> list[Endpoint]:
        return await database.transact(
            lambda tx: store.list_endpoints(
                tx, environment_id, limit=2, after=after, before=None, newest_first=newest_first
            )
        )

    assert await listed(None, newest_first=True) == [made[2], made[1]]
    assert await listed(made[1].id, newest_first=True) == [made[0]]
    assert await listed(made[0].id, newest_first=False) == [made[1], made[2]]
