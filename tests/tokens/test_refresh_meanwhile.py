"""What else happens while a token is refreshed: other callers, other processes, edits, deletions, crashes."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import update

from holdfast.accounts import Reason, Status, store
from holdfast.accounts.imports import Tokens
from holdfast.events import Action, Actor
from holdfast.providers.entry import Lifetime
from holdfast.storage import Connection as Tx
from holdfast.storage.leases import database_now
from holdfast.tokens import NeedsReauthorization, Refreshed
from holdfast.tokens.outcome import Gone
from tests.tokens.house import House, second_process

GRACE = Lifetime(access=3600, rotation="each_use", reuse="whole_grant_dead", reuse_grace=60)


async def test_fifty_callers_make_one_request(house: House) -> None:
    connection, account = await house.expired()
    outcomes = await asyncio.gather(*(house.holdfast.refresher.refresh(account) for _ in range(50)))
    reads = await asyncio.gather(*(house.read(account, connection) for _ in range(50)))
    assert house.requests == 1
    fresh = house.access_of(await house.stored(account))
    assert {house.access_of(outcome.account) for outcome in outcomes if isinstance(outcome, Refreshed)} == {fresh}
    assert {read.secret.reveal() for read in reads} == {fresh}


async def test_fifty_reads_of_an_ended_token_make_one_request(house: House) -> None:
    connection, account = await house.expired()
    house.sandbox.set(slow_seconds=0.1)
    reads = await asyncio.gather(*(house.read(account, connection) for _ in range(50)))
    assert house.requests == 1
    assert {read.secret.reveal() for read in reads} == {house.access_of(await house.stored(account))}


async def test_a_second_process_waits_for_the_one_that_refreshes_and_uses_its_result(house: House) -> None:
    _, account = await house.expired()
    house.sandbox.set(slow_seconds=0.3)
    async with second_process(house) as other:
        first = asyncio.ensure_future(house.holdfast.refresher.refresh(account))
        await house.seen_requests_above(0)
        second = await other.holdfast.refresher.refresh(account)
        outcomes = [await first, second]
    assert house.requests == 1
    stored = await house.stored(account)
    assert [outcome.account.access for outcome in outcomes if isinstance(outcome, Refreshed)] == [stored.access] * 2


async def test_a_writer_who_lost_its_lease_changes_nothing(house: House) -> None:
    _, account = await house.expired()
    house.sandbox.set(rotation="none", slow_seconds=0.5)

    def end_the_lease(tx: Tx) -> None:
        here = (store.accounts.c.environment_id == account.environment_id) & (store.accounts.c.id == account.id)
        tx.execute(update(store.accounts).where(here).values(lease_until=database_now() - 1))

    async with second_process(house) as other:
        stalled = asyncio.ensure_future(house.holdfast.refresher.refresh(account))
        await house.seen_requests_above(0)
        house.sandbox.set(slow_seconds=0)
        await house.holdfast.database.transact(end_the_lease)
        taken_over = await other.holdfast.refresher.refresh(account)
        late = await stalled
    assert house.requests == 2
    assert isinstance(taken_over, Refreshed)
    assert isinstance(late, Refreshed)
    stored = await house.stored(account)
    assert stored.access == taken_over.account.access == late.account.access
    assert stored.credential_version == account.credential_version + 1
    assert (await house.happened(account)).count(Action.TOKEN_REFRESHED) == 1


async def test_a_credential_that_came_between_two_refusals_is_used(house: House) -> None:
    connection, account = await house.expired()
    house.sandbox.set(fail_next={"status": 400, "error": "invalid_grant", "count": 9})
    # It waits long before it asks again, so that even a slow machine has brought the credential by then.
    async with second_process(house, refusal_spacing=3.0) as patient:
        flight = asyncio.ensure_future(patient.holdfast.refresher.refresh(account))
        await house.seen_requests_above(0)
        await house.bring(connection, account, "from-the-app")
        outcome = await flight
    assert isinstance(outcome, Refreshed)
    assert house.access_of(outcome.account) == "from-the-app"
    assert house.requests == 1
    assert (await house.stored(account)).status is Status.ACTIVE


_REFUSE_WRITES = {
    "sqlite": (
        "CREATE TRIGGER disk_trouble BEFORE UPDATE OF access ON accounts WHEN NEW.id = '{id}'"
        " BEGIN SELECT RAISE(ABORT, 'disk trouble'); END",
        "DROP TRIGGER disk_trouble",
    ),
    "postgresql": (
        "CREATE FUNCTION disk_trouble() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'disk trouble'; END $$;"
        "CREATE TRIGGER disk_trouble BEFORE UPDATE OF access ON accounts FOR EACH ROW"
        " WHEN (NEW.id = '{id}') EXECUTE FUNCTION disk_trouble()",
        "DROP TRIGGER disk_trouble ON accounts; DROP FUNCTION disk_trouble",
    ),
}


async def test_a_pair_that_cannot_be_stored_is_kept_and_stored_later(house: House) -> None:
    _, account = await house.expired()
    database = house.holdfast.database
    begin, end = _REFUSE_WRITES[database.dialect]

    if database.dialect == "postgresql":
        function, trigger = begin.split("$$;")
        statements = [function + "$$", trigger.format(id=account.id)]
    else:
        statements = [begin.format(id=account.id)]
    for statement in statements:
        await database.transact(lambda tx, statement=statement: tx.exec_driver_sql(statement))
    flight = asyncio.ensure_future(house.holdfast.refresher.refresh(account))
    await house.seen_requests_above(0)
    await asyncio.sleep(0.25)
    joined = asyncio.ensure_future(house.holdfast.refresher.refresh(account))
    assert (await house.stored(account)).access == account.access
    assert not flight.done()
    for statement in end.split(";"):
        await database.transact(lambda tx, statement=statement: tx.exec_driver_sql(statement.strip()))
    outcomes = await asyncio.gather(flight, joined)
    stored = await house.stored(account)
    assert [outcome.account.access for outcome in outcomes if isinstance(outcome, Refreshed)] == [stored.access] * 2
    assert stored.access != account.access
    assert house.requests == 1, "nothing was asked for again meanwhile"


async def test_an_account_deleted_during_its_refresh_stays_deleted_and_its_new_token_is_revoked(house: House) -> None:
    connection, account = await house.expired()
    house.sandbox.set(slow_seconds=0.3)
    flight = asyncio.ensure_future(house.holdfast.refresher.refresh(account))
    await house.seen_requests_above(0)
    await house.removal.disconnect(
        house.environment_id,
        connection.name,
        account.owner,
        account_id=account.id,
        plural=False,
        actor=Actor("api_key", "key"),
        request_id="",
    )
    assert isinstance(await flight, Gone)
    assert await house.find(account) is None
    await house.holdfast.revoker.run()
    assert house.sandbox.counters()["revocations"] == 2, "what the account had, and what came too late for it"
    assert house.sandbox.state()["grants"][0]["ended"] is not None
    assert Action.TOKEN_REFRESHED not in await house.happened(account)


async def test_what_the_app_brings_during_a_refresh_wins(house: House) -> None:
    connection, account = await house.expired()
    house.sandbox.set(slow_seconds=0.3)
    flight = asyncio.ensure_future(house.holdfast.refresher.refresh(account))
    await house.seen_requests_above(0)
    await house.bring(connection, account, "from-the-app")
    outcome = await flight
    assert isinstance(outcome, Refreshed)
    assert house.access_of(outcome.account) == "from-the-app"
    stored = await house.stored(account)
    assert (house.access_of(stored), house.grant_of(stored)) == ("from-the-app", "from-the-app-grant")
    assert Action.TOKEN_REFRESHED not in await house.happened(account)


async def test_a_label_edited_during_a_refresh_is_kept_beside_the_new_token(house: House) -> None:
    connection, account = await house.expired()
    house.sandbox.set(slow_seconds=0.3)
    flight = asyncio.ensure_future(house.holdfast.refresher.refresh(account))
    await house.seen_requests_above(0)
    await house.update(connection, account, Tokens(label="Work"))
    assert isinstance(await flight, Refreshed)
    stored = await house.stored(account)
    assert stored.label == "Work"
    assert house.access_of(stored) != house.access_of(account)


async def test_an_account_that_the_app_ends_during_a_refresh_stays_ended_and_keeps_the_new_pair(house: House) -> None:
    connection, account = await house.expired()
    house.sandbox.set(slow_seconds=0.3)
    flight = asyncio.ensure_future(house.holdfast.refresher.refresh(account))
    await house.seen_requests_above(0)
    await house.update(connection, account, Tokens(status=Status.EXPIRED))
    outcome = await flight
    assert isinstance(outcome, NeedsReauthorization)
    assert outcome.reason is Reason.SET_BY_APP
    stored = await house.stored(account)
    assert (stored.status, stored.reason) == (Status.EXPIRED, Reason.SET_BY_APP)
    assert house.grant_of(stored) != house.grant_of(account)
    assert (await house.happened(account)).count(Action.ACCOUNT_REAUTHORIZATION_NEEDED) == 1
    await house.update(connection, account, Tokens(status=Status.ACTIVE))
    await house.expire(account)
    assert isinstance(await house.holdfast.refresher.refresh(await house.stored(account)), Refreshed)


async def test_an_account_emptied_during_a_refresh_stays_empty(house: House) -> None:
    _, account = await house.expired()
    house.sandbox.set(slow_seconds=0.3)
    flight = asyncio.ensure_future(house.holdfast.refresher.refresh(account))
    await house.seen_requests_above(0)
    emptied = replace(
        await house.stored(account),
        status=Status.EXPIRED,
        reason=Reason.MEMBERSHIP_ENDED,
        access=None,
        grant=None,
        credential_version=account.credential_version + 1,
    )
    await house.holdfast.database.transact(lambda tx: store.save(tx, emptied))
    outcome = await flight
    assert isinstance(outcome, NeedsReauthorization)
    assert outcome.reason is Reason.MEMBERSHIP_ENDED
    stored = await house.stored(account)
    assert (stored.status, stored.access, stored.grant) == (Status.EXPIRED, None, None)


async def test_a_caller_who_hangs_up_does_not_take_the_refresh_along(house: House) -> None:
    _, account = await house.expired()
    house.sandbox.set(slow_seconds=0.2)
    caller = asyncio.ensure_future(house.holdfast.refresher.refresh(account))
    await house.seen_requests_above(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert (await house.stored(account)).access == account.access
    await house.holdfast.refresher.drain(5)
    assert (await house.stored(account)).access != account.access
    assert house.requests == 1


async def test_draining_waits_for_refreshes_in_the_background(house: House) -> None:
    _, account = await house.expired()
    house.sandbox.set(slow_seconds=0.2)
    house.holdfast.refresher.start(account)
    await asyncio.sleep(0)
    await house.holdfast.refresher.drain(5)
    stored = await house.stored(account)
    assert house.access_of(stored) != house.access_of(account)


async def test_a_caller_whose_view_is_old_gets_what_has_come_since(house: House) -> None:
    _, account = await house.expired()
    await house.holdfast.refresher.refresh(account)
    again = await house.holdfast.refresher.refresh(account)
    assert isinstance(again, Refreshed)
    assert again.account.access == (await house.stored(account)).access
    assert house.requests == 1


async def test_after_a_crash_with_the_intent_open_the_next_process_resolves_it(house: House) -> None:
    """The state a killed process leaves: a lease that runs out, an intent, and a rotation nobody has stored."""
    _, account = await house.expired(lifetime=GRACE)
    house.sandbox.set(reuse_grace=60)

    def crash(tx: Tx) -> None:
        fence = store.take_lease(tx, account.environment_id, account.id, owner="dead", seconds=0.1)
        assert fence is not None
        store.open_intent(tx, account, fence=fence, fingerprint="f" * 32, at=house.clock.now())

    await house.holdfast.database.transact(crash)
    house.sandbox.refresh(house.grant_of(account))
    assert isinstance(await house.holdfast.refresher.refresh(account), Refreshed)
    assert house.sandbox.counters()["refresh_replays"] == 1
