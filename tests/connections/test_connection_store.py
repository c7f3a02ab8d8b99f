"""Connections, clients and overrides on both engines."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from holdfast.connections import store
from holdfast.connections.connection import Client, Connection, Override, effective
from holdfast.ids import new_id
from holdfast.providers.entry import Provider
from holdfast.storage import Database
from holdfast.vault import Sealed


def a_connection(environment_id: str, **changes: Any) -> Connection:
    values: dict[str, Any] = {
        "environment_id": environment_id,
        "id": new_id(),
        "name": "forge",
        "owner_kind": "user",
        "provider_slug": "forge",
        "method": "oauth",
        "callback_key": new_id(),
        "created_at": 1.5,
        "updated_at": 2.5,
        **changes,
    }
    return Connection(**values)


def a_client(environment_id: str, **changes: Any) -> Client:
    values: dict[str, Any] = {
        "environment_id": environment_id,
        "id": new_id(),
        "connection_id": new_id(),
        "organization_id": "",
        "client_id": "app+/=&%:",
        "secret": Sealed(b"\x01now"),
        "secret_version": 2,
        "secret_last4": "abcd",
        "former_secret": Sealed(b"\x01before"),
        "created_at": 1.0,
        "updated_at": 2.0,
        **changes,
    }
    return Client(**values)


async def _add(database: Database, *records: Connection | Client) -> None:
    def work(tx: Any) -> None:
        for record in records:
            store.add(tx, record) if isinstance(record, Connection) else store.add_client(tx, record)

    await database.transact(work)


async def _client(database: Database, record: Client) -> Client | None:
    return await database.transact(lambda tx: store.client(tx, record.environment_id, record.id))


async def test_a_connection_comes_back_as_it_went_in_and_is_found_three_ways(
    database: Database, environment_id: str
) -> None:
    record = a_connection(
        environment_id,
        client_supply="custom",
        client_ref=new_id(),
        scopes=("a", "b"),
        required_scopes=("a",),
        proxy_rules=("GET *", "* /v1/a"),
        approval_rules=("POST *",),
        callback_by_id=True,
        enabled=True,
        description="Für Änderungen",
        config={"shop": "x"},
        alert="refused",
        alert_at=3.25,
    )
    plain = a_connection(environment_id, name="other", scopes=None)
    await _add(database, record, plain)
    assert await database.transact(lambda tx: store.by_id(tx, environment_id, record.id)) == record
    assert await database.transact(lambda tx: store.by_name(tx, environment_id, "forge", "user")) == record
    assert await database.transact(lambda tx: store.by_callback_key(tx, record.callback_key)) == record
    assert await database.transact(lambda tx: store.by_id(tx, environment_id, plain.id)) == plain
    assert await database.transact(lambda tx: store.by_id(tx, new_id(), record.id)) is None
    assert await database.transact(lambda tx: store.by_name(tx, environment_id, "forge", "organization")) is None


async def test_a_name_is_free_once_per_owner_kind(database: Database, environment_id: str) -> None:
    await _add(database, a_connection(environment_id), a_connection(environment_id, owner_kind="organization"))
    with pytest.raises(IntegrityError):
        await _add(database, a_connection(environment_id))
    await _add(database, a_connection(new_id()))


async def test_connections_are_listed_by_owner_kind_and_in_pages(database: Database, environment_id: str) -> None:
    mine = [a_connection(environment_id, name=f"n{number}") for number in range(3)]
    shared = a_connection(environment_id, owner_kind="organization")
    await _add(database, *mine, shared, a_connection(new_id()))
    assert await database.transact(lambda tx: store.all_of(tx, environment_id)) == [*mine, shared]
    assert await database.transact(lambda tx: store.all_of(tx, environment_id, "organization")) == [shared]
    page = await database.transact(
        lambda tx: store.list_connections(
            tx, environment_id, limit=2, after=mine[2].id, before=None, newest_first=True, owner_kind="user"
        )
    )
    assert page == [mine[1], mine[0]]


async def test_saving_replaces_one_connection(database: Database, environment_id: str) -> None:
    one, other = a_connection(environment_id), a_connection(environment_id, name="other")
    await _add(database, one, other)
    changed = replace(one, enabled=True, scopes=("x",), updated_at=9.0)
    await database.transact(lambda tx: store.save(tx, changed))
    assert await database.transact(lambda tx: store.all_of(tx, environment_id)) == [changed, other]


async def test_removing_a_connection_takes_its_clients_along_and_no_others(
    database: Database, environment_id: str
) -> None:
    one = a_connection(environment_id)
    its, another = a_client(environment_id, connection_id=one.id), a_client(environment_id)
    await _add(database, one, its, another)
    await database.transact(lambda tx: store.remove(tx, environment_id, one.id))
    assert await database.transact(lambda tx: store.by_id(tx, environment_id, one.id)) is None
    assert (await _client(database, its), await _client(database, another)) == (None, another)


async def test_an_alert_is_news_once_and_ends_with_its_own_client(database: Database, environment_id: str) -> None:
    record = a_connection(environment_id)
    await _add(database, record)

    async def refused(client_ref: str, at: float) -> bool:
        return await database.transact(
            lambda tx: store.raise_alert(tx, environment_id, record.id, client_ref, "refused", at)
        )

    async def found() -> tuple[str | None, float | None, str | None]:
        row = await database.transact(lambda tx: store.by_id(tx, environment_id, record.id))
        assert row is not None
        return row.alert, row.alert_at, row.alert_client_ref

    assert [await refused("old", 5.0), await refused("old", 9.0)] == [True, False]
    assert await found() == ("refused", 9.0, "old")  # known, and still so: the pause begins anew
    assert not await database.transact(lambda tx: store.clear_alert(tx, environment_id, record.id, "another"))
    assert await found() == ("refused", 9.0, "old")
    assert await database.transact(lambda tx: store.clear_alert(tx, environment_id, record.id, "old"))
    assert not await database.transact(lambda tx: store.clear_alert(tx, environment_id, record.id, "old"))
    assert await found() == (None, None, None)


async def test_a_client_secret_is_replaced_by_whoever_knows_its_version(
    database: Database, environment_id: str
) -> None:
    before = a_client(environment_id)
    await _add(database, before)
    after = replace(before, secret=Sealed(b"\x01next"), secret_version=3, former_secret=before.secret)
    assert await database.transact(lambda tx: store.save_client(tx, after, expected_version=2))
    assert not await database.transact(lambda tx: store.save_client(tx, before, expected_version=2))
    assert await _client(database, before) == after


async def test_clients_are_fetched_together(database: Database, environment_id: str) -> None:
    one, other = a_client(environment_id), a_client(environment_id, secret=None, former_secret=None)
    await _add(database, one, other)
    found = await database.transact(lambda tx: store.clients_of(tx, environment_id, [one.id, other.id, new_id()]))
    assert found == {one.id: one, other.id: other}
    assert await database.transact(lambda tx: store.clients_of(tx, environment_id, [])) == {}
    assert await database.transact(lambda tx: store.clients_of(tx, new_id(), [one.id])) == {}


async def test_a_provider_that_moves_forgets_every_secret_but_the_one_just_given(
    database: Database, environment_id: str
) -> None:
    moved = a_connection(environment_id)
    shared = a_connection(environment_id, owner_kind="organization")
    elsewhere = a_connection(environment_id, name="other", provider_slug="other")
    old, given, stays = (a_client(environment_id, connection_id=at.id) for at in (shared, moved, elsewhere))
    await _add(database, moved, shared, elsewhere, old, given, stays)
    await database.transact(lambda tx: store.clear_secrets(tx, environment_id, "forge", keep=given.id, at=7.0))
    emptied = replace(old, secret=None, former_secret=None, secret_last4="", updated_at=7.0)
    assert await _client(database, old) == emptied
    assert await _client(database, given) == replace(given, former_secret=None)
    assert await _client(database, stays) == stays


async def test_an_override_belongs_to_one_organization_and_name(database: Database, environment_id: str) -> None:
    record = Override(
        environment_id=environment_id,
        id=new_id(),
        organization_id="org",
        name="forge",
        created_at=1.0,
        updated_at=1.0,
        enabled=False,
        scopes=(),
        config={"a": "b"},
        client_ref=new_id(),
    )
    unset = replace(record, id=new_id(), name="other", enabled=None, scopes=None, config={}, client_ref=None)
    for one in (record, unset):
        await database.transact(lambda tx, one=one: store.save_override(tx, one))
    assert await database.transact(lambda tx: store.override(tx, environment_id, "org", "forge")) == record
    assert await database.transact(lambda tx: store.override(tx, environment_id, "", "forge")) is None
    assert await database.transact(lambda tx: store.override(tx, environment_id, "other", "forge")) is None
    both = {"forge": record, "other": unset}
    assert await database.transact(lambda tx: store.overrides_of(tx, environment_id, "org")) == both
    changed = replace(record, enabled=True, updated_at=4.0)
    await database.transact(lambda tx: store.save_override(tx, changed))
    assert await database.transact(lambda tx: store.override(tx, environment_id, "org", "forge")) == changed
    await database.transact(lambda tx: store.remove_overrides(tx, environment_id, "forge"))
    assert await database.transact(lambda tx: store.overrides_of(tx, environment_id, "org")) == {"other": unset}


def test_an_organizations_config_goes_with_its_own_client_only() -> None:
    theirs = Override(
        environment_id="E",
        id="O",
        organization_id="org",
        name="forge",
        created_at=0,
        updated_at=0,
        config={"domain": "theirs"},
        client_ref="THEIRS",
    )
    provider = Provider(slug="forge", name="Forge", auth="oauth2")
    operators = a_connection("E", client_supply="custom", client_ref="OURS", config={"domain": "ours"})
    assert effective(operators, provider, theirs).config == {"domain": "ours"}
    own = a_connection("E", client_supply="organization", config={"domain": "ours"})
    found = effective(own, provider, theirs)
    assert (found.client_ref, found.config) == ("THEIRS", {"domain": "theirs"})
