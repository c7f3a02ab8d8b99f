"""The sweep over a whole house: what is refreshed without a read, what is left alone, and how replicas share it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from holdfast.accounts import Account, Reason, Status, store
from holdfast.accounts.expiry import sweep_at
from holdfast.app import Holdfast
from holdfast.connections import Connection
from holdfast.events import Action
from holdfast.events import store as log
from holdfast.providers.entry import Lifetime
from holdfast.secret import Secret
from holdfast.tokens import Vended
from holdfast.tokens.gate import FIRST_REST, PATIENCE
from holdfast.worker import Worker
from tests.parts.postgres import Postgres
from tests.storage.engines import ENGINES
from tests.tokens.house import House, house_on, second_process

DAY = 86400.0


class Counting:
    """Counts the token requests that are at the provider at one time."""

    def __init__(self) -> None:
        self.here = self.most = 0

    def around(self, app: ASGIApp) -> ASGIApp:
        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            if not str(scope.get("path", "")).endswith("/token"):
                return await app(scope, receive, send)
            self.here += 1
            self.most = max(self.most, self.here)
            try:
                await app(scope, receive, send)
            finally:
                self.here -= 1

        return counted


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture(params=ENGINES)
async def house(request: pytest.FixtureRequest, tmp_path: Path, counting: Counting) -> AsyncIterator[House]:
    """A house of the test's own: a sweep looks at everything there is."""
    database = ""
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        database = server.fresh_database()
    async with house_on(database, tmp_path, around=counting.around) as house:
        yield house


async def _swept(holdfast: Holdfast) -> None:
    """What the worker's loop does, until there is nothing left to do now."""
    while await holdfast.sweep.look():
        await holdfast.sweep.room()
    await holdfast.sweep.idle()


async def _connect(house: House, connection: Connection, count: int) -> list[Account]:
    return list(await asyncio.gather(*(house.connect(connection) for _ in range(count))))


async def test_a_due_account_is_refreshed_without_any_read_and_no_other(house: House) -> None:
    connection = await house.connection()
    account = await house.connect(connection)
    house.clock.advance(3300 - 1)
    fresh = await house.connect(connection)
    await _swept(house.holdfast)
    assert house.requests == 0, "nothing is due yet"
    house.clock.advance(150)
    await _swept(house.holdfast)
    assert house.requests == 1
    stored = await house.stored(account)
    assert house.access_of(stored) != house.access_of(account)
    assert (await house.stored(fresh)).access == fresh.access
    await _swept(house.holdfast)
    assert house.requests == 1, "and once"


async def test_an_account_that_nobody_reads_lives_on_after_its_token_has_ended(house: House) -> None:
    _, account = await house.expired()
    await _swept(house.holdfast)
    stored = await house.stored(account)
    assert stored.status is Status.ACTIVE
    assert stored.expires_at == house.clock.now() + 3600


async def test_a_grant_taken_back_is_found_out_and_said(house: House) -> None:
    _, account = await house.expired()
    house.sandbox.revoke()
    await _swept(house.holdfast)
    stored = await house.stored(account)
    assert (stored.status, stored.reason) == (Status.EXPIRED, Reason.REFRESH_REFUSED)
    assert (await house.happened(account))[-1] is Action.ACCOUNT_REAUTHORIZATION_NEEDED
    before = house.requests
    house.clock.advance(DAY)
    await _swept(house.holdfast)
    assert house.requests == before, "a dead grant is not asked about again"


async def test_a_failed_refresh_comes_up_again_at_its_retry_time(house: House) -> None:
    _, account = await house.expired()
    house.sandbox.set(fail_next={"status": 429, "retry_after": 90, "count": 1})
    await _swept(house.holdfast)
    await _swept(house.holdfast)
    assert house.requests == 1
    house.clock.advance(89)
    await _swept(house.holdfast)
    assert house.requests == 1
    house.clock.advance(1)
    await _swept(house.holdfast)
    assert house.requests == 2
    assert (await house.stored(account)).failures == 0


async def test_two_sweepers_share_the_work_and_ask_once_for_each_account(house: House) -> None:
    accounts = await _connect(house, await house.connection(), 200)
    house.clock.advance(4000)
    house.sandbox.set(slow_seconds=0.005)
    async with second_process(house) as other:
        await asyncio.gather(_swept(house.holdfast), _swept(other.holdfast))
    assert house.requests == 200
    assert house.sandbox.counters().get("refresh_replays", 0) == 0
    for account in accounts:
        assert (await house.happened(account)).count(Action.TOKEN_REFRESHED) == 1


async def test_replicas_that_look_at_one_moment_get_different_accounts(house: House) -> None:
    await _connect(house, await house.connection(), 60)
    house.clock.advance(4000)
    database, now = house.holdfast.database, house.clock.now()

    async def batch(target: Holdfast) -> set[str]:
        def work(tx: Any) -> set[str]:
            found = store.due(tx, now=now, limit=30)
            store.look_again(tx, found, now + 180)
            return {account.id for account in found}

        return await target.database.transact(work)

    async with second_process(house) as other:
        one, two = await asyncio.gather(batch(house.holdfast), batch(other.holdfast))
    assert not one & two
    left = await database.transact(lambda tx: store.due(tx, now=now, limit=100))
    assert len(one) + len(two) + len(left) == 60


async def test_what_was_renewed_for_a_read_is_swept_when_the_new_token_is_due_and_not_before(house: House) -> None:
    _, account = await house.expired()
    await house.holdfast.refresher.refresh(account)
    assert await house.look_at(account) == sweep_at(account), "a refresh leaves the index alone"
    due = sweep_at(await house.stored(account))
    assert due is not None
    database = house.holdfast.database
    assert await database.transact(lambda tx: store.overdue(tx, house.clock.now(), 10)) == (0, None)
    await _swept(house.holdfast)
    assert house.requests == 1
    assert await house.look_at(account) == due
    house.clock.at = due - 1
    await _swept(house.holdfast)
    assert house.requests == 1
    house.clock.advance(1)
    await _swept(house.holdfast)
    assert house.requests == 2


async def test_looks_are_put_off_some_at_a_time_and_only_where_the_token_was_renewed(house: House) -> None:
    accounts = await _connect(house, await house.connection(), 6)
    house.clock.advance(4000)
    for account in accounts[:5]:
        await house.holdfast.refresher.refresh(account)
    now, database = house.clock.now(), house.holdfast.database
    moved = [await database.transact(lambda tx: store.put_off(tx, now, 3)) for _ in range(3)]
    assert moved == [3, 2, 0]
    due = await database.transact(lambda tx: store.due(tx, now=now, limit=10))
    assert [account.id for account in due] == [accounts[5].id]


async def test_what_a_crashed_process_had_claimed_comes_up_again(house: House) -> None:
    _, account = await house.expired()
    now = house.clock.now()
    await house.holdfast.database.transact(lambda tx: store.look_again(tx, store.due(tx, now=now, limit=9), now + 180))
    await _swept(house.holdfast)
    assert house.requests == 0
    house.clock.advance(180)
    await _swept(house.holdfast)
    assert house.requests == 1
    assert (await house.stored(account)).failures == 0


async def test_a_crowd_that_is_due_in_one_second_meets_the_provider_a_few_at_a_time(
    house: House, counting: Counting
) -> None:
    connection = await house.connection()
    accounts = await _connect(house, connection, 500)
    house.clock.advance(4000)
    house.sandbox.set(slow_seconds=0.005)
    for account in accounts[:50]:  # reads begin background refreshes of their own
        house.holdfast.refresher.start(account)
    await _swept(house.holdfast)
    assert house.requests == 500
    assert 1 < counting.most <= 8


async def test_a_caller_does_not_queue_behind_the_sweep(house: House, counting: Counting) -> None:
    connection = await house.connection()
    accounts = await _connect(house, connection, 40)
    house.clock.advance(4000)
    house.sandbox.set(slow_seconds=0.4)
    await house.holdfast.sweep.look()
    await asyncio.sleep(0.05)
    last = max(accounts, key=lambda account: sweep_at(account) or 0)
    async with asyncio.timeout(1.5):  # five rounds of eight take two seconds
        assert isinstance(await house.read(last, connection), Vended)
    await house.holdfast.sweep.idle()
    assert house.requests == 40
    assert 8 <= counting.most <= 9, "the eight of the sweep, and the caller beside them"


async def test_an_endpoint_that_is_down_is_left_alone_while_reads_are_served_and_comes_back(house: House) -> None:
    connection = await house.connection()
    accounts = await _connect(house, connection, 60)
    house.clock.advance(3600 - 100)
    house.sandbox.set(fail_next={"status": 503, "count": 10_000})
    await _swept(house.holdfast)
    began = house.requests
    assert PATIENCE <= began <= PATIENCE + 8, "what was under way, and no more"
    await _swept(house.holdfast)
    assert house.requests == began
    for account in accounts:
        assert isinstance(await house.read(account, connection, min_ttl=0), Vended)
    house.clock.advance(FIRST_REST)
    await _swept(house.holdfast)
    assert house.requests == began + 1, "one tries"
    house.sandbox.set(fail_next=None)
    for _ in range(40):
        house.clock.advance(60)
        await _swept(house.holdfast)
    assert {(await house.stored(account)).failures for account in accounts} == {0}
    assert [(await house.happened(account)).count(Action.TOKEN_REFRESHED) for account in accounts] == [1] * 60


async def test_one_endpoint_in_trouble_does_not_hold_up_another(house: House) -> None:
    bad = await house.connection(dialect={"token_url": "http://127.0.0.1:9/token"})
    await _connect(house, bad, 100)
    good = await _connect(house, await house.connection(), 20)
    house.clock.advance(4000)
    await _swept(house.holdfast)
    assert house.requests == 20
    assert {(await house.stored(account)).expires_at for account in good} == {house.clock.now() + 3600}


async def test_a_refused_client_is_asked_about_once_a_minute_and_not_for_each_account(house: House) -> None:
    connection = await house.connection(secret=Secret("not-the-secret-of-this-app"))
    await _connect(house, connection, 40)
    house.clock.advance(4000)
    await _swept(house.holdfast)
    assert 1 <= house.requests <= 8, "those that were sent together"
    for _ in range(3):
        before = house.requests
        await _swept(house.holdfast)
        assert house.requests == before
        house.clock.advance(60)
        await _swept(house.holdfast)
        assert house.requests == before + 1
    alerts = [log.Kind(Action.CONNECTION_MISCONFIGURED)]
    told = await house.holdfast.database.transact(
        lambda tx: log.list_entries(tx, house.environment_id, kinds=alerts, limit=9, newest_first=True)
    )
    assert len(told) == 1, "however many were refused at once"


async def test_a_refresh_token_is_used_before_it_dies_of_disuse(house: House) -> None:
    lifetime = Lifetime(access="never", rotation="each_use", refresh_idle=30 * 86400)
    connection = await house.connection(lifetime=lifetime)
    credential = replace(house.credential(), expires_at=None, grant_expires_at=house.clock.now() + 30 * DAY)
    account = await house.accounts.connect(await house.plan(connection, credential))
    house.sandbox.set(omit_expires_in=True)
    house.clock.advance(22 * DAY)
    await _swept(house.holdfast)
    assert house.requests == 0
    house.clock.advance(1.1 * DAY)
    await _swept(house.holdfast)
    assert house.requests == 1
    stored = await house.stored(account)
    assert stored.grant_expires_at == house.clock.now() + 30 * DAY
    house.clock.advance(25 * DAY)
    await _swept(house.holdfast)
    assert house.requests == 2


async def test_an_end_that_no_refresh_puts_off_is_announced_once_for_each_consent(house: House) -> None:
    connection = await house.connection(lifetime=Lifetime(access=3600, rotation="none"))
    house.sandbox.set(rotation="none")
    ends = house.clock.now() + 30 * DAY
    plan = await house.plan(connection, replace(house.credential(), grant_expires_at=ends))
    account = await house.accounts.connect(plan)
    other = await house.connect(connection)
    forecast = house.holdfast.forecast
    assert await forecast.announce() == 0
    house.clock.advance(22 * DAY)
    await _swept(house.holdfast)
    assert await forecast.announce() == 0
    house.clock.advance(1 * DAY + 1)
    await _swept(house.holdfast)
    assert [await forecast.announce(), await forecast.announce()] == [1, 0]
    announced = [entry for entry in await house.entries(account) if entry.action is Action.ACCOUNT_EXPIRING_SOON]
    assert [entry.data["ends_at"] for entry in announced] == [ends]
    house.clock.advance(3600)
    await _swept(house.holdfast)
    assert await forecast.announce() == 0, "a refresh makes it no other consent"
    assert (await house.stored(account)).status is Status.ACTIVE
    assert Action.ACCOUNT_EXPIRING_SOON not in await house.happened(other)

    again = replace(plan, intent="reauthorize", credential=replace(house.credential(), grant_expires_at=ends))
    await house.accounts.connect(again)
    assert await forecast.announce() == 1


async def test_client_credentials_are_renewed_once_somebody_has_asked_for_a_token(house: House) -> None:
    house.sandbox.add_client("app-two", Secret("its secret"))
    connection = await house.connection(method="client_credentials")
    account = await house.connect_client(connection, "app-two", Secret("its secret"))
    house.clock.advance(DAY)
    await _swept(house.holdfast)
    assert house.sandbox.counters().get("client_credentials", 0) == 0
    assert isinstance(await house.read(account, connection), Vended)
    house.clock.advance(3599)
    await _swept(house.holdfast)
    assert house.sandbox.counters()["client_credentials"] == 2
    assert (await house.stored(account)).expires_at == house.clock.now() + 3600


async def test_client_credentials_keep_to_the_providers_own_times_too(house: House) -> None:
    house.sandbox.add_client("app-two", Secret("its secret"))
    lifetime = Lifetime(access=3600, rotation="none", refresh_not_before=30)
    connection = await house.connection(method="client_credentials", lifetime=lifetime)
    account = await house.connect_client(connection, "app-two", Secret("its secret"))
    assert isinstance(await house.read(account, connection), Vended)
    house.clock.advance(3500)
    await _swept(house.holdfast)
    assert house.sandbox.counters()["client_credentials"] == 1, "not before the last half minute"
    house.clock.advance(99)
    await _swept(house.holdfast)
    assert house.sandbox.counters()["client_credentials"] == 2


async def test_a_stopping_worker_finishes_what_is_under_way_and_hands_the_rest_back(
    house: House, counting: Counting
) -> None:
    accounts = await _connect(house, await house.connection(), 40)
    house.clock.advance(4000)
    house.sandbox.set(slow_seconds=0.3)
    holdfast = house.holdfast
    worker = Worker(holdfast.database, holdfast.clock, holdfast.sweep, holdfast.forecast, sweep_interval=0.1)
    worker.start()
    await house.seen_requests_above(7)
    await worker.stop()
    await holdfast.refresher.drain(5)
    assert house.requests == counting.most == 8
    renewed = [(await house.happened(account)).count(Action.TOKEN_REFRESHED) for account in accounts]
    assert sum(renewed) == 8
    due = await holdfast.database.transact(lambda tx: store.due(tx, now=house.clock.now(), limit=100))
    assert len(due) == 32, "at once, for whoever is left"


async def test_the_worker_refreshes_what_becomes_due(house: House) -> None:
    _, account = await house.expired()
    holdfast = house.holdfast
    worker = Worker(holdfast.database, holdfast.clock, holdfast.sweep, holdfast.forecast, sweep_interval=0.1)
    worker.start()
    await house.seen_requests_above(0)
    await holdfast.sweep.idle()
    await house.expire(await house.stored(account))
    await house.seen_requests_above(1)
    await worker.stop()
