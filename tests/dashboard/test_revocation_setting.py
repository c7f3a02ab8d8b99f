"""A connection's settings say whether the provider is told, and the activity log what came of it."""

import asyncio

from holdfast.accounts import Connecting, OAuthCredential, Owner
from holdfast.connections import Connection
from holdfast.connections import store as connection_store
from holdfast.events import Actor
from holdfast.secret import Secret
from tests.dashboard.desk import Desk, sqlite_desk, words

__all__ = ["sqlite_desk"]


async def _stored(desk: Desk, connection: Connection) -> Connection:
    holdfast = desk.holdfast
    found = await holdfast.database.transact(
        lambda tx: connection_store.by_id(tx, holdfast.environment.id, connection.id)
    )
    assert found is not None
    return found


async def test_the_setting_is_shown_kept_and_told_of(sqlite_desk: Desk) -> None:
    desk, holdfast = sqlite_desk, sqlite_desk.holdfast
    connection = await desk.sandbox_connection()
    path = f"connections/{connection.id}"
    page = await desk.get(path)
    assert "End access at Sandbox too" in words(page)
    assert '<option value="usual" selected>' in page.text
    assert holdfast.sandbox is not None
    await desk.send(page, path, client_id=holdfast.sandbox.client_id, revokes="always")
    assert (await _stored(desk, connection)).revokes == "always"
    assert '<option value="always" selected>' in (await desk.get(path)).text
    await desk.send(page, path, client_id=holdfast.sandbox.client_id, revokes="sometimes")
    assert (await _stored(desk, connection)).revokes == "always", "what is no choice changes nothing"

    effective = await holdfast.database.transact(lambda tx: holdfast.connections.effective(tx, connection))
    account = await holdfast.accounts.connect(
        Connecting(
            effective=effective,
            owner=Owner.user("user_1"),
            credential=OAuthCredential(Secret("a-token"), Secret("a-refresh-token")),
            intent="create",
            actor=Actor.system(),
            client_ref=effective.client_ref,
        )
    )
    for act in ("disconnect", "delete"):
        assert "Sandbox is asked to end its access too" in words(await desk.get(f"accounts/{account.id}/{act}"))
    await desk.send(page, path, client_id=holdfast.sandbox.client_id, revokes="never")
    assert "Sandbox itself is not told" in words(await desk.get(f"accounts/{account.id}/disconnect"))
    await desk.send(page, path, client_id=holdfast.sandbox.client_id, revokes="always")
    await desk.send(page, f"accounts/{account.id}/delete")
    for _ in range(200):
        if "ended the account's access at the provider sandbox" in words(await desk.get("activity")):
            return
        await asyncio.sleep(0.1)
    raise AssertionError("the log does not tell of it")
