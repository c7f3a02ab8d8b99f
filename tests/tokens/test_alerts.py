"""An alert on a connection is on record from its beginning to its end: one entry each, with what changed."""

import asyncio
from dataclasses import replace

from holdfast.accounts import Account, Owner
from holdfast.connections import Connection
from holdfast.connections import store as connection_store
from holdfast.connections.changes import Changes, NewConnection, OverrideChanges
from holdfast.connections.clients import ClientInput
from holdfast.dashboard.sentences import sentence, tone
from holdfast.events import Action, Actor, Entry
from holdfast.events import store as log
from holdfast.ids import opaque
from holdfast.secret import Secret
from holdfast.tokens.outcome import Misconfigured, Refreshed
from tests.tokens.house import House

BEGINS, ENDS = Action.CONNECTION_MISCONFIGURED, Action.CONNECTION_ALERT_ENDED
OPERATOR = Actor("operator")


async def _entries(house: House, connection: Connection) -> list[Entry]:
    kinds = [log.Kind(BEGINS), log.Kind(ENDS)]
    found = await house.holdfast.database.transact(
        lambda tx: log.list_entries(tx, house.environment_id, kinds=kinds, limit=100)
    )
    return [entry for entry in found if entry.connection_id == connection.id]


async def _alert(house: House, connection: Connection) -> str | None:
    found = await house.holdfast.database.transact(
        lambda tx: connection_store.by_id(tx, house.environment_id, connection.id)
    )
    assert found is not None
    return found.alert


async def _refused(house: House, account: Account) -> None:
    house.sandbox.set(fail_next={"status": 401, "error": "invalid_client", "count": 1})
    assert isinstance(await house.holdfast.refresher.refresh(account, force=True), Misconfigured)


async def test_a_client_that_works_again_ends_its_alert_on_record(house: House) -> None:
    connection, account = await house.expired()
    began = house.clock.now()
    await _refused(house, account)
    alert = await _alert(house, connection)
    house.clock.advance(61)
    assert isinstance(await house.holdfast.refresher.refresh(await house.stored(account)), Refreshed)
    begun, ended = await _entries(house, connection)
    assert (begun.action, ended.action) == (BEGINS, ENDS)
    assert (ended.actor, ended.at) == (Actor.system(), house.clock.now())
    assert ended.data["alert"] == alert == begun.data["alert"]
    assert (ended.data["name"], ended.data["refused_at"]) == (connection.name, began)
    assert sentence(ended) == f"found that the provider takes the client of {connection.name} again"
    assert tone(ended) == "good"


async def test_of_many_accounts_that_are_renewed_again_one_ends_the_alert(house: House) -> None:
    connection = await house.connection()
    accounts = [await house.connect(connection) for _ in range(12)]
    await _refused(house, accounts[0])
    house.clock.advance(4000)
    outcomes = await asyncio.gather(*(house.holdfast.refresher.refresh(account) for account in accounts))
    assert {type(outcome) for outcome in outcomes} == {Refreshed}
    assert [entry.action for entry in await _entries(house, connection)] == [BEGINS, ENDS]
    assert await _alert(house, connection) is None
    await _refused(house, await house.stored(accounts[3]))
    assert [entry.action for entry in await _entries(house, connection)] == [BEGINS, ENDS, BEGINS], (
        "and a new one begins"
    )


async def test_whoever_changes_the_client_ends_the_alert(house: House) -> None:
    connection, account = await house.expired()
    await _refused(house, account)
    same = Changes(description="of no account")
    await house.connections.update(house.environment_id, connection.name, "user", same, OPERATOR)
    assert [entry.action for entry in await _entries(house, connection)] == [BEGINS]
    changes = Changes(client=ClientInput(house.sandbox.client_id, house.sandbox.client_secret))
    for _ in range(2):  # the second time there is nothing to end
        await house.connections.update(house.environment_id, connection.name, "user", changes, OPERATOR)
    assert isinstance(await house.holdfast.refresher.refresh(account, force=True), Refreshed)
    begun, ended = await _entries(house, connection)
    assert (begun.action, ended.action, ended.actor) == (BEGINS, ENDS, OPERATOR)
    assert sentence(ended) == f"ended the alert on {connection.name} by changing its client"


async def test_a_refusal_while_there_is_no_alert_ends_none(house: House) -> None:
    connection, account = await house.expired()
    assert isinstance(await house.holdfast.refresher.refresh(account), Refreshed)
    assert await _entries(house, connection) == []


async def test_an_organization_ends_the_alert_about_its_own_client_and_no_other(house: House) -> None:
    slug = f"of-{opaque(12).lower()}"
    donor = await house.connection()
    new = NewConnection(
        provider_slug=donor.provider_slug, name=slug, client_supply="organization", owner_kind="user", enabled=True
    )
    connection = await house.connections.create(house.environment_id, new, OPERATOR)
    right = OverrideChanges(client=ClientInput(house.sandbox.client_id, house.sandbox.client_secret), enabled=True)

    async def override(organization: str, changes: OverrideChanges) -> None:
        await house.connections.override(house.environment_id, organization, slug, changes, OPERATOR)

    await override("org_one", right)
    await override("org_two", right)
    effective = await house.effective(connection, "org_one")
    plan = await house.plan(connection, house.credential(), Owner("user", "user_" + opaque(8), "org_one"))
    plan = replace(plan, effective=effective, client_ref=effective.client_ref)
    account = await house.accounts.connect(plan)
    await _refused(house, account)
    assert await _alert(house, connection) is not None
    await override("org_two", right)
    await override("org_one", OverrideChanges(scopes=("read", "offline")))
    assert await _alert(house, connection) is not None
    await override("org_one", OverrideChanges(client=ClientInput(house.sandbox.client_id, Secret("another secret"))))
    assert await _alert(house, connection) is None
    begun, ended = await _entries(house, connection)
    assert (begun.action, ended.action, ended.organization_id) == (BEGINS, ENDS, "org_one")
    assert ended.data["client_changed"] is True
