"""Some providers renew a token in the last moments of its life only: they are not asked before, and what lives is
handed out, with a word about it."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from holdfast.accounts import Account, store
from holdfast.connections import Connection, Connections
from holdfast.events import Action, Actor
from holdfast.lab import sandbox_provider
from holdfast.providers.entry import Lifetime
from holdfast.secret import Secret
from holdfast.tokens import Gate, PlainAsk, PlainReader, Refreshed, Refresher, RenewingReader, RetryAt, TokenReader
from holdfast.tokens.policy import too_early
from tests.tokens.house import House
from tests.tokens.plain import Plain

LATE = Lifetime(access=3600, rotation="each_use", reuse="whole_grant_dead", refresh_not_before=30)
WORD = "renews a token in the last 30 seconds of its life and not before"


async def _connected(house: House, lifetime: Lifetime = LATE) -> tuple[Connection, Account]:
    connection = await house.connection(lifetime=lifetime)
    return connection, await house.connect(connection)


@pytest.mark.parametrize(
    ("account", "lifetime", "begins"),
    [
        ({}, LATE, 3570.0),
        ({"expires_at": 31.0}, LATE, 1.0),
        ({"expires_at": 30.0}, LATE, None),
        ({"expires_at": -1.0}, LATE, None),
        ({"expires_at": None}, LATE, None),
        ({"access": None}, LATE, None),
        ({}, Lifetime(access=3600), None),
        ({}, Lifetime(access=3600, refresh_not_before=7200), None),
        ({"expires_at": -1.0}, Lifetime(access=3600, refresh_not_before=0), None),
    ],
)
async def test_it_is_too_early_while_the_token_lives_and_its_time_has_not_come(
    house: House, account: dict[str, Any], lifetime: Lifetime, begins: float | None
) -> None:
    _, made = await _connected(house)
    now = house.clock.now()
    changes = {"expires_at": 3600.0} | account
    if changes["expires_at"] is not None:
        changes["expires_at"] += now
    expected = None if begins is None else now + begins
    assert too_early(replace(made, **changes), lifetime, now) == expected


async def test_the_provider_is_not_asked_before_its_time_and_is_then(house: House) -> None:
    _, account = await _connected(house)
    assert account.expires_at is not None
    refresher = house.holdfast.refresher
    for advanced in (0, 3569):
        house.clock.advance(advanced)
        outcome = await refresher.refresh(account)
        assert isinstance(outcome, RetryAt)
        assert (outcome.at, outcome.asked) == (account.expires_at - 30, False)
        assert outcome.why.endswith(WORD)
    assert house.requests == 0
    assert replace(await house.stored(account), fence=account.fence) == account, "and nothing is in doubt after it"
    house.clock.advance(1)
    assert isinstance(await refresher.refresh(account), Refreshed)
    assert house.requests == 1


async def test_an_ended_token_is_renewed_at_once(house: House) -> None:
    _, account = await _connected(house)
    await house.expire(account)
    assert isinstance(await house.holdfast.refresher.refresh(account), Refreshed)


async def test_what_the_sweep_or_a_read_starts_in_the_background_is_not_asked_for_either(house: House) -> None:
    _, account = await _connected(house)
    outcome = await house.holdfast.refresher.start(account)
    assert isinstance(outcome, RetryAt)
    assert house.requests == 0
    assert house.holdfast.gate.resting_endpoints() == frozenset()


async def test_a_longer_life_than_is_left_brings_the_living_token_and_a_warning(house: House) -> None:
    connection, account = await _connected(house)
    house.clock.advance(3000)
    plain_read = await house.read(account, connection)
    assert (plain_read.secret.reveal(), plain_read.warnings) == (house.access_of(account), ())
    read = await house.read(account, connection, min_ttl=1800)
    assert read.secret.reveal() == house.access_of(account)
    [warning] = read.warnings
    assert warning.endswith(WORD)
    assert house.requests == 0
    assert (await house.happened(account)).count(Action.CREDENTIAL_READ) == 2
    house.clock.advance(575)
    renewed = await house.read(account, connection, min_ttl=1800)
    assert (renewed.secret.reveal() != house.access_of(account), renewed.warnings) == (True, ())
    assert house.requests == 1


async def test_whoever_forces_it_asks(house: House) -> None:
    _, account = await _connected(house)
    outcome = await house.holdfast.refresher.refresh(account, force=True, actor=Actor("operator"))
    assert isinstance(outcome, Refreshed)
    assert house.requests == 1


async def test_a_token_that_the_api_refuses_has_ended_whatever_its_time(house: House) -> None:
    """A refused token does not excuse from a retry time, as `force` does."""
    _, account = await _connected(house)
    waiting = replace(account, retry_at=house.clock.now() + 60, warning="the last refresh failed")
    await house.holdfast.database.transact(lambda tx: store.save(tx, waiting))
    assert isinstance(await house.holdfast.refresher.refresh(account, refused=True), RetryAt)
    assert house.requests == 0
    house.clock.advance(61)
    assert isinstance(await house.holdfast.refresher.refresh(account, refused=True), Refreshed)
    assert house.requests == 1


async def test_minted_tokens_wait_for_their_time_too(house: House) -> None:
    house.sandbox.add_client("app-two", Secret("its secret"))
    lifetime = Lifetime(access=3600, rotation="none", refresh_not_before=30)
    connection = await house.connection(method="client_credentials", lifetime=lifetime)
    account = await house.connect_client(connection, "app-two", Secret("its secret"))
    first = await house.read(account, connection)
    house.clock.advance(3000)
    read = await house.read(account, connection, min_ttl=1800)
    assert (read.secret, len(read.warnings)) == (first.secret, 1)
    assert house.sandbox.counters()["client_credentials"] == 1


@pytest.mark.parametrize("warm", [False, True])
async def test_reads_by_the_batch_keep_to_it(plain: Plain, warm: bool) -> None:
    """At a provider of the catalogue: reads that have to renew are begun many at once there."""
    house, parts = plain.house, plain.house.holdfast
    entry = sandbox_provider(parts.config.base_url + "/lab/sandbox", lifetime=LATE)
    late = {"sandbox": msgspec.structs.replace(entry)}
    connections = Connections(parts.database, parts.vault, parts.clock, parts.catalog, allow_http=True, extra=late)
    gate = Gate(parts.clock, concurrency=8, per_provider=8)
    refresher = Refresher(
        parts.database,
        parts.vault,
        parts.clock,
        connections,
        house.factory,
        gate,
        lease_seconds=6.0,
        refusal_spacing=0.1,
    )
    usual = {"min_ttl": parts.config.min_ttl}
    shared = (parts.database, parts.vault, parts.clock)
    ordinary = TokenReader(*shared, connections, house.accounts, refresher, **usual)
    plainly = PlainReader(*shared, connections, **usual)
    reader = RenewingReader(*shared, plainly, ordinary, refresher, **usual)

    def ask(account: Account, min_ttl: float | None) -> PlainAsk:
        key, user = plain.key, account.owner.user_id
        return PlainAsk(key.environment_id, key.key_id, plain.connection.name, user, min_ttl, "req_1")

    if warm:  # the connection is known from a renewal before
        now = house.clock.now()
        ended = await plain.account(expires_at=now - 5, refresh_at=now - 300)
        assert await reader.read(ask(ended, None)) is not None
    account, before = await plain.account(), house.requests
    for _ in range(2):
        live = await reader.read(ask(account, 360_000))
        assert live is not None
        assert live.secret.reveal() == house.access_of(account)
        [warning] = live.warnings
        assert warning.endswith(WORD)
    assert house.requests == before
    assert (await house.stored(account)).credential_version == account.credential_version
    await house.expire(account)
    renewed = await reader.read(ask(account, None))
    assert renewed is not None
    assert (renewed.secret.reveal() != house.access_of(account), renewed.warnings) == (True, ())
    await refresher.drain(5)
