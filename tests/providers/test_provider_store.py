"""Custom providers on both engines: an environment's own, as they were defined."""

from msgspec.structs import replace

from holdfast.ids import new_id
from holdfast.lab import sandbox_provider
from holdfast.providers import store
from holdfast.providers.entry import Lifetime
from holdfast.storage import Database


async def test_a_custom_provider_comes_back_as_it_was_defined(database: Database, environment_id: str) -> None:
    entry = replace(
        sandbox_provider("https://forge.example.test", lifetime=Lifetime(access="never", reuse_grace=30)),
        slug="forge",
        custom=True,
    )
    await database.transact(lambda tx: store.save(tx, environment_id, entry, 1.0))
    assert await database.transact(lambda tx: store.get(tx, environment_id, "forge")) == entry
    assert await database.transact(lambda tx: store.get(tx, new_id(), "forge")) is None
    assert await database.transact(lambda tx: store.get(tx, environment_id, "other")) is None


async def test_a_custom_provider_is_replaced_listed_and_removed(database: Database, environment_id: str) -> None:
    b, a = (replace(sandbox_provider("https://x.example.test"), slug=slug, custom=True) for slug in ("b", "a"))
    for entry in (b, a):
        await database.transact(lambda tx, entry=entry: store.save(tx, environment_id, entry, 1.0))
    renamed = replace(b, name="Another name")
    await database.transact(lambda tx: store.save(tx, environment_id, renamed, 2.0))
    assert await database.transact(lambda tx: store.all_of(tx, environment_id)) == [a, renamed]
    await database.transact(lambda tx: store.remove(tx, environment_id, "a"))
    assert await database.transact(lambda tx: store.all_of(tx, environment_id)) == [renamed]
    assert await database.transact(lambda tx: store.all_of(tx, new_id())) == []
