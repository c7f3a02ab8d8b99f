"""Refreshing, against a real provider over HTTP, on both engines."""

import asyncio
import time
from dataclasses import replace

import pytest
from sqlalchemy import update

from holdfast.accounts import Account, Reason, Status, store
from holdfast.accounts.imports import Tokens
from holdfast.connections import Connection
from holdfast.connections import store as connection_store
from holdfast.connections.clients import ClientInput
from holdfast.connections.settings import Changes
from holdfast.events import Action, Actor
from holdfast.events import store as log
from holdfast.providers.entry import Lifetime
from holdfast.secret import Secret
from holdfast.storage import Connection as Tx
from holdfast.storage.leases import database_now
from holdfast.tokens import Misconfigured, NeedsReauthorization, Refreshed, RetryAt
from holdfast.tokens.outcome import Gone
from tests.tokens.house import SPACING, House, second_process

GRACE = Lifetime(access=3600, rotation="each_use", reuse="whole_grant_dead", reuse_grace=60)


async def _expired(house: House, **more: object) -> tuple[Connection, Account]:
    connection = await house.connection(**more)
    account = await house.connect(connection)
    await house.expire(account)
    return connection, account


async def _wait_for_request(house: House, before: int) -> None:
    for _ in range(200):
        if house.requests > before:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("no request came")


async def test_a_rotated_refresh_token_replaces_the_old_one(house: House) -> None:
    _, account = await _expired(house)
    outcome = await house.holdfast.refresher.refresh(account)
    assert isinstance(outcome, Refreshed)
    stored = await house.stored(account)
    assert house.access_of(stored) != house.access_of(account)
    assert house.grant_of(stored) != house.grant_of(account)
    assert stored.expires_at == house.clock.now() + 3600
    assert (stored.intent_at, stored.intent_print, stored.failures) == (None, None, 0)
    assert await house.happened(account) == [Action.ACCOUNT_CONNECTED, Action.TOKEN_REFRESHED]
    await house.expire(stored)
    assert isinstance(await house.holdfast.refresher.refresh(stored), Refreshed)


async def test_fifty_callers_make_one_request(house: House) -> None:
    connection, account = await _expired(house)
    outcomes = await asyncio.gather(*(house.holdfast.refresher.refresh(account) for _ in range(50)))
    reads = await asyncio.gather(*(house.read(account, connection) for _ in range(50)))
    assert house.requests == 1
    fresh = house.access_of(await house.stored(account))
    assert {house.access_of(outcome.account) for outcome in outcomes if isinstance(outcome, Refreshed)} == {fresh}
    assert {read.secret.reveal() for read in reads} == {fresh}


async def test_fifty_reads_of_an_ended_token_make_one_request(house: House) -> None:
    connection, account = await _expired(house)
    house.sandbox.set(slow_seconds=0.1)
    reads = await asyncio.gather(*(house.read(account, connection) for _ in range(50)))
    assert house.requests == 1
    assert {read.secret.reveal() for read in reads} == {house.access_of(await house.stored(account))}


async def test_a_second_process_waits_for_the_one_that_refreshes_and_uses_its_result(house: House) -> None:
    _, account = await _expired(house)
    house.sandbox.set(slow_seconds=0.3)
    async with second_process(house) as other:
        first = asyncio.ensure_future(house.holdfast.refresher.refresh(account))
        await _wait_for_request(house, 0)
        second = await other.holdfast.refresher.refresh(account)
        outcomes = [await first, second]
    assert house.requests == 1
    stored = await house.stored(account)
    assert [outcome.account.access for outcome in outcomes if isinstance(outcome, Refreshed)] == [stored.access] * 2


async def test_a_writer_who_lost_its_lease_changes_nothing(house: House) -> None:
    _, account = await _expired(house)
    house.sandbox.set(rotation="none", slow_seconds=0.5)

    def end_the_lease(tx: Tx) -> None:
        here = (store.accounts.c.environment_id == account.environment_id) & (store.accounts.c.id == account.id)
        tx.execute(update(store.accounts).where(here).values(lease_until=database_now() - 1))

    async with second_process(house) as other:
        stalled = asyncio.ensure_future(house.holdfast.refresher.refresh(account))
        await _wait_for_request(house, 0)
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


async def test_a_grant_is_dead_when_it_was_refused_twice_with_a_pause_between(house: House) -> None:
    _, account = await _expired(house)
    house.sandbox.revoke()
    began = time.monotonic()
    outcome = await house.holdfast.refresher.refresh(account)
    assert time.monotonic() - began >= SPACING
    assert house.requests == 2
    assert isinstance(outcome, NeedsReauthorization)
    assert outcome.reason is Reason.REFRESH_REFUSED
    stored = await house.stored(account)
    assert (stored.status, stored.reason, stored.intent_at) == (Status.EXPIRED, Reason.REFRESH_REFUSED, None)
    assert (stored.refresh_at, stored.retry_at) == (None, None)
    assert "connect it again" in (stored.detail or "")
    assert await house.happened(account) == [
        Action.ACCOUNT_CONNECTED,
        Action.TOKEN_REFRESH_FAILED,
        Action.ACCOUNT_REAUTHORIZATION_NEEDED,
    ]
    assert isinstance(await house.holdfast.refresher.refresh(stored), NeedsReauthorization)
    assert house.requests == 2, "a dead grant is not asked about again"


async def test_one_refusal_of_a_grant_is_not_believed(house: House) -> None:
    _, account = await _expired(house)
    house.sandbox.set(fail_next={"status": 400, "error": "invalid_grant", "count": 1})
    assert isinstance(await house.holdfast.refresher.refresh(account), Refreshed)
    assert house.requests == 2
    assert (await house.stored(account)).status is Status.ACTIVE


async def test_a_credential_that_came_between_two_refusals_is_used(house: House) -> None:
    connection, account = await _expired(house)
    house.sandbox.set(fail_next={"status": 400, "error": "invalid_grant", "count": 9})
    flight = asyncio.ensure_future(house.holdfast.refresher.refresh(account))
    await _wait_for_request(house, 0)
    await asyncio.sleep(SPACING / 4)
    await _put(house, connection, account, "from-the-app")
    outcome = await flight
    assert isinstance(outcome, Refreshed)
    assert house.access_of(outcome.account) == "from-the-app"
    assert house.requests == 1
    assert (await house.stored(account)).status is Status.ACTIVE


async def _put(house: House, connection: Connection, account: Account, text: str) -> None:
    await _update(house, connection, account, Tokens(access=Secret(text), refresh=Secret(f"{text}-grant")))


async def _update(house: House, connection: Connection, account: Account, tokens: Tokens) -> None:
    """What the app does with PUT."""
    await house.imports.update(
        house.environment_id,
        connection.name,
        account.owner,
        tokens,
        account_id=account.id,
        acting_user=None,
        actor=Actor("api_key", "key"),
        request_id="",
    )


async def test_a_refused_client_is_one_alert_and_leaves_the_accounts_alone(house: House) -> None:
    connection = await house.connection(secret=Secret("not-the-secret-of-this-app"))
    one, other = await house.connect(connection), await house.connect(connection)
    await house.expire(one)
    refresher = house.holdfast.refresher
    assert isinstance(await refresher.refresh(one), Misconfigured)
    assert house.requests == 1
    assert isinstance(await refresher.refresh(other), Misconfigured)
    assert house.requests == 1, "the connection rests: the other account is not even tried"
    stored = await house.stored(one)
    assert (stored.status, stored.intent_at, stored.access, stored.grant) == (
        Status.ACTIVE,
        None,
        one.access,
        one.grant,
    )
    untouched = await house.stored(other)
    assert replace(untouched, fence=other.fence) == other
    house.clock.advance(61)
    assert isinstance(await refresher.refresh(other), Misconfigured)
    assert await _alerts(house, connection) == 1

    await house.connections.update(
        house.environment_id,
        connection.name,
        "user",
        Changes(client=ClientInput(house.sandbox.client_id, house.sandbox.client_secret)),
        Actor("operator"),
    )
    assert isinstance(await refresher.refresh(one, force=True), Refreshed)
    found = await house.holdfast.database.transact(
        lambda tx: connection_store.by_id(tx, house.environment_id, connection.id)
    )
    assert found is not None
    assert (found.alert, found.alert_at) == (None, None)


async def _alerts(house: House, connection: Connection) -> int:
    entries = await house.holdfast.database.transact(
        lambda tx: log.list_entries(
            tx, house.environment_id, actions=[Action.CONNECTION_MISCONFIGURED], limit=100, newest_first=True
        )
    )
    return len([entry for entry in entries if entry.connection_id == connection.id])


async def test_the_former_client_secret_is_tried_when_the_new_one_is_refused(house: House) -> None:
    connection, account = await _expired(house)
    await house.connections.update(
        house.environment_id,
        connection.name,
        "user",
        Changes(client=ClientInput(house.sandbox.client_id, Secret("not-yet-set-at-the-provider"))),
        Actor("operator"),
    )
    assert isinstance(await house.holdfast.refresher.refresh(account), Refreshed)
    assert house.requests == 2
    assert await _alerts(house, connection) == 0


async def test_a_throttled_refresh_waits_as_long_as_the_provider_asks(house: House) -> None:
    _, account = await _expired(house)
    house.sandbox.set(fail_next={"status": 429, "retry_after": 120, "count": 1})
    outcome = await house.holdfast.refresher.refresh(account)
    assert isinstance(outcome, RetryAt)
    assert outcome.at == house.clock.now() + 120
    stored = await house.stored(account)
    assert (stored.status, stored.retry_at, stored.failures, stored.intent_at) == (Status.ACTIVE, outcome.at, 1, None)
    house.clock.advance(119)
    assert isinstance(await house.holdfast.refresher.refresh(stored), RetryAt)
    assert house.requests == 1
    house.clock.advance(2)
    assert isinstance(await house.holdfast.refresher.refresh(stored), Refreshed)
    assert Action.ACCOUNT_REAUTHORIZATION_NEEDED not in await house.happened(account)


async def test_a_retry_time_can_be_disregarded(house: House) -> None:
    _, account = await _expired(house)
    house.sandbox.set(fail_next={"status": 429, "retry_after": 120, "count": 1})
    assert isinstance(await house.holdfast.refresher.refresh(account), RetryAt)
    assert isinstance(await house.holdfast.refresher.refresh(account, force=True), Refreshed)


FAULTS = {
    "500": {"fail_next": {"status": 500, "count": 1, "when": "after"}},
    "a lost reply": {"lose_reply": {"count": 1, "when": "after"}},
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_an_answer_lost_after_the_rotation_is_fetched_again_within_the_grace(house: House, fault: str) -> None:
    _, account = await _expired(house, lifetime=GRACE)
    house.sandbox.set(reuse_grace=60, **FAULTS[fault])
    outcome = await house.holdfast.refresher.refresh(account)
    assert isinstance(outcome, RetryAt)
    stored = await house.stored(account)
    assert (stored.status, stored.intent_at) == (Status.ACTIVE, house.clock.now())
    assert stored.intent_print is not None
    assert house.requests == 1, "what may have been carried out is not sent again at once"
    house.clock.at = outcome.at + 0.001
    assert isinstance(await house.holdfast.refresher.refresh(stored), Refreshed)
    assert house.sandbox.counters()["refresh_replays"] == 1
    final = await house.stored(account)
    assert (final.intent_at, final.warning, final.failures) == (None, None, 0)
    assert await house.happened(account) == [
        Action.ACCOUNT_CONNECTED,
        Action.TOKEN_REFRESH_UNRESOLVED,
        Action.TOKEN_REFRESHED,
    ]


@pytest.mark.parametrize("fault", FAULTS)
async def test_an_answer_lost_without_any_grace_is_told_as_a_lost_rotation(house: House, fault: str) -> None:
    _, account = await _expired(house)
    house.sandbox.set(**FAULTS[fault])
    outcome = await house.holdfast.refresher.refresh(account)
    assert isinstance(outcome, RetryAt)
    house.clock.at = outcome.at + 0.001
    settled = await house.holdfast.refresher.refresh(account)
    assert house.requests == 2, "the second try is the last"
    assert isinstance(settled, NeedsReauthorization)
    assert settled.reason is Reason.ROTATION_LOST
    stored = await house.stored(account)
    assert (stored.status, stored.reason, stored.intent_at) == (Status.EXPIRED, Reason.ROTATION_LOST, None)
    assert (await house.happened(account))[1:] == [
        Action.TOKEN_REFRESH_UNRESOLVED,
        Action.TOKEN_REFRESH_FAILED,
        Action.ACCOUNT_REAUTHORIZATION_NEEDED,
    ]


async def test_an_answer_lost_before_the_rotation_costs_nothing(house: House) -> None:
    _, account = await _expired(house)
    house.sandbox.set(fail_next={"status": 500, "count": 1, "when": "before"})
    outcome = await house.holdfast.refresher.refresh(account)
    assert isinstance(outcome, RetryAt)
    house.clock.at = outcome.at + 0.001
    assert isinstance(await house.holdfast.refresher.refresh(account), Refreshed)


async def test_a_second_lost_answer_does_not_stretch_the_grace(house: House) -> None:
    _, account = await _expired(house, lifetime=GRACE)
    house.sandbox.set(reuse_grace=60, lose_reply={"count": 2, "when": "after"})
    began = house.clock.now()
    for _ in range(2):
        outcome = await house.holdfast.refresher.refresh(account, force=True)
        assert isinstance(outcome, RetryAt)
        assert (await house.stored(account)).intent_at == began
        house.clock.advance(20)


async def test_a_provider_that_does_not_rotate_leaves_no_doubt_behind(house: House) -> None:
    _, account = await _expired(house, lifetime=Lifetime(access=3600, rotation="none"))
    house.sandbox.set(rotation="none", lose_reply={"count": 1, "when": "after"})
    assert isinstance(await house.holdfast.refresher.refresh(account), RetryAt)
    assert (await house.stored(account)).intent_at is None
    assert isinstance(await house.holdfast.refresher.refresh(account, force=True), Refreshed)


async def test_a_request_that_never_left_is_sent_once_more_and_leaves_no_doubt_behind(house: House) -> None:
    _, account = await _expired(house, dialect={"token_url": "http://127.0.0.1:9/token", "refresh_url": None})
    outcome = await house.holdfast.refresher.refresh(account)
    assert isinstance(outcome, RetryAt)
    stored = await house.stored(account)
    assert (stored.status, stored.intent_at, stored.failures) == (Status.ACTIVE, None, 1)
    assert "the last refresh failed" in (stored.warning or "")


async def test_unexplained_refusals_make_an_account_unusable_on_the_third(house: House) -> None:
    _, account = await _expired(house)
    house.sandbox.set(fail_next={"status": 400, "error": "tuesday", "count": 3})
    refresher = house.holdfast.refresher
    assert isinstance(await refresher.refresh(account, force=True), RetryAt)
    assert isinstance(await refresher.refresh(account, force=True), RetryAt)
    last = await refresher.refresh(account, force=True)
    assert isinstance(last, NeedsReauthorization)
    stored = await house.stored(account)
    assert (stored.status, stored.reason) == (Status.ERROR, Reason.UNUSABLE)


async def test_a_reply_without_refresh_token_keeps_the_old_one(house: House) -> None:
    _, account = await _expired(house)
    house.sandbox.set(omit_refresh_token=True)
    assert isinstance(await house.holdfast.refresher.refresh(account), Refreshed)
    stored = await house.stored(account)
    assert house.grant_of(stored) == house.grant_of(account)
    assert house.access_of(stored) != house.access_of(account)


@pytest.mark.parametrize(("access", "lives"), [(1800, 1800), ("never", None), (None, None)])
async def test_without_expires_in_the_catalogue_tells_how_long_a_token_lives(
    house: House, access: int | str | None, lives: int | None
) -> None:
    _, account = await _expired(house, lifetime=Lifetime(access=access, rotation="each_use"))
    house.sandbox.set(omit_expires_in=True)
    assert isinstance(await house.holdfast.refresher.refresh(account), Refreshed)
    stored = await house.stored(account)
    assert stored.expires_at == (None if lives is None else house.clock.now() + lives)
    assert stored.refresh_at == (None if lives is None else house.clock.now() + lives - 300)


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
    _, account = await _expired(house)
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
    await _wait_for_request(house, 0)
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
    connection, account = await _expired(house)
    house.sandbox.set(slow_seconds=0.3)
    flight = asyncio.ensure_future(house.holdfast.refresher.refresh(account))
    await _wait_for_request(house, 0)
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
    assert house.sandbox.counters()["revocations"] == 1
    assert house.sandbox.state()["grants"][0]["ended"] is not None
    assert Action.TOKEN_REFRESHED not in await house.happened(account)


async def test_what_the_app_brings_during_a_refresh_wins(house: House) -> None:
    connection, account = await _expired(house)
    house.sandbox.set(slow_seconds=0.3)
    flight = asyncio.ensure_future(house.holdfast.refresher.refresh(account))
    await _wait_for_request(house, 0)
    await _put(house, connection, account, "from-the-app")
    outcome = await flight
    assert isinstance(outcome, Refreshed)
    assert house.access_of(outcome.account) == "from-the-app"
    stored = await house.stored(account)
    assert (house.access_of(stored), house.grant_of(stored)) == ("from-the-app", "from-the-app-grant")
    assert Action.TOKEN_REFRESHED not in await house.happened(account)


async def test_a_label_edited_during_a_refresh_is_kept_beside_the_new_token(house: House) -> None:
    connection, account = await _expired(house)
    house.sandbox.set(slow_seconds=0.3)
    flight = asyncio.ensure_future(house.holdfast.refresher.refresh(account))
    await _wait_for_request(house, 0)
    await _update(house, connection, account, Tokens(label="Work"))
    assert isinstance(await flight, Refreshed)
    stored = await house.stored(account)
    assert stored.label == "Work"
    assert house.access_of(stored) != house.access_of(account)


async def test_an_account_that_the_app_ends_during_a_refresh_stays_ended_and_keeps_the_new_pair(house: House) -> None:
    connection, account = await _expired(house)
    house.sandbox.set(slow_seconds=0.3)
    flight = asyncio.ensure_future(house.holdfast.refresher.refresh(account))
    await _wait_for_request(house, 0)
    await _update(house, connection, account, Tokens(status=Status.EXPIRED))
    outcome = await flight
    assert isinstance(outcome, NeedsReauthorization)
    assert outcome.reason is Reason.SET_BY_APP
    stored = await house.stored(account)
    assert (stored.status, stored.reason) == (Status.EXPIRED, Reason.SET_BY_APP)
    assert house.grant_of(stored) != house.grant_of(account)
    assert (await house.happened(account)).count(Action.ACCOUNT_REAUTHORIZATION_NEEDED) == 1
    await _update(house, connection, account, Tokens(status=Status.ACTIVE))
    await house.expire(account)
    assert isinstance(await house.holdfast.refresher.refresh(await house.stored(account)), Refreshed)


async def test_an_account_emptied_during_a_refresh_stays_empty(house: House) -> None:
    _, account = await _expired(house)
    house.sandbox.set(slow_seconds=0.3)
    flight = asyncio.ensure_future(house.holdfast.refresher.refresh(account))
    await _wait_for_request(house, 0)
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
    _, account = await _expired(house)
    house.sandbox.set(slow_seconds=0.2)
    caller = asyncio.ensure_future(house.holdfast.refresher.refresh(account))
    await _wait_for_request(house, 0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert (await house.stored(account)).access == account.access
    await house.holdfast.refresher.drain(5)
    assert (await house.stored(account)).access != account.access
    assert house.requests == 1


async def test_draining_waits_for_refreshes_in_the_background(house: House) -> None:
    _, account = await _expired(house)
    house.sandbox.set(slow_seconds=0.2)
    house.holdfast.refresher.start(account)
    await asyncio.sleep(0)
    await house.holdfast.refresher.drain(5)
    stored = await house.stored(account)
    assert house.access_of(stored) != house.access_of(account)


async def test_a_caller_whose_view_is_old_gets_what_has_come_since(house: House) -> None:
    _, account = await _expired(house)
    await house.holdfast.refresher.refresh(account)
    again = await house.holdfast.refresher.refresh(account)
    assert isinstance(again, Refreshed)
    assert again.account.access == (await house.stored(account)).access
    assert house.requests == 1


async def test_after_a_crash_with_the_intent_open_the_next_process_resolves_it(house: House) -> None:
    """The state a killed process leaves: a lease that runs out, an intent, and a rotation nobody has stored."""
    _, account = await _expired(house, lifetime=GRACE)
    house.sandbox.set(reuse_grace=60)

    def crash(tx: Tx) -> None:
        fence = store.take_lease(tx, account.environment_id, account.id, owner="dead", seconds=0.1)
        assert fence is not None
        store.open_intent(tx, account, fence=fence, fingerprint="f" * 32, at=house.clock.now())

    await house.holdfast.database.transact(crash)
    house.sandbox.refresh(house.grant_of(account))
    assert isinstance(await house.holdfast.refresher.refresh(account), Refreshed)
    assert house.sandbox.counters()["refresh_replays"] == 1
