"""Many accounts: pages, bulk deletion, last use, and the clean-up by policy."""

import asyncio

import pytest

from holdfast.access import CleanUpPolicy, change_environment
from holdfast.accounts import Account, Bulk, Given, Listing, Owner, Status
from holdfast.connections import Connection
from holdfast.errors import Invalid
from holdfast.events import Action, Actor
from holdfast.ids import opaque
from holdfast.worker import Worker
from tests.accounts.records import stored_as
from tests.authorization.links import policy
from tests.tokens.house import House

APP = Actor("api_key", "key")
DAY = 86400.0


@pytest.fixture
async def connection(house: House) -> Connection:
    return await house.connection()


async def crowd(house: House, connection: Connection, count: int) -> list[Account]:
    """Return accounts of one connection, oldest first."""
    made = []
    for number in range(count):
        house.clock.at += 1
        made.append(await house.connect(connection, owner=Owner.user(f"user_{number}_{opaque(5)}")))
    return made


def of(connection: Connection, **more: object) -> Listing:
    return Listing(connection_ids=[connection.id], **more)  # type: ignore[arg-type]


async def test_pages_go_both_ways_and_say_whether_there_is_more(house: House, connection: Connection) -> None:
    made = [account.id for account in await crowd(house, connection, 7)][::-1]
    bulk = house.holdfast.bulk
    seen: list[str] = []
    after = None
    while True:
        page = await bulk.page(house.environment_id, of(connection), limit=3, after=after)
        assert (page.total, page.has_before) == (7, after is not None)
        seen += [account.id for account in page.accounts]
        if not page.has_after:
            break
        after = seen[-1]
    assert seen == made
    back = await bulk.page(house.environment_id, of(connection), limit=3, before=made[6])
    assert [account.id for account in back.accounts] == made[3:6]
    assert (back.has_before, back.has_after) == (True, True)
    first = await bulk.page(house.environment_id, of(connection), limit=3, before=made[2])
    assert [account.id for account in first.accounts] == made[:2]
    assert (first.has_before, first.has_after) == (False, True)
    rising = await bulk.page(house.environment_id, of(connection), limit=10, newest_first=False)
    assert [account.id for account in rising.accounts] == made[::-1]


async def test_filters_add_up_and_text_is_found_in_any_case(house: House, connection: Connection) -> None:
    one, two, three = await crowd(house, connection, 3)
    await stored_as(house, two, Status.EXPIRED)
    other = await house.connect(await house.connection(), owner=one.owner)

    async def ids(which: Listing) -> set[str]:
        page = await house.holdfast.bulk.page(house.environment_id, which, limit=100)
        assert page.total == len(page.accounts)
        return {account.id for account in page.accounts}

    assert await ids(of(connection)) == {one.id, two.id, three.id}
    assert await ids(of(connection, statuses=[Status.EXPIRED])) == {two.id}
    assert await ids(Listing(user_id=one.owner.user_id)) == {one.id, other.id}
    assert await ids(of(connection, user_id=one.owner.user_id)) == {one.id}
    assert await ids(of(connection, text=one.owner.user_id.upper())) == {one.id}
    assert await ids(of(connection, text="%")) == set(), "a wildcard is a character"
    assert await ids(of(connection, text="_0_")) == {one.id}
    assert await ids(Listing(connection_ids=[])) == set()
    assert await ids(Listing(account_ids=[one.id, other.id, "0" * 26])) == {one.id, other.id}
    nowhere = await house.holdfast.bulk.page("0" * 26, Listing(), limit=10)
    assert (list(nowhere.accounts), nowhere.total) == ([], 0)


async def test_last_use_is_read_from_the_log_to_the_minute(house: House, connection: Connection) -> None:
    used, unused = await crowd(house, connection, 2)
    house.clock.at += 61.5
    await house.read(used, connection)
    page = await house.holdfast.bulk.page(house.environment_id, of(connection), limit=10)
    at = house.clock.now()
    assert page.last_uses == {used.id: at - at % 60}
    assert unused.id not in page.last_uses


async def test_bulk_deletion_goes_in_steps_can_be_gone_on_with_and_leaves_an_entry_each(
    house: House, connection: Connection
) -> None:
    made = await crowd(house, connection, 5)
    stranger = await house.connect(await house.connection())
    bulk: Bulk = house.holdfast.bulk
    step = await bulk.delete(house.environment_id, of(connection), APP, limit=2)
    assert (step.deleted, step.cursor) == (2, made[1].id)
    assert [await house.find(account) is None for account in made] == [True, True, False, False, False]
    step = await bulk.delete(house.environment_id, of(connection), APP, cursor=step.cursor, limit=2)
    rest = [item async for item in bulk.delete_all(house.environment_id, of(connection), APP)]
    assert [(item.deleted, item.cursor) for item in rest] == [(1, None)]
    assert await house.find(stranger) is not None
    for account in made:
        gone = [entry for entry in await house.entries(account) if entry.action is Action.ACCOUNT_DISCONNECTED]
        assert [(entry.actor, entry.data["old_status"]) for entry in gone] == [(APP, "active")]
    ids = Listing(account_ids=[stranger.id])
    assert (await bulk.delete(house.environment_id, ids, APP)).deleted == 1


@pytest.mark.parametrize("limit", [0, 101])
async def test_everything_at_once_and_unbounded_steps_are_refused(house: House, limit: int) -> None:
    with pytest.raises(Invalid):
        await house.holdfast.bulk.delete(house.environment_id, Listing(), APP)
    with pytest.raises(Invalid):
        await house.holdfast.bulk.delete(house.environment_id, Listing(text="x"), APP, limit=limit)


async def test_a_clean_up_takes_what_its_dry_run_named_and_nothing_else(house: House, connection: Connection) -> None:
    bulk = house.holdfast.bulk
    used, unused, expired, paused, renewed = await crowd(house, connection, 5)
    (lately,) = await crowd(house, connection, 1)
    invited = (
        await house.holdfast.keeping.get_or_create(
            house.environment_id, connection.name, Owner.user(opaque(9)), Given(), APP
        )
    )[0]
    await stored_as(house, expired, Status.EXPIRED)
    await house.holdfast.keeping.suspend(house.environment_id, paused.id, APP)
    house.clock.at += 31 * DAY
    await house.read(used, connection)  # due by now: renewed, and read
    fresh = await house.connect(connection, owner=Owner.user(opaque(9)))
    await house.holdfast.keeping.update(house.environment_id, lately.id, Given(), APP)
    await house.holdfast.refresher.drain(10)
    mine = {used.id, unused.id, expired.id, paused.id, renewed.id, lately.id, invited.id, fresh.id}

    async def would(**days: int) -> dict[str, str]:
        found = await bulk.leftovers(house.environment_id, CleanUpPolicy(**days), limit=1000)
        return {item.account.id: item.why for item in found if item.account.id in mine}

    assert await would() == {}
    assert await would(unused_days=32, expired_days=32) == {}
    assert await would(expired_days=30) == {expired.id: "expired"}
    named = await would(unused_days=30, expired_days=30)
    assert named == {unused.id: "unused", renewed.id: "unused", invited.id: "unused", expired.id: "expired"}
    assert await house.find(unused) is not None, "a dry run takes nothing"

    assert await bulk.clean_up(house.environment_id) == 0, "nor does anything without a policy"
    async with policy(house, unused_days=30, expired_days=30):
        assert await bulk.clean_up_everywhere() >= 4
    left = {identity for identity in mine if identity not in named}
    page = await bulk.page(house.environment_id, Listing(account_ids=list(mine)), limit=100)
    assert {account.id for account in page.accounts} == left
    entry = next(e for e in await house.entries(unused) if e.action is Action.ACCOUNT_DISCONNECTED)
    assert (entry.actor.kind, entry.data["cleaned_up"]) == ("system", "unused")


@pytest.mark.parametrize("days", [0, -1, 3651])
async def test_a_policy_has_days_that_make_sense(house: House, days: int) -> None:
    with pytest.raises(Invalid):
        await change_environment(
            house.holdfast.database,
            house.clock,
            house.environment_id,
            APP,
            clean_up=CleanUpPolicy(unused_days=days),
        )


async def test_the_workers_loop_cleans_up_where_there_is_a_policy(house: House, connection: Connection) -> None:
    (unused,) = await crowd(house, connection, 1)
    house.clock.at += 40 * DAY
    holdfast = house.holdfast
    worker = Worker(
        holdfast.database,
        holdfast.clock,
        holdfast.sweep,
        holdfast.forecast,
        holdfast.bulk,
        sweep_interval=0,
        cleanup_interval=3600,
    )
    async with policy(house, unused_days=39):
        worker.start()
        for _ in range(500):
            if await house.find(unused) is None:
                break
            await asyncio.sleep(0.01)
        await worker.stop()
    assert await house.find(unused) is None
