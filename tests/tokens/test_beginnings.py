"""Turns taken for reads, many at once: who is begun for, what is written before anybody is asked, and what is left."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from holdfast.accounts import Account, Owner, store
from holdfast.connections.changes import Changes
from holdfast.events import Action, Actor
from holdfast.providers.entry import Lifetime
from holdfast.tokens import PlainAsk, Refreshed, RenewingReader, policy
from holdfast.tokens.renewals.begin import Beginnings
from holdfast.tokens.renewals.store import Begin, Door, Wanted
from holdfast.tokens.turns import place_of
from tests.tokens.house import House
from tests.tokens.plain import Plain
from tests.tokens.test_plain import NOW, STATES


def _ask(plain: Plain, account: Account, min_ttl: float | None = None) -> PlainAsk:
    key = plain.key
    return PlainAsk(key.environment_id, key.key_id, plain.connection.name, account.owner.user_id, min_ttl, "req_1")


async def _warm(plain: Plain) -> RenewingReader:
    """A reader that knows the connection from a renewal before."""
    parts = plain.house.holdfast
    usual = {"min_ttl": parts.config.min_ttl}
    reader = RenewingReader(
        parts.database, parts.vault, parts.clock, plain.reader, plain.house.reader, parts.refresher, **usual
    )
    await reader.read(_ask(plain, await _ended(plain)))
    return reader


async def _beginnings(plain: Plain) -> Beginnings:
    parts, known = plain.house.holdfast, await _ended(plain)
    await parts.refresher.refresh(known)
    made = Beginnings(parts.database, parts.vault, parts.clock, parts.refresher, min_ttl=parts.config.min_ttl)
    made.remember(plain.connection.name, known)
    return made


async def _ended(plain: Plain, **changes: Any) -> Account:
    now = plain.house.clock.now()
    return await plain.account(**{"expires_at": now - 5, "refresh_at": now - 300, **changes})


async def test_ended_tokens_are_renewed_and_each_read_has_its_entry(plain: Plain) -> None:
    house, reader = plain.house, await _warm(plain)
    accounts = [await _ended(plain) for _ in range(12)]
    before = house.requests
    found = await asyncio.gather(*(reader.read(_ask(plain, account)) for account in accounts))
    assert house.requests - before == len(accounts)
    for account, live in zip(accounts, found, strict=True):
        stored = await house.stored(account)
        assert live is not None
        assert live.secret.reveal() == house.access_of(stored)
        assert (stored.intent_at, stored.intent_print, stored.fence) == (None, None, account.fence + 1)
        assert stored.credential_version == account.credential_version + 1
        assert (await house.happened(account)).count(Action.TOKEN_REFRESHED) == 1
        assert len(await plain.reads(account)) == 1


async def test_many_reads_of_one_account_share_one_refresh(plain: Plain) -> None:
    house, reader = plain.house, await _warm(plain)
    account = await _ended(plain)
    before = house.requests
    found = await asyncio.gather(*(reader.read(_ask(plain, account)) for _ in range(9)))
    assert house.requests - before == 1
    token = house.access_of(await house.stored(account))
    assert [live.secret.reveal() for live in found if live is not None] == [token] * 9
    assert len(await plain.reads(account)) == 9


async def test_whoever_mostly_renews_begins_with_that_and_still_reads_what_lives(plain: Plain) -> None:
    reader = await _warm(plain)
    assert not reader.renews_first
    accounts = [await _ended(plain) for _ in range(20)]
    await asyncio.gather(*(reader.read(_ask(plain, account)) for account in accounts))
    assert reader.renews_first
    living = await plain.account()
    before = plain.house.requests
    for number in range(1, 21):
        live = await reader.read(_ask(plain, living))
        assert live is not None
        assert live.secret.reveal() == plain.house.access_of(living)
        assert len(await plain.reads(living)) == number
    assert plain.house.requests == before
    assert not reader.renews_first
    assert await reader.read(_ask(plain, await plain.account(role="standard"))) is None


@pytest.mark.parametrize("min_ttl", [None, 0, 45, 3600])
@pytest.mark.parametrize("state", STATES, ids=lambda state: ",".join(f"{k}={v}" for k, v in state.items())[:60] or "-")
async def test_a_turn_is_taken_for_what_the_policy_renews(
    plain: Plain, state: dict[str, Any], min_ttl: int | None
) -> None:
    house = plain.house
    house.clock.at = NOW
    beginnings = await _beginnings(plain)
    account = await plain.account(**state)
    asked = policy.default_ttl(account, float(house.holdfast.config.min_ttl)) if min_ttl is None else float(min_ttl)
    decision = policy.decide(account, NOW, asked)
    expected = isinstance(decision, policy.Renew) and account.role == "compatibility" and account.access is not None
    expected = expected and (account.retry_at is None or account.retry_at <= NOW)
    begun = await beginnings.begin(_ask(plain, account, min_ttl))
    assert (begun is not None) == expected
    if begun is None:
        assert await house.stored(account) == account, "what is left is as it was"
        return
    assert begun.account == replace(account, fence=account.fence + 1)
    assert isinstance(await begun.flight, Refreshed)


async def test_lease_and_intent_are_committed_before_the_provider_is_asked(plain: Plain) -> None:
    house, beginnings = plain.house, await _beginnings(plain)
    account = await _ended(plain)
    house.sandbox.set(slow_seconds=1)
    before = house.requests
    begun = await beginnings.begin(_ask(plain, account))
    assert begun is not None
    stored = await house.stored(account)
    assert stored.grant is not None
    assert (stored.intent_at, stored.intent_print) == (house.clock.now(), policy.fingerprint(stored.grant))
    assert (stored.fence, stored.version) == (account.fence + 1, account.version)
    assert await beginnings.begin(_ask(plain, account)) is None, "the lease is held"
    joined = asyncio.ensure_future(house.holdfast.refresher.refresh(account))
    assert isinstance(await begun.flight, Refreshed)
    assert isinstance(await joined, Refreshed)
    assert house.requests - before == 1


async def test_a_caller_who_hangs_up_leaves_the_refresh_to_be_finished(plain: Plain) -> None:
    house, reader = plain.house, await _warm(plain)
    account = await _ended(plain)
    house.sandbox.set(slow_seconds=0.5)
    task = asyncio.ensure_future(reader.read(_ask(plain, account)))
    while (await house.stored(account)).fence == account.fence:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await house.holdfast.refresher.drain(10)
    house.sandbox.set(slow_seconds=0)
    stored = await house.stored(account)
    assert (stored.intent_at, stored.credential_version) == (None, account.credential_version + 1)


async def _nothing(plain: Plain, account: Account) -> object:
    return None


async def _key_is_revoked(plain: Plain, account: Account) -> object:
    return await plain.house.holdfast.keys.revoke(plain.house.environment_id, plain.key.key_id, Actor("operator"))


async def _connection_is_changed(plain: Plain, account: Account) -> object:
    house, name = plain.house, plain.connection.name
    changes = Changes(scopes=("read", "offline", "profile"))
    return await house.connections.update(house.environment_id, name, "user", changes, Actor("operator"))


async def _scope_is_required(plain: Plain, account: Account) -> object:
    house, name = plain.house, plain.connection.name
    changes = Changes(scopes=("read", "write", "offline"), required_scopes=("write",))
    return await house.connections.update(house.environment_id, name, "user", changes, Actor("operator"))


def _saved(**changes: Any) -> Callable[[Plain, Account], Awaitable[object]]:
    async def save(plain: Plain, account: Account) -> object:
        changed = replace(account, **changes)
        return await plain.house.holdfast.database.transact(lambda tx: store.save(tx, changed))

    return save


@pytest.mark.parametrize(
    ("event", "begins"),
    [
        (_nothing, True),
        (_key_is_revoked, False),
        (_connection_is_changed, False),
        (_scope_is_required, False),
        (_saved(intent_at=NOW - 60, intent_print="f" * 32), False),
        (_saved(retry_at=NOW + 60), False),
        (_saved(client_ref="01ARZ3NDEKTSV4RRFFQ69G5FAV"), False),
    ],
    ids=["nothing", "revoked key", "changed connection", "required scope", "open intent", "retry time", "other client"],
)
async def test_what_is_in_doubt_is_left_as_it_is(
    plain: Plain, event: Callable[[Plain, Account], Awaitable[object]], begins: bool
) -> None:
    house = plain.house
    house.clock.at = NOW
    beginnings, account = await _beginnings(plain), await _ended(plain)
    await event(plain, account)
    account, before = await house.stored(account), house.requests
    begun = await beginnings.begin(_ask(plain, account))
    assert (begun is not None) == begins
    if begun is None:
        assert (await house.stored(account), house.requests) == (account, before)
    else:
        await begun.flight


async def test_a_changed_connection_is_learnt_of_and_begun_with_again(plain: Plain) -> None:
    reader = await _warm(plain)
    await _connection_is_changed(plain, await _ended(plain))
    accounts = [await _ended(plain) for _ in range(3)]
    before = plain.house.requests
    for account in accounts:
        assert await reader.read(_ask(plain, account)) is not None
    assert plain.house.requests - before == len(accounts)


@pytest.mark.parametrize("lifetime", [Lifetime(access=3600, rotation="none"), Lifetime(access=3600)])
async def test_an_intent_is_written_where_a_refresh_may_use_its_token_up(plain: Plain, lifetime: Lifetime) -> None:
    house, beginnings, account = plain.house, await _beginnings(plain), await _ended(plain)
    turns, place = house.holdfast.refresher.turns, place_of(account)
    setting = turns.setting(place)
    assert setting is not None
    assert await beginnings.begin(_ask(plain, account)) is not None  # the setting is as it is stored
    await house.holdfast.refresher.drain(10)
    other, rotates = await _ended(plain), policy.rotates(lifetime)
    door = Door(*place, setting.stamp, plain.key.key_id, plain.connection.name, rotates)
    wanted = [Wanted(0, other.owner.user_id, None)] * 2
    begin = Begin([door], wanted, "me", 60.0, house.clock.now(), 60.0)
    assert len(await house.holdfast.database.direct(begin)) == 1
    stored = await house.stored(other)
    assert (stored.intent_at is not None, stored.intent_print is not None) == (rotates, rotates)


async def test_an_account_of_another_owner_is_never_begun(plain: Plain, house: House) -> None:
    beginnings = await _beginnings(plain)
    stranger = Owner.user("user_nobody")
    account = replace(await _ended(plain), owner=stranger)
    assert await beginnings.begin(_ask(plain, account)) is None
