"""A plain read of a token that has to be renewed first: refreshed once, on record, answered as the ordinary read is."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from holdfast.accounts import Account, Status
from holdfast.connections.changes import Changes
from holdfast.errors import Unavailable
from holdfast.events import Action, Actor
from holdfast.tokens import Live, PlainAsk, Refreshed, RenewingReader
from holdfast.tokens.turns import Reading
from tests.tokens.house import House
from tests.tokens.plain import Plain


def _reader(plain: Plain) -> RenewingReader:
    parts = plain.house.holdfast
    return RenewingReader(
        parts.database,
        parts.vault,
        parts.clock,
        plain.reader,
        plain.house.reader,
        parts.refresher,
        min_ttl=parts.config.min_ttl,
    )


def _ask(plain: Plain, account: Account, min_ttl: float | None = None) -> PlainAsk:
    key = plain.key
    return PlainAsk(key.environment_id, key.key_id, plain.connection.name, account.owner.user_id, min_ttl, "req_1")


async def _ended(plain: Plain, **changes: Any) -> Account:
    account = await plain.account(**changes)
    await plain.house.expire(account)
    return account


async def test_an_ended_token_is_renewed_once_for_all_who_want_it_and_each_read_is_on_record(plain: Plain) -> None:
    house, account = plain.house, await _ended(plain)
    before, reader = house.requests, _reader(plain)
    found = await asyncio.gather(*(reader.read(_ask(plain, account)) for _ in range(8)))
    assert house.requests - before == 1
    token = house.access_of(await house.stored(account))
    assert [item.secret.reveal() for item in found if isinstance(item, Live)] == [token] * 8
    assert len(await plain.reads(account)) == 8
    assert {entry.actor for entry in await plain.reads(account)} == {Actor("api_key", plain.key.key_id)}


async def test_a_life_longer_than_the_provider_gives_is_asked_for_once(plain: Plain) -> None:
    house, account = plain.house, await plain.account()
    before = house.requests
    found = await _reader(plain).read(_ask(plain, account, min_ttl=360_000))
    assert found is not None
    assert house.requests - before == 1
    assert found.secret.reveal() == house.access_of(await house.stored(account))
    assert len(await plain.reads(account)) == 1


async def test_the_read_a_token_is_renewed_for_is_on_record_with_the_new_token(plain: Plain) -> None:
    house, account = plain.house, await _ended(plain)
    reading = Reading(plain.key.key_id, plain.connection.name, "req_9", None, 60.0)
    outcome = await house.holdfast.refresher.refresh(account, reading=reading)
    assert isinstance(outcome, Refreshed)
    assert outcome.served is not None
    assert outcome.served.reading is reading
    assert outcome.served.access.reveal() == house.access_of(await house.stored(account))
    refreshed, read = (await house.entries(account))[-2:]
    assert (refreshed.action, read.action) == (Action.TOKEN_REFRESHED, Action.CREDENTIAL_READ)
    again = await plain.read(account.owner.user_id)
    assert again is not None
    ordinary = (await house.entries(account))[-1]
    assert (read.actor, read.data, read.user_id) == (ordinary.actor, ordinary.data, ordinary.user_id)
    assert (read.connection_id, read.organization_id) == (ordinary.connection_id, ordinary.organization_id)
    assert read.request_id == "req_9"
    assert plain.reader.served(outcome.account, outcome.served) == again


def _key_is_revoked(plain: Plain) -> Awaitable[object]:
    return plain.house.holdfast.keys.revoke(plain.house.environment_id, plain.key.key_id, Actor("operator"))


def _a_scope_that_was_not_granted_is_required(plain: Plain) -> Awaitable[object]:
    changes = Changes(scopes=("read", "write", "offline"), required_scopes=("write",))
    name, house = plain.connection.name, plain.house
    return house.connections.update(house.environment_id, name, "user", changes, Actor("operator"))


@pytest.mark.parametrize("event", [_key_is_revoked, _a_scope_that_was_not_granted_is_required])
async def test_what_forbids_the_read_while_the_provider_is_asked_leaves_it_unread_and_the_new_token_stored(
    plain: Plain, event: Callable[[Plain], Awaitable[object]]
) -> None:
    house, account = plain.house, await _ended(plain)
    version = account.credential_version
    house.sandbox.set(slow_seconds=1)
    before = house.requests
    reading = asyncio.ensure_future(_reader(plain).read(_ask(plain, account)))
    while house.requests == before:
        await asyncio.sleep(0.01)
    await event(plain)
    assert await reading is None
    assert (await house.stored(account)).credential_version == version + 1
    assert Action.CREDENTIAL_READ not in await house.happened(account)


@pytest.mark.parametrize(("min_ttl", "content"), [(None, True), (0, True), (1000, True), (3600, False)])
async def test_a_read_is_content_with_a_new_token_that_has_the_life_it_asks_for(
    plain: Plain, min_ttl: float | None, content: bool
) -> None:
    account = await plain.account()
    now = plain.house.clock.now()
    lasting = replace(account, expires_at=now + 1800, refreshed_at=now, refresh_at=now + 1500)
    reading = Reading("key", "name", "req", min_ttl, 60.0)
    assert reading.is_content(lasting, now) is content
    assert not reading.is_content(replace(lasting, refresh_at=now - 1), now)
    assert not reading.is_content(replace(lasting, expires_at=now - 1), now)
    assert not reading.is_content(replace(lasting, status=Status.EXPIRED), now)


async def test_a_revoked_key_renews_nothing(plain: Plain) -> None:
    house, account = plain.house, await _ended(plain)
    before = house.requests
    await house.holdfast.keys.revoke(house.environment_id, plain.key.key_id, Actor("operator"))
    assert await _reader(plain).read(_ask(plain, account)) is None
    assert house.requests == before


async def test_a_living_token_is_served_with_a_warning_while_the_provider_is_down(plain: Plain, house: House) -> None:
    account = await plain.account()
    assert account.expires_at is not None
    house.clock.at = account.expires_at - 30
    house.sandbox.set(fail_next={"status": 503, "count": 50, "when": "before"})
    found = await _reader(plain).read(_ask(plain, account))
    assert found is not None
    assert found.secret.reveal() == house.access_of(await house.stored(account))
    assert any("refresh failed" in warning for warning in found.warnings)


async def test_an_ended_token_is_unavailable_while_the_provider_is_down_and_asked_for_once(
    plain: Plain, house: House
) -> None:
    account = await _ended(plain)
    before = house.requests
    house.sandbox.set(fail_next={"status": 503, "count": 50, "when": "before"})
    with pytest.raises(Unavailable, match="could not be renewed just now"):
        await _reader(plain).read(_ask(plain, account))
    assert house.requests - before == 1
    assert Action.CREDENTIAL_READ not in await house.happened(account)


async def test_a_dead_grant_is_left_for_the_ordinary_read_to_explain(plain: Plain, house: House) -> None:
    account = await _ended(plain)
    house.sandbox.revoke()
    assert await _reader(plain).read(_ask(plain, account)) is None
    assert Action.ACCOUNT_REAUTHORIZATION_NEEDED in await house.happened(account)


async def test_a_renewed_read_knows_of_what_the_app_keeps_with_the_account(plain: Plain) -> None:
    account = await _ended(plain, api_config={"base": "https://api.example.com"})
    found = await _reader(plain).read(_ask(plain, account))
    assert found is not None and not found.bare
    again = await _reader(plain).read(_ask(plain, account))
    assert again is not None and not again.bare
