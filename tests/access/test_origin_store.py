"""CORS origins on both engines."""

import pytest
from sqlalchemy.exc import IntegrityError

from holdfast.access.widgets import CorsOrigin, store
from holdfast.ids import new_id
from holdfast.storage import Database


async def test_an_origin_is_an_environments_own_and_known_to_preflights(
    database: Database, environment_id: str
) -> None:
    origin = f"https://{environment_id.lower()}.example"
    made = CorsOrigin(environment_id, new_id(), origin, 1.5)
    await database.transact(lambda tx: store.add_origin(tx, made))
    with pytest.raises(IntegrityError):
        await database.transact(lambda tx: store.add_origin(tx, CorsOrigin(environment_id, new_id(), origin, 2.0)))
    for where, known in ((environment_id, True), (None, True), (new_id(), False)):
        assert await database.transact(lambda tx, where=where: store.has_origin(tx, origin, where)) is known
    page = {"limit": 2, "after": None, "before": None, "newest_first": True}
    assert await database.transact(lambda tx: store.page_origins(tx, environment_id, **page)) == [made]
    assert not await database.transact(lambda tx: store.remove_origin(tx, new_id(), made.id))
    assert await database.transact(lambda tx: store.remove_origin(tx, environment_id, made.id))
    assert not await database.transact(lambda tx: store.has_origin(tx, origin, None))
