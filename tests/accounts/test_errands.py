"""Errands: one act on many accounts, step by step, whoever takes the steps."""

import asyncio
from dataclasses import replace

import pytest

from holdfast.accounts import Listing, Owner, Status
from holdfast.accounts import store as account_store
from holdfast.accounts.errands import Errand, Errands, run
from holdfast.accounts.errands import store as errand_store
from holdfast.connections import Connection
from holdfast.errors import Invalid
from holdfast.events import Action, Actor
from holdfast.events import store as log
from tests.accounts.records import stored_as
from tests.accounts.test_bulk import crowd, of
from tests.tokens.house import House

ADA = Actor("administrator", "ada")


@pytest.fixture
async def connection(house: House) -> Connection:
    return await house.connection()


@pytest.fixture(autouse=True)
def short_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "STEP", 2)
    monkeypatch.setattr(run, "BREATH", 0.001)


async def ended(house: House, errand: Errand) -> Errand:
    for _ in range(500):
        found = await house.holdfast.errands.get(house.environment_id, errand.id)
        if found.ended_at is not None:
            return found
        await asyncio.sleep(0.01)
    raise AssertionError("the errand does not end")


async def statuses(house: House, connection: Connection) -> list[Status]:
    found = await house.holdfast.database.transact(
        lambda tx: account_store.list_accounts(tx, house.environment_id, of(connection), limit=100, newest_first=False)
    )
    return [account.status for account in found]


async def test_it_suspends_all_that_fit_with_an_entry_each_and_passes_over_the_rest(
    house: House, connection: Connection
) -> None:
    made = await crowd(house, connection, 5)
    await stored_as(house, made[2], Status.REVOKED)
    begun = await house.holdfast.errands.begin(house.environment_id, "suspend", of(connection), ADA)
    done = await ended(house, begun)
    assert (done.done, done.passed_over, done.stopped) == (4, 1, False)
    assert await statuses(house, connection) == [
        Status.SUSPENDED,
        Status.SUSPENDED,
        Status.REVOKED,
        Status.SUSPENDED,
        Status.SUSPENDED,
    ]
    told = await house.holdfast.database.transact(
        lambda tx: log.list_entries(tx, house.environment_id, kinds=[log.Kind(Action.ACCOUNT_SUSPENDED)], limit=100)
    )
    assert {entry.account_id for entry in told} >= {account.id for account in made if account != made[2]}
    assert {entry.actor for entry in told} == {ADA}
    resumed = await ended(
        house, await house.holdfast.errands.begin(house.environment_id, "resume", of(connection), ADA)
    )
    assert (resumed.done, resumed.passed_over) == (4, 1)


async def test_deleting_leaves_alone_what_was_made_after_it_was_begun(house: House, connection: Connection) -> None:
    made = await crowd(house, connection, 4)
    errands = house.holdfast.errands
    asked = Listing(account_ids=[account.id for account in made[:3]])
    assert (await ended(house, await errands.begin(house.environment_id, "delete", asked, ADA))).done == 3
    assert len(await statuses(house, connection)) == 1
    begun = await _written_down(house, "delete", of(connection))
    house.clock.at += 5
    young = await house.connect(connection, owner=Owner.user("young"))
    while await errands.step(house.environment_id, begun.id):
        pass
    left = await house.holdfast.database.transact(
        lambda tx: account_store.list_accounts(tx, house.environment_id, of(connection), limit=9)
    )
    assert [account.id for account in left] == [young.id]


async def test_several_processes_may_step_it_at_once_and_no_account_is_counted_twice(
    house: House, connection: Connection
) -> None:
    await crowd(house, connection, 9)
    begun = await _written_down(house, "suspend", of(connection))

    async def work() -> None:
        own = Errands(house.accounts)
        while (await own.get(house.environment_id, begun.id)).ended_at is None:
            await own.step(house.environment_id, begun.id)

    await asyncio.gather(work(), work(), work())
    assert (await house.holdfast.errands.get(house.environment_id, begun.id)).done == 9


async def test_one_that_a_process_left_is_taken_up_by_whoever_looks(house: House, connection: Connection) -> None:
    await crowd(house, connection, 5)
    begun = await _written_down(house, "suspend", of(connection))
    await house.holdfast.errands.step(house.environment_id, begun.id)
    another = Errands(house.accounts)
    assert await another.take_up() == 0  # somebody may still be at it
    house.clock.at += run.LEFT_AFTER + 1
    assert await another.take_up() == 1
    assert (await another.get(house.environment_id, begun.id)).done == 5


async def test_stopped_between_two_steps_it_keeps_what_is_done(house: House, connection: Connection) -> None:
    await crowd(house, connection, 5)
    begun = await _written_down(house, "suspend", of(connection))
    errands = house.holdfast.errands
    assert await errands.step(house.environment_id, begun.id)
    await errands.stop(house.environment_id, begun.id)
    assert not await errands.step(house.environment_id, begun.id)
    found = await errands.get(house.environment_id, begun.id)
    assert (found.done, found.stopped) == (2, True)
    assert (await statuses(house, connection)).count(Status.SUSPENDED) == 2


async def test_everything_at_once_is_refused(house: House) -> None:
    with pytest.raises(Invalid):
        await house.holdfast.errands.begin(house.environment_id, "delete", Listing(), ADA)


async def test_a_glance_pages_both_ways_and_a_search_says_how_far_it_came(
    house: House, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = (await crowd(house, connection, 7))[::-1]
    newest = [account.id for account in made]

    async def look(which: Listing, **edge: str) -> account_store.Glance:
        return await house.holdfast.database.transact(
            lambda tx: account_store.glance(tx, house.environment_id, which, limit=3, **edge)
        )

    def ids_of(found: account_store.Glance) -> list[str]:
        return [account.id for account in found.accounts]

    first = await look(of(connection))
    assert (ids_of(first), first.further, first.newer) == (newest[:3], newest[2], False)
    second = await look(of(connection), after=newest[2])
    assert (ids_of(second), second.further, second.newer) == (newest[3:6], newest[5], True)
    last = await look(of(connection), after=newest[5])
    assert (ids_of(last), last.further) == (newest[6:], None)
    back = await look(of(connection), before=newest[3])
    assert (ids_of(back), back.newer, back.further) == (newest[:3], False, newest[2])

    owner = made[6].owner.user_id
    assert ids_of(await look(Listing(owner=owner))) == [newest[6]]
    assert ids_of(await look(of(connection, text=owner.upper()))) == [newest[6]]
    monkeypatch.setattr("holdfast.accounts.store.looking.MOST_LOOKED_THROUGH", 4)
    short = await look(of(connection, text=owner))
    assert (ids_of(short), short.complete, short.further) == ([], False, newest[3])
    assert ids_of(await look(of(connection, text=owner), after=newest[3])) == [newest[6]]


async def test_counts_stop_where_nobody_counts_on(
    house: House, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for account in await crowd(house, connection, 4):
        await stored_as(house, account, Status.EXPIRED)
    monkeypatch.setattr("holdfast.accounts.store.looking.MOST_COUNTED", 2)
    counts = await house.holdfast.database.transact(lambda tx: account_store.tally(tx, house.environment_id))
    assert counts[Status.EXPIRED] == 3
    assert Status.ACTIVE not in counts


async def _written_down(house: House, act: str, which: Listing) -> Errand:
    """Return an errand as a process leaves it that ends right after it was begun."""
    house.clock.at += 1
    closed = Errands(house.accounts)
    await closed.close()
    begun = await closed.begin(house.environment_id, act, which, ADA)  # type: ignore[arg-type]
    await asyncio.sleep(0)
    return await house.holdfast.database.transact(
        lambda tx: errand_store.get(tx, house.environment_id, begun.id) or replace(begun)
    )
