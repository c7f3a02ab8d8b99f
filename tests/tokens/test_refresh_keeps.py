"""A rotated pair in hand is never dropped while nobody holds a newer one, and one client's trouble is its own."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import update

from holdfast.accounts import Connecting, OAuthCredential, Owner, Status, store
from holdfast.accounts.account import Reason
from holdfast.accounts.imports import Tokens
from holdfast.connections import store as connection_store
from holdfast.errors import Conflict, NotFound
from holdfast.events import Action, Actor
from holdfast.secret import Secret
from holdfast.storage import Connection as Tx
from holdfast.storage.leases import database_now
from holdfast.tokens import Misconfigured, NeedsReauthorization, Refreshed, RetryAt
from tests.tokens.house import House, second_process


@pytest.mark.parametrize("lives", [True, False], ids=["the pair lives", "the pair was ended with the old token"])
async def test_a_pair_that_only_the_late_holder_has_is_stored_and_proven_before_it_is_served(
    house: House, lives: bool
) -> None:
    _, account = await house.expired()
    house.sandbox.set(slow_seconds=0.6)

    def end_the_lease(tx: Tx) -> None:
        here = (store.accounts.c.environment_id == account.environment_id) & (store.accounts.c.id == account.id)
        tx.execute(update(store.accounts).where(here).values(lease_until=database_now() - 1))

    async with second_process(house) as other:
        stalled = asyncio.ensure_future(house.holdfast.refresher.refresh(account))
        await house.seen_requests_above(0)
        house.sandbox.set(slow_seconds=0, fail_next={"status": 400, "error": "invalid_grant", "count": 9})
        await house.holdfast.database.transact(end_the_lease)
        # The second process presents the token that the first has just exchanged, and is refused.
        refused = await other.holdfast.refresher.refresh(account)
        late = await stalled
    assert isinstance(refused, NeedsReauthorization)
    assert refused.reason is Reason.ROTATION_LOST
    assert isinstance(late, RetryAt)
    stored = await house.stored(account)
    assert stored.status is Status.ACTIVE
    assert house.grant_of(stored) != house.grant_of(account)
    assert (stored.expires_at or 0) <= house.clock.now() >= (stored.refresh_at or 0)
    happened = await house.happened(account)
    assert happened.index(Action.ACCOUNT_REAUTHORIZATION_NEEDED) != len(happened) - 1
    assert Action.TOKEN_REFRESHED in happened
    if lives:
        house.sandbox.set(fail_next=None)
        assert isinstance(await house.holdfast.refresher.refresh(stored), Refreshed)
        return
    assert isinstance(await house.holdfast.refresher.refresh(stored), NeedsReauthorization)
    assert (await house.stored(account)).status is Status.EXPIRED
    assert (await house.happened(account))[-1] is Action.ACCOUNT_REAUTHORIZATION_NEEDED


async def test_an_access_token_brought_during_a_refresh_does_not_cost_the_rotated_refresh_token(house: House) -> None:
    connection, account = await house.expired()
    house.sandbox.set(slow_seconds=0.4)
    flight = asyncio.ensure_future(house.holdfast.refresher.refresh(account))
    await house.seen_requests_above(0)
    ends = house.clock.now() + 3600
    await house.update(connection, account, Tokens(access=Secret("brought-by-the-app"), expires_at=ends))
    outcome = await flight
    assert isinstance(outcome, Refreshed)
    stored = await house.stored(account)
    assert house.access_of(stored) == "brought-by-the-app"
    assert house.grant_of(stored) != house.grant_of(account)
    await house.expire(stored)
    house.sandbox.set(slow_seconds=0)
    again = await house.holdfast.refresher.refresh(stored)
    assert isinstance(again, Refreshed)


async def test_an_access_token_alone_leaves_an_open_intent_and_the_client_as_they_are(house: House) -> None:
    connection, account = await house.expired()
    house.sandbox.set(fail_next={"status": 500, "count": 1, "when": "after"})
    await house.holdfast.refresher.refresh(account)
    before = await house.stored(account)
    assert before.intent_at is not None
    await house.update(connection, account, Tokens(access=Secret("brought-by-the-app")))
    after = await house.stored(account)
    assert (after.intent_at, after.intent_print, after.client_ref) == (
        before.intent_at,
        before.intent_print,
        before.client_ref,
    )


async def test_a_refresh_token_is_not_used_up_for_an_update_that_is_refused(house: House) -> None:
    connection, account = await house.expired()
    brought = Tokens(refresh=Secret(house.grant_of(account)))
    with pytest.raises(NotFound):
        await house.update(connection, replace(account, id="01M00000000000000000000000"), brought)
    paused = (await house.stored(account)).to(Status.SUSPENDED, house.clock.now())
    await house.holdfast.database.transact(lambda tx: store.save(tx, paused))
    with pytest.raises(Conflict, match="suspended"):
        await house.update(connection, account, brought)
    assert house.requests == 0


async def test_odd_answers_after_an_outage_do_not_end_an_account(house: House) -> None:
    _, account = await house.expired()
    for trouble in (
        {"status": 503, "count": 1, "when": "before"},
        {"status": 503, "count": 1, "when": "before"},
        {"status": 404, "error": "not_found", "count": 1},
    ):
        house.sandbox.set(fail_next=trouble)
        await house.holdfast.refresher.refresh(account, force=True)
    stored = await house.stored(account)
    assert (stored.status, stored.refusals) == (Status.ACTIVE, 1)
    house.sandbox.set(fail_next={"status": 404, "error": "not_found", "count": 2})
    for _ in range(2):
        await house.holdfast.refresher.refresh(await house.stored(account), force=True)
    assert (await house.stored(account)).status is Status.ERROR


async def test_one_clients_trouble_does_not_rest_the_accounts_of_another(house: House) -> None:
    connection, first = await house.expired()
    second = await house.connect(connection)
    await house.expire(second)
    other = replace(await house.stored(second), client_ref="01M0000000000000000000CLNT")
    await house.holdfast.database.transact(lambda tx: store.save(tx, other))
    house.sandbox.set(fail_next={"status": 401, "error": "invalid_client", "count": 2})
    assert isinstance(await house.holdfast.refresher.refresh(first), Misconfigured)
    stands = await house.holdfast.database.transact(
        lambda tx: connection_store.by_id(tx, house.environment_id, connection.id)
    )
    assert stands is not None
    assert stands.alert_client_ref == first.client_ref
    house.sandbox.set(fail_next=None)
    assert isinstance(await house.holdfast.refresher.refresh(first), Misconfigured | RetryAt)
    # Another client's account is tried for itself; this one's client does not exist, which is another matter.
    assert not isinstance(await house.holdfast.refresher.refresh(other), Misconfigured)


async def test_an_account_cannot_be_connected_to_what_was_just_deleted(house: House) -> None:
    connection = await house.connection()
    effective = await house.effective(connection)
    await house.removal.delete_connection(house.environment_id, connection.name, "user", Actor.system())
    plan = Connecting(
        effective=effective,
        owner=Owner.user("late"),
        credential=OAuthCredential(Secret("late-access"), None),
        intent="create",
        actor=Actor.system(),
    )
    with pytest.raises(NotFound) as refused:
        await house.accounts.connect(plan)
    assert refused.value.code == "target_deleted"
