"""The rules of a connection's calls on its page: kept, told of, and what was wrong with them said beside the field."""

from holdfast.connections import Connection
from holdfast.connections import store as connection_store
from tests.dashboard.desk import Desk, sqlite_desk, words

__all__ = ["sqlite_desk"]


async def _rules(desk: Desk, connection: Connection) -> tuple[str, ...]:
    holdfast = desk.holdfast
    found = await holdfast.database.transact(
        lambda tx: connection_store.by_id(tx, holdfast.environment.id, connection.id)
    )
    assert found is not None
    return found.proxy_rules


async def test_rules_are_typed_one_a_line_checked_kept_and_told_of_in_the_log(sqlite_desk: Desk) -> None:
    desk = sqlite_desk
    connection = await desk.sandbox_connection()
    assert desk.holdfast.sandbox is not None
    path, client_id = f"connections/{connection.id}", desk.holdfast.sandbox.client_id
    page = await desk.get(path)
    assert "Calls that may go through the proxy" in words(page)
    await desk.send(page, path, client_id=client_id, proxy_rules="GET   *\r\n\r\n  POST /v1/messages/*  \r\n")
    assert await _rules(desk, connection) == ("GET *", "POST /v1/messages/*")
    page = await desk.get(path)
    assert "GET *\nPOST /v1/messages/*</textarea>" in page.text
    assert "which calls may go through it" in words(await desk.get("activity"))

    await desk.send(page, path, client_id=client_id, description="x", proxy_rules="GET *\nPOST /v1/messages/*")
    await desk.send(page, path, client_id=client_id)
    assert await _rules(desk, connection) == ("GET *", "POST /v1/messages/*"), "a form without the field leaves them"
    await desk.send(page, path, client_id=client_id, proxy_rules=" \n")
    assert await _rules(desk, connection) == ()
    assert words(await desk.get("activity")).count("which calls may go through it") == 2

    # A bad one is told beside the field, and what was typed stays.
    typed = "GET /fine\nget /<b>"
    answer = await desk.send(page, path, client_id=client_id, description="typed too", proxy_rules=typed)
    assert answer.status == 422
    problem = answer.text.split('id="proxy_rules-problem">')[1].split("</p>")[0]
    assert problem.startswith("rule 2 (get /&lt;b&gt;): the method is in capitals")
    assert "GET /fine\nget /&lt;b&gt;</textarea>" in answer.text
    assert "typed too" in answer.text
    assert await _rules(desk, connection) == ()
