"""What is taken away here ends at the provider too: whatever fails in between, once the provider answers again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select, update
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from holdfast.accounts import Account
from holdfast.accounts.removal import remove_in
from holdfast.accounts.revocations import GIVE_UP_AFTER
from holdfast.accounts.revocations.store import claim, revocations
from holdfast.accounts.store import accounts as table
from holdfast.connections import Connection
from holdfast.connections import store as connection_store
from holdfast.connections.changes import Changes
from holdfast.connections.clients import ClientInput
from holdfast.dashboard.sentences import sentence
from holdfast.events import Action, Actor
from holdfast.rotation import Rotation
from holdfast.secret import Secret
from holdfast.tokens.outcome import NeedsReauthorization, Refreshed
from holdfast.vault import LocalKeyFile, Sealed
from tests.parts.postgres import Postgres
from tests.storage.engines import ENGINES
from tests.tokens.house import House, house_on, second_process

APP = Actor("api_key", "key")
DAY = 86400.0


@dataclass
class Endpoint:
    """The sandbox's revocation endpoint, which can be out of order."""

    replies: list[Response] = field(default_factory=list)
    """Given one after the other before it works."""
    broken: Response | None = None
    """Given until it is put right."""
    asked: int = 0

    def around(self, app: ASGIApp) -> ASGIApp:
        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            reply = None
            if scope.get("path", "").endswith("/lab/sandbox/revoke"):
                self.asked += 1
                reply = self.replies.pop(0) if self.replies else self.broken
            await (reply or app)(scope, receive, send)

        return watched


@pytest.fixture(scope="module", params=ENGINES)
async def built(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[House, Endpoint]]:
    database, endpoint = "", Endpoint()
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        database = server.fresh_database()
    data_dir: Path = tmp_path_factory.mktemp("revoking")
    async with house_on(database, data_dir, around=endpoint.around) as house:
        yield house, endpoint


@pytest.fixture
def endpoint(built: tuple[House, Endpoint]) -> Endpoint:
    built[1].replies, built[1].broken, built[1].asked = [], None, 0
    return built[1]


@pytest.fixture
async def house(built: tuple[House, Endpoint], endpoint: Endpoint) -> AsyncIterator[House]:
    house = built[0]
    house.sandbox.reset()
    yield house
    await house.holdfast.refresher.drain(10)
    endpoint.replies, endpoint.broken = [], None
    house.clock.at += 2 * DAY  # whatever a test has left is given up
    await house.holdfast.revoker.run()
    assert await queued(house) == []


async def queued(house: House) -> list[Any]:
    return await house.holdfast.database.transact(lambda tx: list(tx.execute(select(revocations))))


async def tell(house: House, connection: Connection, setting: Any) -> None:
    await house.connections.update(
        house.environment_id, connection.name, connection.owner_kind, Changes(revokes=setting), APP
    )


async def kills(house: House, connection: Connection, revoke: dict[str, Any]) -> None:
    """Let the connection's provider say something else of its revocation."""
    entry = (await house.effective(connection)).provider
    assert entry.revoke is not None
    changed = msgspec.structs.replace(entry, revoke=msgspec.structs.replace(entry.revoke, **revoke))
    await house.connections.update(
        house.environment_id, connection.name, connection.owner_kind, Changes(definition=changed), APP
    )


async def connected(house: House) -> tuple[Connection, Account]:
    connection = await house.connection()
    return connection, await house.connect(connection)


def ended(house: House) -> list[bool]:
    return [grant["ended"] is not None for grant in house.sandbox.state()["grants"]]


async def delete(house: House, account: Account) -> None:
    await house.holdfast.keeping.delete(house.environment_id, account.id, APP)


async def disconnect(house: House, account: Account) -> None:
    await house.holdfast.keeping.revoke(house.environment_id, account.id, APP)


@pytest.mark.parametrize("take_away", [delete, disconnect])
async def test_what_is_taken_away_here_is_ended_at_the_provider(
    house: House, endpoint: Endpoint, take_away: Callable[[House, Account], Awaitable[None]]
) -> None:
    _, account = await connected(house)
    secrets = [house.access_of(account), house.grant_of(account), house.sandbox.client_secret.reveal()]
    await take_away(house, account)
    assert endpoint.asked == 0, "nobody waits for the provider"
    (row,) = await queued(house)
    assert not any(secret.encode() in bytes(row._mapping["order"]) for secret in secrets)
    await house.holdfast.revoker.run()
    assert ended(house) == [True]
    assert await queued(house) == [], "what was sealed is gone"
    told = (await house.entries(account))[-1]
    assert told.action == Action.ACCOUNT_REVOCATION_DONE
    assert told.data["cause"] == {delete: "deleted", disconnect: "disconnected"}[take_away]
    assert not any(secret in repr(entry) for entry in await house.entries(account) for secret in secrets)
    assert sentence(told).startswith("ended the account's access at the provider sandbox-")


async def test_what_was_rolled_back_is_not_ended(house: House) -> None:
    _, account = await connected(house)

    class Broken(Exception):
        pass

    def work(tx: Any) -> None:
        connection = connection_store.by_id(tx, house.environment_id, account.connection_id)
        assert remove_in(tx, house.accounts, account, connection, APP)
        raise Broken

    with pytest.raises(Broken):
        await house.holdfast.database.transact(work)
    await house.holdfast.revoker.run()
    assert ended(house) == [False]


async def test_the_workos_door_ends_nothing_unless_the_connection_asks_for_it(house: House) -> None:
    for setting, expected in (("usual", False), ("always", True), ("never", False)):
        house.sandbox.reset()
        connection, account = await connected(house)
        await tell(house, connection, setting)
        await house.removal.disconnect(
            house.environment_id,
            connection.name,
            account.owner,
            account_id=None,
            plural=False,
            actor=APP,
            request_id="",
            revokes=False,
        )
        await house.holdfast.revoker.run()
        assert ended(house) == [expected], setting


async def test_a_connection_that_says_never_ends_nothing(house: House) -> None:
    connection, account = await connected(house)
    await tell(house, connection, "never")
    await delete(house, account)
    assert await queued(house) == []


@pytest.mark.parametrize("kind", ["install", "all_user_sessions"])
async def test_what_others_would_lose_too_is_ended_only_where_the_operator_says_so(house: House, kind: Any) -> None:
    connection, account = await connected(house)
    await kills(house, connection, {"kills": kind})
    await delete(house, account)
    assert await queued(house) == []
    again = await house.connect(connection)
    await tell(house, connection, "always")
    await delete(house, again)
    assert len(await queued(house)) == 1


async def test_a_connections_end_ends_the_tokens_of_all_its_accounts(house: House) -> None:
    connection = await house.connection()
    accounts = [await house.connect(connection) for _ in range(3)]
    await house.removal.delete_connection(house.environment_id, connection.name, "user", APP)
    gone = await house.holdfast.database.transact(
        lambda tx: connection_store.by_id(tx, house.environment_id, connection.id)
    )
    assert gone is None, "its client and its custom provider went with it"
    await house.holdfast.revoker.run()
    assert ended(house) == [True] * 3
    for account in accounts:
        assert (await house.happened(account))[-1] == Action.ACCOUNT_REVOCATION_DONE


async def test_an_endpoint_that_is_down_is_tried_again_until_it_answers(house: House, endpoint: Endpoint) -> None:
    _, account = await connected(house)
    endpoint.replies = [Response(status_code=503), Response(status_code=429, headers={"retry-after": "90"})]
    await delete(house, account)
    await house.holdfast.revoker.run()
    (row,) = await queued(house)
    assert (row.attempts, row.due_at - house.clock.now()) == (1, 5.0)
    await house.holdfast.revoker.run()
    assert endpoint.asked == 1, "it is left alone meanwhile"
    house.clock.at += 5.5
    await house.holdfast.revoker.run()
    (row,) = await queued(house)
    assert (row.attempts, row.due_at - house.clock.now()) == (2, 90.0)
    house.clock.at += 91
    await house.holdfast.revoker.run()
    assert ended(house) == [True]
    assert (await house.entries(account))[-1].data["attempts"] == 3


async def test_after_a_day_it_is_given_up_with_an_entry_and_erased(house: House, endpoint: Endpoint) -> None:
    _, account = await connected(house)
    endpoint.broken = Response(status_code=500)
    began = house.clock.now()
    await delete(house, account)
    for _ in range(60):
        rows = await queued(house)
        if not rows:
            break
        house.clock.at = max(house.clock.at, rows[0].due_at)
        await house.holdfast.revoker.run()
    assert await queued(house) == []
    assert GIVE_UP_AFTER - 7200 < house.clock.now() - began <= GIVE_UP_AFTER
    assert 20 < endpoint.asked < 40
    told = (await house.entries(account))[-1]
    assert (told.action, told.data["why"]) == (Action.ACCOUNT_REVOCATION_FAILED, "busy")
    assert sentence(told).endswith("it answers that it is busy or broken")


@pytest.mark.parametrize(
    ("status", "body"), [(400, b'{"error": "invalid_token"}'), (400, b'{"error": "invalid_grant"}'), (204, b"")]
)
async def test_a_token_that_is_over_already_counts_as_ended(
    house: House, endpoint: Endpoint, status: int, body: bytes
) -> None:
    _, account = await connected(house)
    endpoint.broken = Response(body, status)
    await delete(house, account)
    await house.holdfast.revoker.run()
    assert (await house.happened(account))[-1] == Action.ACCOUNT_REVOCATION_DONE


async def test_a_plain_refusal_is_put_on_record_and_not_repeated(house: House, endpoint: Endpoint) -> None:
    _, account = await connected(house)
    endpoint.broken = Response(b'{"error": "unsupported_token_type", "error_description": "<token>"}', 400)
    await delete(house, account)
    await house.holdfast.revoker.run()
    told = (await house.entries(account))[-1]
    assert (told.action, told.data["why"], told.data["response_status"]) == (
        Action.ACCOUNT_REVOCATION_FAILED,
        "refused",
        400,
    )
    assert (endpoint.asked, await queued(house)) == (1, [])


async def test_a_client_secret_changed_since_is_used(house: House, endpoint: Endpoint) -> None:
    """The queue knows the secret of its day; the connection, if it is still there, knows today's."""
    connection = await house.connection(secret=Secret("a secret that is not right yet"))
    account = await house.connect(connection)
    await delete(house, account)
    await house.holdfast.revoker.run()
    (row,) = await queued(house)
    assert (ended(house), endpoint.asked, row.attempts) == ([False], 1, 1)
    client = ClientInput(house.sandbox.client_id, house.sandbox.client_secret)
    await house.connections.update(house.environment_id, connection.name, "user", Changes(client=client), APP)
    house.clock.at += 6
    await house.holdfast.revoker.run()
    assert ended(house) == [True]


async def test_what_a_killed_process_had_claimed_is_ended_by_another(house: House) -> None:
    _, account = await connected(house)
    await delete(house, account)
    now = house.clock.now()
    taken = await house.holdfast.database.transact(lambda tx: claim(tx, now=now, until=now + 30, limit=5))
    assert len(taken) == 1
    async with second_process(house) as other:
        await other.holdfast.revoker.run()
        assert ended(house) == [False], "it may be under way"
        house.clock.at += 31
        await other.holdfast.revoker.run()
    assert ended(house) == [True]
    assert (await house.happened(account)).count(Action.ACCOUNT_REVOCATION_DONE) == 1


async def test_what_waits_is_sealed_anew_when_keys_rotate(house: House) -> None:
    _, account = await connected(house)
    await delete(house, account)
    (before,) = await queued(house)
    keys = LocalKeyFile.load(house.holdfast.config.key_path())
    rotation = Rotation(house.holdfast.database, house.holdfast.vault, keys, house.clock, Actor("operator"))
    await rotation.add_data_keys(headway=0)
    async for progress in rotation.reseal():
        assert not progress.stuck
    (after,) = await queued(house)
    was, now = (Sealed(row._mapping["order"]).key_version for row in (before, after))
    assert now == was + 1
    await house.holdfast.revoker.run()
    assert ended(house) == [True]


async def test_many_are_ended_once_each_by_two_processes(house: House, endpoint: Endpoint) -> None:
    connection = await house.connection()
    accounts = [await house.connect(connection) for _ in range(20)]
    for account in accounts:
        await delete(house, account)
    async with second_process(house) as other:
        await asyncio.gather(house.holdfast.revoker.run(), other.holdfast.revoker.run())
    assert (ended(house), endpoint.asked) == ([True] * 20, 20)


async def test_a_grant_that_another_account_lives_by_is_left_alone(house: House, endpoint: Endpoint) -> None:
    connection = await house.connection()
    one, other = await house.connect(connection), await house.connect(connection)
    await of_one_person(house, one, other)
    await delete(house, one)
    await house.holdfast.revoker.run()
    assert endpoint.asked == 0
    told = (await house.entries(one))[-1]
    assert (told.action, told.data["why"]) == (Action.ACCOUNT_REVOCATION_SKIPPED, "shared")
    await delete(house, other)
    await house.holdfast.revoker.run()
    assert endpoint.asked == 1, "the last one takes it along"


async def test_a_token_of_its_own_is_ended_beside_another_account_of_that_person(
    house: House, endpoint: Endpoint
) -> None:
    connection = await house.connection()
    await kills(house, connection, {"kills": "token"})
    one, other = await house.connect(connection), await house.connect(connection)
    await of_one_person(house, one, other)
    await delete(house, one)
    await house.holdfast.revoker.run()
    assert (endpoint.asked, (await house.happened(one))[-1]) == (1, Action.ACCOUNT_REVOCATION_DONE)


async def test_a_token_that_two_accounts_hold_is_left_to_the_second(house: House, endpoint: Endpoint) -> None:
    connection = await house.connection()
    await kills(house, connection, {"kills": "token"})
    credential = house.credential()
    one, other = [await house._connect(connection, credential, None) for _ in range(2)]
    await of_one_person(house, one, other)
    await delete(house, one)
    await house.holdfast.revoker.run()
    assert (endpoint.asked, (await house.happened(one))[-1]) == (0, Action.ACCOUNT_REVOCATION_SKIPPED)


async def of_one_person(house: House, *accounts: Account) -> None:
    of_them = table.c.id.in_([account.id for account in accounts])
    await house.holdfast.database.transact(lambda tx: tx.execute(update(table).where(of_them).values(subject="sub-1")))


async def test_both_tokens_are_shown_with_their_hints_where_the_entry_says_so(house: House) -> None:
    connection, account = await connected(house)
    entry = (await house.effective(connection)).provider
    assert entry.revoke is not None
    params = {**entry.revoke.call.params, "token_type_hint": "{token_type_hint}"}
    await kills(house, connection, {"token": "both", "call": msgspec.structs.replace(entry.revoke.call, params=params)})
    await delete(house, account)
    await house.holdfast.revoker.run()
    assert house.sandbox.counters()["revocations"] == 2
    assert (await house.happened(account))[-1] == Action.ACCOUNT_REVOCATION_DONE


async def test_a_provider_without_a_way_is_not_asked(house: House) -> None:
    connection, account = await connected(house)
    entry = (await house.effective(connection)).provider
    changed = Changes(definition=msgspec.structs.replace(entry, revoke=None))
    await house.connections.update(house.environment_id, connection.name, "user", changed, APP)
    await delete(house, account)
    assert await queued(house) == []


async def test_a_pair_that_comes_for_a_disconnected_account_is_ended(house: House) -> None:
    _, account = await house.expired()
    house.sandbox.set(slow_seconds=0.3)
    flight = asyncio.ensure_future(house.holdfast.refresher.refresh(account))
    await house.seen_requests_above(0)
    await disconnect(house, account)
    assert isinstance(await flight, NeedsReauthorization)
    causes = {row.cause for row in await queued(house)}
    assert causes == {"disconnected", "refreshed_meanwhile"}
    await house.holdfast.revoker.run()
    assert ended(house) == [True]
    stored = await house.stored(account)
    assert (stored.access, stored.grant) == (None, None)


async def test_a_provider_in_trouble_is_left_alone_by_all_its_revocations(house: House, endpoint: Endpoint) -> None:
    connection = await house.connection()
    for _ in range(8):
        await delete(house, await house.connect(connection))
    endpoint.broken = Response(status_code=503)
    for _ in range(3):
        await house.holdfast.revoker.run()
        house.clock.at += 6
    assert endpoint.asked < 16, "the breaker has opened: after five failures in a row it is asked by one at a time"
    assert len(await queued(house)) == 8
    endpoint.broken = None
    for _ in range(10):
        house.clock.at += 301
        await house.holdfast.revoker.run()
    assert ended(house) == [True] * 8


async def test_revocations_that_fail_keep_no_refresh_waiting(house: House, endpoint: Endpoint) -> None:
    connection = await house.connection()
    stays = await house.connect(connection)
    await house.expire(stays)
    for _ in range(8):
        await delete(house, await house.connect(connection))
    endpoint.broken = Response(status_code=503)
    await house.holdfast.revoker.run()
    assert any(name.endswith("/revocation") for name in house.holdfast.gate.resting_endpoints())
    assert isinstance(await house.holdfast.refresher.start(await house.stored(stays)), Refreshed)
