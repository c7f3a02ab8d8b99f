"""Turns, many at once: what a batch takes and settles, and what it leaves as it is for the slow path to explain."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from holdfast.accounts import Account, Status, store
from holdfast.accounts.expiry import sweep_at
from holdfast.connections.changes import Changes
from holdfast.connections.oauth_settings import OAuthSettings
from holdfast.events import Action, Actor
from holdfast.oauth2.replies import TokenGrant
from holdfast.providers.entry import Lifetime
from holdfast.secret import Secret
from holdfast.tokens import Refreshed, policy
from holdfast.tokens.turns import Turns
from holdfast.tokens.verdict import Turn, judge
from tests.tokens.house import ROTATING, House

FEW = 12


def _turns(house: House, owner: str = "this process") -> Turns:
    parts = house.holdfast
    return Turns(parts.database, parts.vault, parts.clock, house.connections, owner=owner, lease_seconds=60.0)


async def _taken(turns: Turns, account: Account) -> Turn:
    turn = await turns.take(account)
    assert turn is not None
    return turn


def _grant(house: House, text: str) -> TokenGrant:
    return TokenGrant(
        access_token=Secret(f"access-{text}"),
        refresh_token=Secret(f"refresh-{text}"),
        token_type="Bearer",
        expires_at=house.clock.now() + 1800.5,
        never_expires=False,
        refresh_expires_at=None,
        scopes=("read", "naïve"),
        id_token=None,
        kept={"instance_url": "https://eu.example.com"},
        document={},
    )


async def _settle(house: House, turns: Turns, turn: Turn, text: str) -> bool:
    now = house.clock.now()
    return await turns.settle(turn, judge(turn, _grant(house, text), house.holdfast.vault, now), now) is not None


async def test_many_refreshes_at_once_each_ask_once_and_keep_their_own_pair(house: House) -> None:
    connection = await house.connection()
    accounts = [await house.connect(connection) for _ in range(FEW)]
    await house.expire(accounts[0])
    before = house.requests
    outcomes = await asyncio.gather(*(house.holdfast.refresher.refresh(account) for account in accounts))
    assert house.requests - before == FEW
    assert all(isinstance(outcome, Refreshed) for outcome in outcomes)
    stored = [await house.stored(account) for account in accounts]
    assert len({house.access_of(account) for account in stored}) == FEW
    assert len({house.grant_of(account) for account in stored}) == FEW
    for account, outcome in zip(stored, outcomes, strict=True):
        assert isinstance(outcome, Refreshed)
        assert outcome.account.access == account.access
        assert account.intent_at is None
        assert (await house.happened(account)).count(Action.TOKEN_REFRESHED) == 1
        assert await _taken(_turns(house, "another process"), account)  # the lease was given up


async def test_the_intent_is_written_down_with_the_lease(house: House) -> None:
    account = await house.connect(await house.connection(lifetime=ROTATING))
    await _taken(_turns(house), account)
    stored = await house.stored(account)
    assert stored.intent_at == house.clock.now()
    assert stored.grant is not None
    assert stored.intent_print == policy.fingerprint(stored.grant)
    assert stored.fence == account.fence + 1
    assert stored.version == account.version


async def test_no_intent_is_written_where_a_refresh_uses_nothing_up(house: House) -> None:
    account = await house.connect(await house.connection(lifetime=Lifetime(access=3600, rotation="none")))
    await _taken(_turns(house), account)
    stored = await house.stored(account)
    assert (stored.intent_at, stored.intent_print, stored.fence) == (None, None, account.fence + 1)


_Change = Callable[[Account, float], Account]
DOUBTS: dict[str, _Change] = {
    "an open intent": lambda account, now: replace(account, intent_at=now - 5, intent_print="f" * 32),
    "a retry time to come": lambda account, now: replace(account, retry_at=now + 5),
    "no refresh token": lambda account, now: replace(account, grant=None),
    "another status": lambda account, now: account.to(Status.SUSPENDED, now),
}


@pytest.mark.parametrize("doubt", DOUBTS)
@pytest.mark.parametrize("seen", ["as it is", "as it was before"])
async def test_what_is_in_doubt_is_left_as_it_is(house: House, doubt: str, seen: str) -> None:
    before = await house.connect(await house.connection())
    changed = DOUBTS[doubt](before, house.clock.now())
    await house.holdfast.database.transact(lambda tx: store.save(tx, changed))
    stored = await house.stored(before)
    assert await _turns(house).take(stored if seen == "as it is" else before) is None
    assert await house.stored(before) == stored


async def test_an_account_that_has_changed_since_it_was_seen_is_left(house: House) -> None:
    connection = await house.connection()
    account = await house.connect(connection)
    await house.bring(connection, account, "brought-by-the-app")
    stored = await house.stored(account)
    assert await _turns(house).take(account) is None
    assert await house.stored(account) == stored


async def test_a_lease_that_somebody_holds_is_not_taken_and_one_that_ran_out_is(house: House) -> None:
    account = await house.connect(await house.connection(lifetime=Lifetime(access=3600, rotation="none")))
    parts = house.holdfast
    short = Turns(parts.database, parts.vault, parts.clock, house.connections, owner="other", lease_seconds=0.3)
    first = await _taken(short, account)
    assert await _turns(house).take(account) is None
    await asyncio.sleep(0.35)
    assert (await _taken(_turns(house), account)).fence == first.fence + 1


async def test_processes_that_take_the_same_accounts_at_once_never_both_get_one(house: House) -> None:
    connection = await house.connection()
    accounts = [await house.connect(connection) for _ in range(FEW)]
    ones, others = _turns(house, "one"), _turns(house, "other")
    for turns in (ones, others):
        await _taken(turns, await house.connect(connection))  # both know the connection
    pairs = await asyncio.gather(
        *(ones.take(account) for account in accounts), *(others.take(account) for account in reversed(accounts))
    )
    taken = [turn.account.id for turn in pairs if turn is not None]
    assert len(taken) == len(set(taken))
    assert FEW // 2 <= len(taken) <= FEW  # PostgreSQL skips what both look at in the same instant


async def test_a_setting_that_has_changed_is_used_at_the_next_turn(house: House) -> None:
    connection = await house.connection()
    turns = _turns(house)
    before = await _taken(turns, await house.connect(connection))
    assert before.effective.connection.description is None
    await house.connections.update(
        house.environment_id, connection.name, "user", Changes(description="ours now"), Actor("operator")
    )
    after = await _taken(turns, await house.connect(connection))
    assert after.effective.connection.description == "ours now"
    again = await _taken(turns, await house.connect(connection))
    assert again.effective is after.effective  # nothing has changed, and nothing is read again


async def test_oauth_settings_that_have_changed_are_used_at_the_next_turn(house: House) -> None:
    connection = await house.connection(dialect={"pkce": "supported"})
    turns = _turns(house)
    before = await _taken(turns, await house.connect(connection))
    changed = OAuthSettings(params={"prompt": "none"}, client_auth="client_secret_post")
    await house.connections.update(
        house.environment_id, connection.name, "user", Changes(oauth_settings=changed), Actor("operator")
    )
    after = await _taken(turns, await house.connect(connection))
    for turn, method in ((before, "client_secret_basic"), (after, "client_secret_post")):
        dialect = turn.effective.provider.oauth2
        assert dialect is not None and dialect.client_auth == method


async def test_a_settled_pair_is_stored_with_all_that_came_with_it_and_its_entry(house: House) -> None:
    account = await house.connect(await house.connection())
    turns = _turns(house)
    turn = await _taken(turns, account)
    house.clock.advance(1.25)
    assert await _settle(house, turns, turn, "1")
    verdict = judge(turn, _grant(house, "1"), house.holdfast.vault, house.clock.now())
    stored = await house.stored(account)
    assert (house.access_of(stored), house.grant_of(stored)) == ("access-1", "refresh-1")
    sealed = {"access": stored.access, "grant": stored.grant}
    assert stored == replace(verdict.account, **sealed, version=account.version + 1, fence=turn.fence)  # type: ignore[arg-type]
    entry = (await house.entries(account))[-1]
    assert entry.action is Action.TOKEN_REFRESHED
    assert entry.actor == Actor.system()
    assert (entry.connection_id, entry.user_id) == (account.connection_id, account.owner.user_id)
    assert entry.data["scopes"] == ["read", "naïve"]
    assert entry.at == house.clock.now()


async def test_a_token_that_is_due_before_a_claim_ends_is_looked_at_when_it_is_due(house: House) -> None:
    account = await house.connect(await house.connection())
    claimed_until = house.clock.now() + 5000
    await house.holdfast.database.transact(lambda tx: store.look_again(tx, [account], claimed_until))
    turns = _turns(house)
    assert await _settle(house, turns, await _taken(turns, account), "1")
    due = sweep_at(await house.stored(account))
    assert due is not None
    assert await house.look_at(account) == due < claimed_until


async def test_a_batch_writes_what_is_ours_and_leaves_what_is_not(house: House) -> None:
    connection = await house.connection()
    turns = _turns(house)
    mine, gone, replaced, paused, passed_on = [await house.connect(connection) for _ in range(5)]
    held = {account.id: await _taken(turns, account) for account in (mine, gone, replaced, paused, passed_on)}
    database = house.holdfast.database
    await database.transact(lambda tx: store.remove(tx, gone.environment_id, gone.id))
    await house.bring(connection, replaced, "brought-by-the-app")
    suspended = (await house.stored(paused)).to(Status.SUSPENDED, house.clock.now())
    await database.transact(lambda tx: store.save(tx, suspended))
    held[passed_on.id] = replace(held[passed_on.id], fence=held[passed_on.id].fence - 1)
    others = {account.id: await house.find(account) for account in (gone, replaced, paused, passed_on)}
    written = await asyncio.gather(*(_settle(house, turns, turn, turn.account.id) for turn in held.values()))
    assert written == [True, False, False, False, False]
    assert house.access_of(await house.stored(mine)) == f"access-{mine.id}"
    for account in (gone, replaced, paused, passed_on):
        assert await house.find(account) == others[account.id]
        assert Action.TOKEN_REFRESHED not in await house.happened(account)
