"""The log on both engines: append, and read with filters."""

from typing import Any

import pytest
from sqlalchemy import event

from holdfast.events import Action, Actor, Entry, store
from holdfast.events.store import Kind
from holdfast.ids import new_id
from holdfast.storage import Connection, Database

CONNECTED, READ, UPDATED = Action.ACCOUNT_CONNECTED, Action.CREDENTIAL_READ, Action.ACCOUNT_UPDATED


def an_entry(environment_id: str, action: Action = CONNECTED, at: float = 100.0, **changes: Any) -> Entry:
    values = {"id": new_id(), "actor": Actor.system(), **changes}
    return Entry(environment_id=environment_id, action=action, at=at, **values)


async def test_an_entry_comes_back_as_it_was_written(database: Database, environment_id: str) -> None:
    entry = an_entry(
        environment_id,
        READ,
        1_790_000_000.125,
        actor=Actor("api_key", new_id()),
        account_id=new_id(),
        connection_id=new_id(),
        user_id="ünï",
        organization_id="org",
        request_id="req_1",
        data={"label": None, "scopes": ["a"], "nested": {"n": 1.5, "t": True}},
    )
    await database.transact(lambda tx: store.append(tx, entry))
    assert await database.transact(lambda tx: store.list_entries(tx, environment_id, kinds=[Kind(READ)], limit=5)) == [
        entry
    ]


@pytest.fixture
async def written(database: Database, environment_id: str) -> list[Entry]:
    entries = [
        an_entry(environment_id, CONNECTED, 100.0, organization_id="org", account_id="A"),
        an_entry(environment_id, READ, 110.0, organization_id="org", account_id="A"),
        an_entry(environment_id, UPDATED, 120.0, account_id="B"),
        an_entry(environment_id, READ, 130.0, account_id="A"),
        an_entry(environment_id, UPDATED, 140.0, organization_id="org", account_id="B"),
    ]
    await database.transact(lambda tx: store.append(tx, *entries, an_entry(new_id(), READ)))
    return entries


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"kinds": [Kind(READ)]}, [1, 3]),
        ({"kinds": []}, []),
        ({"since": 110.0}, [1, 2, 3, 4]),
        ({"until": 110.0}, [0, 1]),
        ({"since": 110.0, "until": 130.0}, [1, 2, 3]),
        ({"organization_id": "org"}, [0, 1, 4]),
        ({"account_id": "A"}, [0, 1, 3]),
        ({"account_id": "A", "organization_id": "org", "kinds": [Kind(READ)]}, [1]),
        ({"newest_first": True, "limit": 2}, [4, 3]),
        ({"limit": 2}, [0, 1]),
        ({"after": 1, "limit": 2}, [2, 3]),
        ({"before": 3, "limit": 2}, [1, 2]),
        ({"after": 3, "newest_first": True, "limit": 2}, [2, 1]),
    ],
    ids=str,
)
async def test_the_log_is_read_with_filters_and_cursors(
    database: Database, environment_id: str, written: list[Entry], filters: dict[str, Any], expected: list[int]
) -> None:
    asked = {"kinds": [Kind(action) for action in Action], "limit": 10, **filters}
    for edge in ("after", "before"):
        if edge in asked:
            asked[edge] = written[asked[edge]].id
    found = await database.transact(lambda tx: store.list_entries(tx, environment_id, **asked))
    assert [written.index(entry) for entry in found] == expected


async def test_appending_nothing_is_no_error(database: Database, environment_id: str) -> None:
    await database.transact(lambda tx: store.append(tx))
    assert await database.transact(lambda tx: store.list_entries(tx, environment_id, kinds=[Kind(READ)], limit=1)) == []


async def test_an_entry_vanishes_with_the_work_it_reports(database: Database, environment_id: str) -> None:
    def work(tx: Any) -> None:
        store.append(tx, an_entry(environment_id, READ))
        raise LookupError

    with pytest.raises(LookupError):
        await database.transact(work)
    assert await database.transact(lambda tx: store.list_entries(tx, environment_id, kinds=[Kind(READ)], limit=1)) == []


@pytest.mark.parametrize(
    ("filters", "sqlite", "postgresql"),
    [
        ({"kinds": [Kind(CONNECTED)]}, "ix_entries_action", "ix_entries_a"),
        ({"kinds": [Kind(CONNECTED)], "account_id": "A"}, "ix_entries_a", "ix_entries_a"),
        ({"kinds": [Kind(READ)], "account_id": "A"}, "ix_entries_account", "ix_entries_reads"),
        ({"kinds": [Kind(READ), Kind(UPDATED)], "account_id": "A"}, "ix_entries_account", "ix_entries_reads"),
    ],
)
async def test_what_is_listed_is_found_by_an_index(
    database: Database, environment_id: str, filters: dict[str, Any], sqlite: str, postgresql: str
) -> None:
    def plan(tx: Connection) -> str:
        asked: list[tuple[str, Any]] = []
        event.listen(tx, "before_cursor_execute", lambda *a: asked.append((a[2], a[3])))
        if tx.dialect.name == "postgresql":  # its planner reads a table of a few rows through
            tx.exec_driver_sql("SET LOCAL enable_seqscan = off")
            tx.exec_driver_sql("ALTER TABLE entries DROP CONSTRAINT pk_entries")
        store.list_entries(tx, environment_id, limit=50, newest_first=True, **filters)
        statement, values = asked[-1]
        explain = "EXPLAIN " if tx.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN "
        rows = tx.exec_driver_sql(explain + statement, values).all()
        tx.rollback()
        return " ".join(str(row) for row in rows)

    assert {"sqlite": sqlite, "postgresql": postgresql}[database.dialect] in await database.transact(plan)
