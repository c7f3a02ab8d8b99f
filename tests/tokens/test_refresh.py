"""Refreshing, against a real provider over HTTP, on both engines."""

import time
from dataclasses import replace

import pytest

from holdfast.accounts import Reason, Status
from holdfast.connections import Connection
from holdfast.connections import store as connection_store
from holdfast.connections.changes import Changes
from holdfast.connections.clients import ClientInput
from holdfast.events import Action, Actor
from holdfast.events import store as log
from holdfast.providers.entry import Lifetime
from holdfast.secret import Secret
from holdfast.tokens import Misconfigured, NeedsReauthorization, Refreshed, RetryAt
from tests.tokens.house import SPACING, House

GRACE = Lifetime(access=3600, rotation="each_use", reuse="whole_grant_dead", reuse_grace=60)


async def test_a_rotated_refresh_token_replaces_the_old_one(house: House) -> None:
    _, account = await house.expired()
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


async def test_whoever_asked_for_a_refresh_is_named_in_its_entry(house: House) -> None:
    _, account = await house.expired()
    ada = Actor("administrator", "ada")
    assert isinstance(await house.holdfast.refresher.refresh(account, force=True, actor=ada), Refreshed)
    assert isinstance(await house.holdfast.refresher.refresh(await house.stored(account), actor=ada), Refreshed)
    assert isinstance(await house.holdfast.refresher.refresh(await house.stored(account)), Refreshed)
    house.sandbox.revoke()
    outcome = await house.holdfast.refresher.refresh(await house.stored(account), force=True, actor=ada)
    assert isinstance(outcome, NeedsReauthorization)
    told = [(entry.action, entry.actor) for entry in (await house.entries(account))[1:]]
    assert told == [
        (Action.TOKEN_REFRESHED, ada),
        (Action.TOKEN_REFRESHED, ada),
        (Action.TOKEN_REFRESHED, Actor.system()),
        (Action.TOKEN_REFRESH_FAILED, ada),
        (Action.ACCOUNT_REAUTHORIZATION_NEEDED, Actor.system()),
    ]


async def test_a_grant_is_dead_when_it_was_refused_twice_with_a_pause_between(house: House) -> None:
    _, account = await house.expired()
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
    _, account = await house.expired()
    house.sandbox.set(fail_next={"status": 400, "error": "invalid_grant", "count": 1})
    assert isinstance(await house.holdfast.refresher.refresh(account), Refreshed)
    assert house.requests == 2
    assert (await house.stored(account)).status is Status.ACTIVE


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
            tx, house.environment_id, kinds=[log.Kind(Action.CONNECTION_MISCONFIGURED)], limit=100, newest_first=True
        )
    )
    return len([entry for entry in entries if entry.connection_id == connection.id])


async def test_the_former_client_secret_is_tried_when_the_new_one_is_refused(house: House) -> None:
    connection, account = await house.expired()
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
    _, account = await house.expired()
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
    _, account = await house.expired()
    house.sandbox.set(fail_next={"status": 429, "retry_after": 120, "count": 1})
    assert isinstance(await house.holdfast.refresher.refresh(account), RetryAt)
    assert isinstance(await house.holdfast.refresher.refresh(account, force=True), Refreshed)


FAULTS = {
    "500": {"fail_next": {"status": 500, "count": 1, "when": "after"}},
    "a lost reply": {"lose_reply": {"count": 1, "when": "after"}},
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_an_answer_lost_after_the_rotation_is_fetched_again_within_the_grace(house: House, fault: str) -> None:
    _, account = await house.expired(lifetime=GRACE)
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
    _, account = await house.expired()
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
    _, account = await house.expired()
    house.sandbox.set(fail_next={"status": 500, "count": 1, "when": "before"})
    outcome = await house.holdfast.refresher.refresh(account)
    assert isinstance(outcome, RetryAt)
    house.clock.at = outcome.at + 0.001
    assert isinstance(await house.holdfast.refresher.refresh(account), Refreshed)


async def test_a_second_lost_answer_does_not_stretch_the_grace(house: House) -> None:
    _, account = await house.expired(lifetime=GRACE)
    house.sandbox.set(reuse_grace=60, lose_reply={"count": 2, "when": "after"})
    began = house.clock.now()
    for _ in range(2):
        outcome = await house.holdfast.refresher.refresh(account, force=True)
        assert isinstance(outcome, RetryAt)
        assert (await house.stored(account)).intent_at == began
        house.clock.advance(20)


async def test_a_provider_that_does_not_rotate_leaves_no_doubt_behind(house: House) -> None:
    _, account = await house.expired(lifetime=Lifetime(access=3600, rotation="none"))
    house.sandbox.set(rotation="none", lose_reply={"count": 1, "when": "after"})
    assert isinstance(await house.holdfast.refresher.refresh(account), RetryAt)
    assert (await house.stored(account)).intent_at is None
    assert isinstance(await house.holdfast.refresher.refresh(account, force=True), Refreshed)


async def test_a_request_that_never_left_is_sent_once_more_and_leaves_no_doubt_behind(house: House) -> None:
    _, account = await house.expired(dialect={"token_url": "http://127.0.0.1:9/token", "refresh_url": None})
    outcome = await house.holdfast.refresher.refresh(account)
    assert isinstance(outcome, RetryAt)
    stored = await house.stored(account)
    assert (stored.status, stored.intent_at, stored.failures) == (Status.ACTIVE, None, 1)
    assert "the last refresh failed" in (stored.warning or "")


async def test_unexplained_refusals_make_an_account_unusable_on_the_third(house: House) -> None:
    _, account = await house.expired()
    house.sandbox.set(fail_next={"status": 400, "error": "tuesday", "count": 3})
    refresher = house.holdfast.refresher
    assert isinstance(await refresher.refresh(account, force=True), RetryAt)
    assert isinstance(await refresher.refresh(account, force=True), RetryAt)
    last = await refresher.refresh(account, force=True)
    assert isinstance(last, NeedsReauthorization)
    stored = await house.stored(account)
    assert (stored.status, stored.reason) == (Status.ERROR, Reason.UNUSABLE)


async def test_a_reply_without_refresh_token_keeps_the_old_one(house: House) -> None:
    _, account = await house.expired()
    house.sandbox.set(omit_refresh_token=True)
    assert isinstance(await house.holdfast.refresher.refresh(account), Refreshed)
    stored = await house.stored(account)
    assert house.grant_of(stored) == house.grant_of(account)
    assert house.access_of(stored) != house.access_of(account)


@pytest.mark.parametrize(("access", "lives"), [(1800, 1800), ("never", None), (None, None)])
async def test_without_expires_in_the_catalogue_tells_how_long_a_token_lives(
    house: House, access: int | str | None, lives: int | None
) -> None:
    _, account = await house.expired(lifetime=Lifetime(access=access, rotation="each_use"))
    house.sandbox.set(omit_expires_in=True)
    assert isinstance(await house.holdfast.refresher.refresh(account), Refreshed)
    stored = await house.stored(account)
    assert stored.expires_at == (None if lives is None else house.clock.now() + lives)
    assert stored.refresh_at == (None if lives is None else house.clock.now() + lives - 300)


async def test_an_alert_ends_when_the_provider_takes_the_client_again(house: House) -> None:
    connection, account = await house.expired()
    house.sandbox.set(fail_next={"status": 401, "error": "invalid_client", "count": 1})
    assert isinstance(await house.holdfast.refresher.refresh(account), Misconfigured)

    async def alert() -> str | None:
        found = await house.holdfast.database.transact(
            lambda tx: connection_store.by_id(tx, house.environment_id, connection.id)
        )
        assert found is not None
        return found.alert

    assert await alert() is not None
    house.clock.advance(61)
    assert isinstance(await house.holdfast.refresher.refresh(await house.stored(account)), Refreshed)
    assert await alert() is None
    stored = await house.stored(account)
    assert (stored.warning, stored.failures) == (None, 0)


async def test_an_outage_lasts_as_long_as_the_provider_says(house: House) -> None:
    _, account = await house.expired()
    house.sandbox.set(fail_next={"status": 503, "retry_after": 300, "count": 1})
    outcome = await house.holdfast.refresher.refresh(account)
    assert isinstance(outcome, RetryAt)
    assert outcome.at == house.clock.now() + 300
    assert (await house.stored(account)).retry_at == outcome.at
