"""Reading a token: what a caller gets, and what is on record of it."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from holdfast.accounts import Account, ApiKey, Connecting, Owner, Reason, Status, store
from holdfast.connections import Connection
from holdfast.connections.changes import Changes, NewConnection
from holdfast.errors import NotFound, Unavailable, Unprocessable
from holdfast.events import Action, Actor
from holdfast.providers.entry import Lifetime
from holdfast.secret import Secret
from holdfast.tokens import Inactive, Vended
from tests.tokens.house import House


async def _connected(house: House, *scopes: str, **more: Any) -> tuple[Connection, Account]:
    connection = await house.connection(**more)
    return connection, await house.connect(connection, *scopes)


async def test_a_live_token_is_served_without_asking_and_the_read_is_on_record(house: House) -> None:
    connection, account = await _connected(house)
    read = await house.read(account, connection, request_id="req_1")
    assert isinstance(read, Vended)
    assert read.secret.reveal() == house.access_of(account)
    assert (read.warnings, house.requests) == ((), 0)
    entry = (await house.entries(account))[-1]
    assert (entry.action, entry.actor, entry.request_id) == (Action.CREDENTIAL_READ, Actor("api_key", "key"), "req_1")


async def test_a_due_token_is_served_at_once_and_renewed_in_the_background(house: House) -> None:
    connection, account = await _connected(house)
    house.sandbox.set(slow_seconds=0.2)
    house.clock.advance(3600 - 299)
    read = await house.read(account, connection)
    assert read.secret.reveal() == house.access_of(account)
    await house.holdfast.refresher.drain(5)
    assert house.requests == 1
    again = await house.read(account, connection)
    assert again.secret.reveal() != house.access_of(account)


async def test_a_valid_token_is_served_with_a_warning_while_refreshing_fails(house: House) -> None:
    connection, account = await _connected(house)
    house.sandbox.set(fail_next={"status": 503, "count": 50, "when": "before"})
    house.clock.advance(3600 - 200)
    assert isinstance(await house.read(account, connection), Vended)
    await house.holdfast.refresher.drain(5)
    for left in (190, 30, 1):
        house.clock.at = (account.expires_at or 0) - left
        read = await house.read(account, connection)
        assert isinstance(read, Vended)
        assert read.secret.reveal() == house.access_of(account)
        assert any("the last refresh failed" in warning for warning in read.warnings)
        await house.holdfast.refresher.drain(5)
    assert (await house.stored(account)).status is Status.ACTIVE


async def test_a_valid_token_whose_connection_rests_is_served_with_what_keeps_it_from_being_renewed(
    house: House,
) -> None:
    connection = await house.connection(secret=Secret("not-the-secret-of-this-app"))
    tried = await house.connect(connection)
    await house.expire(tried)
    with pytest.raises(Unavailable):
        await house.read(tried, connection)
    resting = await house.connect(connection)
    assert (await house.read(resting, connection)).warnings == (), "it is not due yet"
    house.clock.advance(3600 - 200)
    house.sandbox.set(fail_next={"status": 401, "error": "invalid_client", "count": 9})
    await house.holdfast.refresher.refresh(await house.stored(tried), force=True)
    asked = house.requests
    for min_ttl in (None, 300):
        read = await house.read(resting, connection, min_ttl=min_ttl)
        assert read.secret.reveal() == house.access_of(resting)
        [warning] = read.warnings
        assert "refuses this connection's client (invalid_client" in warning
        assert warning.endswith("; an administrator has to correct it")
    await house.holdfast.refresher.drain(5)
    assert house.requests == asked
    assert (await house.stored(resting)).warning is None


async def test_an_ended_token_that_cannot_be_renewed_now_is_no_token_and_no_change_of_status(house: House) -> None:
    connection, account = await _connected(house)
    house.sandbox.set(fail_next={"status": 429, "retry_after": 90, "count": 1})
    await house.expire(account)
    with pytest.raises(Unavailable) as raised:
        await house.read(account, connection)
    assert (raised.value.code, raised.value.retry_after) == ("provider_unavailable", 90)
    assert (await house.stored(account)).status is Status.ACTIVE
    assert Action.CREDENTIAL_READ not in await house.happened(account)


async def test_a_caller_may_ask_for_more_life_than_the_token_has(house: House) -> None:
    connection, account = await _connected(house)
    house.clock.advance(1000)
    assert (await house.read(account, connection, min_ttl=2500)).secret.reveal() == house.access_of(account)
    assert house.requests == 0
    read = await house.read(account, connection, min_ttl=2600)
    assert house.requests == 1
    assert read.secret.reveal() != house.access_of(account)
    assert read.account.expires_at == house.clock.now() + 3600


async def test_more_life_than_the_provider_gives_is_served_with_what_there_is(house: House) -> None:
    connection, account = await _connected(house)
    house.sandbox.set(access_lifetime=100)
    read = await house.read(account, connection, min_ttl=3601)
    assert isinstance(read, Vended)
    assert read.account.expires_at == house.clock.now() + 100
    assert house.requests == 1


async def test_a_token_of_a_minute_is_not_renewed_at_each_read(house: House) -> None:
    connection, account = await _connected(house)
    house.sandbox.set(access_lifetime=60)
    await house.expire(account)
    first = await house.read(account, connection)
    house.clock.advance(10)
    second = await house.read(account, connection)
    assert first.secret == second.secret
    assert house.requests == 1


async def test_a_token_that_ends_and_has_no_refresh_token_expires_its_account_with_one_event(house: House) -> None:
    connection, account = await _connected(house, "read")
    assert account.grant is None
    house.clock.advance(3600 - 30)
    alive = await house.read(account, connection)
    assert alive.warnings == ("the token ends soon and cannot be renewed",)
    await house.expire(account)
    reads = await asyncio.gather(*(house.read(account, connection) for _ in range(5)))
    assert all(isinstance(read, Inactive) for read in reads)
    assert {(read.why, read.reason) for read in reads} == {("needs_reauthorization", Reason.NO_REFRESH_TOKEN)}
    stored = await house.stored(account)
    assert (stored.status, stored.reason, stored.refresh_at) == (Status.EXPIRED, Reason.NO_REFRESH_TOKEN, None)
    happened = await house.happened(account)
    assert happened.count(Action.ACCOUNT_REAUTHORIZATION_NEEDED) == 1
    assert house.requests == 0


async def test_a_revoked_grant_is_told_at_the_read_that_finds_out_and_at_each_later_one(house: House) -> None:
    connection, account = await _connected(house)
    house.sandbox.revoke()
    await house.expire(account)
    for _ in range(2):
        read = await house.read(account, connection)
        assert isinstance(read, Inactive)
        assert (read.why, read.reason) == ("needs_reauthorization", Reason.REFRESH_REFUSED)
    assert house.requests == 2


async def test_a_clients_token_is_minted_at_the_first_read_and_again_when_it_ends(house: House) -> None:
    connection = await house.connection(method="client_credentials")
    house.sandbox.add_client("acme", Secret("acme+secret/=&%:"))
    account = await house.connect_client(connection, "acme", Secret("acme+secret/=&%:"))
    assert account.access is None
    reads = await asyncio.gather(*(house.read(account, connection) for _ in range(10)))
    assert house.sandbox.counters()["client_credentials"] == 1
    assert len({read.secret.reveal() for read in reads}) == 1
    await house.read(account, connection)
    assert house.sandbox.counters()["client_credentials"] == 1
    await house.expire(account)
    renewed = await house.read(account, connection)
    assert house.sandbox.counters()["client_credentials"] == 2
    assert renewed.secret != reads[0].secret
    assert (await house.stored(account)).status is Status.ACTIVE


async def test_a_clients_wrong_secret_is_its_accounts_trouble_and_no_connections(house: House) -> None:
    connection = await house.connection(method="client_credentials")
    account = await house.connect_client(connection, "nobody", Secret("nothing-at-all"))
    read = await house.read(account, connection)
    assert isinstance(read, Inactive)
    assert (read.why, read.reason) == ("needs_reauthorization", Reason.UNUSABLE)
    assert (await house.stored(account)).status is Status.ERROR
    effective = await house.effective(connection)
    assert effective.connection.alert is None


async def test_an_api_key_is_served_as_it_is(house: House) -> None:
    keyed = NewConnection(provider_slug="sendgrid", method="api_key", enabled=True)
    connection = await house.connections.create(house.environment_id, keyed, Actor.system())
    plan = Connecting(
        effective=await house.effective(connection),
        owner=Owner.user("keyed"),
        credential=ApiKey(Secret("SG.key-of-eight-or-more")),
        intent="create",
        actor=Actor.system(),
    )
    account = await house.accounts.connect(plan)
    read = await house.read(account, connection)
    assert read.secret == Secret("SG.key-of-eight-or-more")
    assert read.account.last4 == "more"


async def test_an_owner_without_account_is_told_so_and_an_unknown_account_is_an_error(house: House) -> None:
    connection, account = await _connected(house)
    stranger = replace(account, owner=Owner.user("stranger"))
    read = await house.read(stranger, connection)
    assert isinstance(read, Inactive)
    assert read.why == "not_installed"
    with pytest.raises(NotFound):
        await house.read(stranger, connection, account_id=account.id)


async def test_a_caller_who_cannot_take_this_kind_of_credential_is_told_where_to_go(house: House) -> None:
    connection, account = await _connected(house)
    with pytest.raises(Unprocessable) as raised:
        await house.read(replace(account, method="api_key"), connection)
    assert raised.value.code == "auth_method_mismatch"


@pytest.mark.parametrize("status", [Status.PENDING, Status.VERIFYING, Status.REVOKED, Status.SUSPENDED])
async def test_an_account_that_is_not_connected_gives_no_token(house: House, status: Status) -> None:
    connection, account = await _connected(house)
    await house.holdfast.database.transact(lambda tx: store.save(tx, replace(account, status=status)))
    read = await house.read(account, connection)
    assert isinstance(read, Inactive)
    assert read.why == "not_installed"


async def test_missing_scopes_are_named_and_missing_required_ones_refuse(house: House) -> None:
    connection, account = await _connected(house, "read", "offline", scopes=("read", "write", "offline"))
    read = await house.read(account, connection)
    assert read.missing_scopes == ("write",)
    await house.connections.update(
        house.environment_id, connection.name, "user", Changes(required_scopes=("write",)), Actor("operator")
    )
    refused = await house.read(account, connection)
    assert isinstance(refused, Inactive)
    assert refused.why == "needs_reauthorization"
    assert "write" in refused.detail


async def test_a_token_of_unknown_life_is_served_as_long_as_nobody_says_otherwise(house: House) -> None:
    house.sandbox.set(omit_expires_in=True)
    connection, account = await _connected(house, lifetime=Lifetime(access="never"))
    assert account.expires_at is None
    house.clock.advance(400 * 86400)
    assert isinstance(await house.read(account, connection), Vended)
    assert house.requests == 0
