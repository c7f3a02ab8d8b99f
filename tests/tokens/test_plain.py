"""The plain read, many at once: the same answers as the ordinary read gives, an entry for each, and nothing without."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast.access import Principal
from holdfast.accounts import Account, Owner, Status, store
from holdfast.connections import Connection
from holdfast.connections.changes import Changes, NewConnection
from holdfast.connections.clients import ClientInput
from holdfast.errors import Conflict, Unauthenticated
from holdfast.events import Action, Actor, Entry
from holdfast.events import store as log
from holdfast.events.sealing import store as sealing
from holdfast.events.sealing.seal import entry_hash
from holdfast.ids import opaque
from holdfast.storage import Connection as Tx
from holdfast.storage.engine import open_database
from holdfast.tokens import Inactive, Live, PlainAsk, PlainReader, Vended, policy
from holdfast.tokens.store import Found, PlainReads
from holdfast.vault.sealed import CannotOpen
from tests.tokens.house import House, second_process


class Plain:
    """A house with a key, a connection to a provider of the catalogue (so to say), and the reader that is tested."""

    def __init__(self, house: House, key: Principal, connection: Connection, reader: PlainReader) -> None:
        self.house, self.key, self.connection, self.reader = house, key, connection, reader

    async def read(self, user: str, **more: Any) -> Live | None:
        ask = PlainAsk(self.key.environment_id, self.key.key_id, self.connection.name, user, None, "req_1")
        return await self.reader.read(msgspec.structs.replace(ask, **more))

    async def account(self, **changes: Any) -> Account:
        """An account of its own, as consent leaves it but for the changes."""
        made = await self.house.connect(self.connection, "read", "offline", owner=Owner.user("user_" + opaque(20)))
        if changes:
            await self.house.holdfast.database.transact(lambda tx: store.save(tx, replace(made, **changes)))
        return await self.house.stored(made)

    async def reads(self, account: Account) -> list[Entry]:
        return [item for item in await self.house.entries(account) if item.action is Action.CREDENTIAL_READ]


def _reader(house: House) -> PlainReader:
    parts = house.holdfast
    return PlainReader(parts.database, parts.vault, parts.clock, house.connections, min_ttl=parts.config.min_ttl)


@pytest.fixture
async def plain(house: House) -> Plain:
    _, text = await house.holdfast.keys.create(house.environment_id, "plain", Actor("operator"))
    key = await house.holdfast.keys.authenticate(text.reveal())
    new = NewConnection(
        provider_slug="sandbox",
        client_supply="custom",
        client=ClientInput(house.sandbox.client_id, house.sandbox.client_secret),
        scopes=("read", "offline"),
        enabled=True,
    )
    try:
        connection = await house.connections.create(house.environment_id, new, Actor("operator"))
    except Conflict:
        changes = Changes(scopes=("read", "offline"), required_scopes=())
        connection = await house.connections.update(house.environment_id, "sandbox", "user", changes, Actor("operator"))
    return Plain(house, key, connection, _reader(house))


NOW = 1_800_000_000.123456
STATES: list[dict[str, Any]] = [
    {},
    {"expires_at": None},
    {"expires_at": NOW + 60.5},
    {"expires_at": NOW + 60.0},
    {"expires_at": NOW + 59.5},
    {"expires_at": NOW + 20.0, "refreshed_at": NOW - 20.0},
    {"expires_at": NOW + 9.0, "refreshed_at": NOW - 31.0},
    {"expires_at": NOW + 10.0, "refreshed_at": NOW - 30.0},
    {"expires_at": NOW + 5.0, "refreshed_at": NOW + 50.0},
    {"expires_at": NOW - 1.0},
    {"expires_at": NOW + 3000.0, "refreshed_at": None},
    {"expires_at": NOW + 50.0, "refreshed_at": None},
    {"refresh_at": NOW - 1.0},
    {"refresh_at": NOW - 1.0, "retry_at": NOW + 5.0, "failures": 1, "warning": "the last refresh failed: 503"},
    {"refresh_at": NOW - 1.0, "retry_at": NOW - 5.0, "failures": 1},
    {"refresh_at": NOW - 1.0, "grant": None},
    {"refresh_at": None},
    {"grant": None, "expires_at": NOW + 30.0},
    {"access": None},
    {"access": None, "grant": None},
    {"scopes": ()},
    {"scopes": ("read", "extra")},
    {"role": "standard"},
    *({"status": status} for status in Status if status is not Status.ACTIVE),
]


@pytest.mark.parametrize("min_ttl", [None, 0, 45, 3600])
@pytest.mark.parametrize("state", STATES, ids=lambda state: ",".join(f"{k}={v}" for k, v in state.items())[:60] or "-")
async def test_what_is_served_plainly_is_what_the_policy_serves_and_the_ordinary_read_answers(
    plain: Plain, state: dict[str, Any], min_ttl: int | None
) -> None:
    house = plain.house
    house.clock.at = NOW
    account = await plain.account(**state)
    served = await plain.read(account.owner.user_id, min_ttl=min_ttl)
    house_min = float(house.holdfast.config.min_ttl)
    asked = policy.default_ttl(account, house_min) if min_ttl is None else float(min_ttl)
    decision = policy.decide(account, NOW, asked)
    # One that is due, and one that ends soon with a word about it, take the ordinary way.
    expected = isinstance(decision, policy.Serve) and not decision.due and account.role == "compatibility"
    expected = expected and decision == policy.Serve(False, (account.warning,) if account.warning else ())
    assert (served is not None) == expected
    assert len(await plain.reads(account)) == (1 if expected else 0), "a read that is not plain leaves no entry"
    if served is None or not isinstance(decision, policy.Serve):
        return
    ordinary = await house.read(account, plain.connection, min_ttl=min_ttl, request_id="req_1")
    assert isinstance(ordinary, Vended)
    assert served.secret == ordinary.secret
    assert served.expires_at == ordinary.account.expires_at, "to the last bit"
    assert tuple(served.scopes) == ordinary.account.scopes
    assert tuple(served.missing_scopes) == ordinary.missing_scopes
    assert served.warnings == ordinary.warnings == decision.warnings
    one, two = await plain.reads(account)
    assert replace(one, id="", actor=two.actor) == replace(two, id="")
    assert one.actor == Actor("api_key", plain.key.key_id)
    assert one.id < two.id


async def test_three_hundred_readers_at_once_leave_three_hundred_entries(plain: Plain) -> None:
    accounts = [await plain.account() for _ in range(3)]
    reads = [plain.read(accounts[number % 3].owner.user_id, request_id=f"req_{number}") for number in range(300)]
    answers = await asyncio.gather(*reads)
    for number, answer in enumerate(answers):
        assert answer is not None
        assert answer.secret.reveal() == plain.house.access_of(accounts[number % 3])
    written = [entry.request_id for account in accounts for entry in await plain.reads(account)]
    assert sorted(written) == sorted(f"req_{number}" for number in range(300))


class _Counted:
    """The house's database, and how many reads each batch brought there."""

    def __init__(self, house: House) -> None:
        self._database, self.sizes = house.holdfast.database, list[int]()
        self.dialect = self._database.dialect

    async def direct(self, work: PlainReads) -> list[Found]:
        self.sizes.append(len(work.users))
        return await self._database.direct(work)


async def test_a_crowd_goes_in_two_equal_batches_of_which_the_database_has_one(plain: Plain) -> None:
    user, parts = (await plain.account()).owner.user_id, plain.house.holdfast
    database = _Counted(plain.house)
    connections = plain.house.connections
    plain.reader = PlainReader(database, parts.vault, parts.clock, connections, min_ttl=60)  # type: ignore[arg-type]

    async def call() -> None:
        for _ in range(10):
            assert await plain.read(user)

    early = [asyncio.create_task(call()) for _ in range(45)]
    await asyncio.sleep(0.001)
    await asyncio.gather(*early, *(call() for _ in range(3)))
    assert sum(database.sizes) == 480
    steady = database.sizes[4:-4]
    if database.dialect == "postgresql":
        assert max(steady) == 24, f"these would all wait for one batch: {steady}"
        assert sorted(steady)[len(steady) // 2] > 20, f"a crowd falls apart: {steady}"
    else:
        assert max(steady) > 24, "one batch at a time is in SQLite, with all who wait"


async def test_a_caller_who_hangs_up_takes_nobody_along(plain: Plain) -> None:
    account = await plain.account()
    tasks = [asyncio.ensure_future(plain.read(account.owner.user_id)) for _ in range(10)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[5].cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(item, asyncio.CancelledError) for item in done] == [n in (0, 5) for n in range(10)]
    assert all(isinstance(item, Live) for n, item in enumerate(done) if n not in (0, 5))
    assert isinstance(await plain.read(account.owner.user_id), Live)


async def test_a_read_that_the_database_cannot_take_fails_alone(plain: Plain) -> None:
    account = await plain.account()
    users = [account.owner.user_id, "a\x00b", account.owner.user_id, "lone \ud800", *[account.owner.user_id] * 5]
    answers = await asyncio.gather(*(plain.read(user) for user in users))
    assert [answer is not None for answer in answers] == [True, False, True, False, *[True] * 5]
    assert len(await plain.reads(account)) == 7


async def test_a_revoked_key_reads_nothing_more_not_even_one_that_was_revoked_elsewhere(plain: Plain) -> None:
    account = await plain.account()
    assert isinstance(await plain.read(account.owner.user_id), Live)
    async with second_process(plain.house) as other:
        assert await other.holdfast.keys.revoke(plain.key.environment_id, plain.key.key_id, Actor("operator"))
    assert await plain.read(account.owner.user_id) is None
    assert len(await plain.reads(account)) == 1


async def test_a_key_is_recalled_until_a_check_finds_it_revoked(house: House) -> None:
    keys = house.holdfast.keys
    made, text = await keys.create(house.environment_id, "recalled", Actor("operator"))
    assert keys.recall(text.reveal()) is None, "a key is checked before it is believed"
    principal = await keys.authenticate(text.reveal())
    assert keys.recall(text.reveal()) == principal
    await keys.revoke(house.environment_id, made.id, Actor("operator"))
    with pytest.raises(Unauthenticated):
        await keys.authenticate(text.reveal())
    assert keys.recall(text.reveal()) is None


async def test_a_connection_changed_elsewhere_is_seen_at_the_next_read(plain: Plain) -> None:
    account = await plain.account()
    first = await plain.read(account.owner.user_id)
    assert first is not None
    assert first.missing_scopes == []
    async with second_process(plain.house) as other:
        changes = Changes(scopes=("read", "write", "offline"))
        await other.connections.update(other.environment_id, "sandbox", "user", changes, Actor("operator"))
        second = await plain.read(account.owner.user_id)
        assert second is not None
        assert second.missing_scopes == ["write"]
        required = Changes(required_scopes=("write",))
        await other.connections.update(other.environment_id, "sandbox", "user", required, Actor("operator"))
        assert await plain.read(account.owner.user_id) is None
        refused = await plain.house.read(account, plain.connection)
        assert isinstance(refused, Inactive)
        granted = Changes(required_scopes=("read",))
        await other.connections.update(other.environment_id, "sandbox", "user", granted, Actor("operator"))
        assert isinstance(await plain.read(account.owner.user_id), Live)


async def test_an_account_of_the_same_user_within_an_organization_is_another_one(plain: Plain) -> None:
    account = await plain.account()
    await plain.house.holdfast.database.transact(
        lambda tx: store.save(tx, replace(account, owner=Owner.user(account.owner.user_id, "org_1")))
    )
    assert await plain.read(account.owner.user_id) is None


async def test_a_custom_provider_and_an_unknown_name_are_not_plain(plain: Plain) -> None:
    custom = await plain.house.connection()
    account = await plain.house.connect(custom)
    assert await plain.read(account.owner.user_id, name=custom.name) is None
    assert await plain.read(account.owner.user_id, name="nobodys") is None


async def test_a_ciphertext_from_another_account_opens_for_nobody(plain: Plain) -> None:
    one, other = await plain.account(), await plain.account()
    await plain.house.holdfast.database.transact(lambda tx: store.save(tx, replace(one, access=other.access)))
    with pytest.raises(CannotOpen):
        await plain.read(one.owner.user_id)
    assert isinstance(await plain.read(other.owner.user_id), Live)


async def test_what_another_process_has_sealed_with_a_new_key_opens(plain: Plain) -> None:
    async with second_process(plain.house) as other:
        await other.holdfast.vault.rotate(other.environment_id)
        account = await other.connect(plain.connection, "read", "offline")
    assert isinstance(await plain.read(account.owner.user_id), Live)


_REFUSE: dict[str, tuple[list[str], list[str]]] = {
    "sqlite": (
        [
            "CREATE TRIGGER refuse BEFORE INSERT ON entries WHEN new.action = 'credential.read' "
            "BEGIN SELECT RAISE(ABORT, 'refused'); END"
        ],
        ["DROP TRIGGER refuse"],
    ),
    "postgresql": (
        [
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '53100'; END$$",
            "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON entries DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
            "WHEN (new.action = 'credential.read') EXECUTE FUNCTION refuse()",
        ],
        ["DROP TRIGGER refuse ON entries", "DROP FUNCTION refuse"],
    ),
}


async def test_nothing_leaves_when_the_entry_cannot_be_written(plain: Plain) -> None:
    """On PostgreSQL it is the commit itself that fails: the trigger is deferred to it."""
    account = await plain.account()
    database = plain.house.holdfast.database

    async def run(*statements: str) -> None:
        for statement in statements:
            await database.transact(lambda tx, statement=statement: _execute(tx, statement))

    refuse, allow = _REFUSE[database.dialect]
    await run(*refuse)
    try:
        assert await asyncio.gather(*(plain.read(account.owner.user_id) for _ in range(5))) == [None] * 5
        with pytest.raises(Exception, match="refused"):
            await plain.house.read(account, plain.connection)
    finally:
        await run(*allow)
    assert await plain.reads(account) == []
    assert isinstance(await plain.read(account.owner.user_id), Live)


def _execute(tx: Tx, statement: str) -> None:
    tx.exec_driver_sql(statement)


async def test_a_database_that_is_gone_answers_no_plain_read(house: House, tmp_path: Path) -> None:
    database = await open_database(f"sqlite:///{tmp_path / 'empty.db'}")  # it has no tables, as good as gone
    parts = house.holdfast
    reader = PlainReader(database, parts.vault, parts.clock, house.connections, min_ttl=60)
    ask = PlainAsk(house.environment_id, "key", "sandbox", "user", None, "req_1")
    assert await asyncio.gather(*(reader.read(ask) for _ in range(3))) == [None] * 3
    await database.close()
    assert await reader.read(ask) is None


async def test_the_entry_is_written_as_it_is_hashed(plain: Plain) -> None:
    database = plain.house.holdfast.database
    account = await plain.account()
    assert await plain.read(account.owner.user_id)
    (read,) = await plain.reads(account)

    position = (await database.transact(lambda tx: log.by_ids(tx, read.environment_id, [read.id])))[read.id][0]
    runs, rows = await database.transact(lambda tx: sealing.new(tx, position - 1, position))
    if database.dialect == "postgresql":
        assert (rows, [list(run.hashes) for run in runs]) == ([], [[entry_hash(read)]]), "it is hashed where it lies"
    else:
        assert [sealing.hashed(row).hash for row in rows] == [entry_hash(read)]


async def test_reads_of_one_batch_stand_in_one_entry_that_is_hashed_as_it_lies(plain: Plain) -> None:
    """On PostgreSQL; on SQLite each has its own."""
    house, database = plain.house, plain.house.holdfast.database
    accounts = [await plain.account() for _ in range(5)]
    begin = (await database.transact(log.mark)).position
    again = [*accounts, *accounts]
    answers = await asyncio.gather(
        *(plain.read(one.owner.user_id, request_id=f"req_{n}") for n, one in enumerate(again))
    )
    assert [live.secret.reveal() for live in answers if live] == [house.access_of(one) for one in again]
    for number, account in enumerate(accounts):
        found = await plain.reads(account)
        assert sorted(one.request_id for one in found) == [f"req_{number}", f"req_{number + 5}"]
        assert {one.user_id for one in found} == {account.owner.user_id}

    end = (await database.transact(log.mark)).position
    written = await database.transact(lambda tx: log.span(tx, begin, end, limit=100))
    assert len(written) == (1 if database.dialect == "postgresql" else 10)
    if database.dialect == "postgresql":
        runs, rows = await database.transact(lambda tx: sealing.new(tx, begin, end))
        assert (rows, [list(run.hashes) for run in runs]) == ([], [[entry_hash(written[0][1])]])


async def test_what_was_read_in_a_batch_is_known_as_used(plain: Plain) -> None:
    house = plain.house
    used, unused = [await plain.account() for _ in range(4)], await plain.account()
    house.clock.at += 61.5
    assert all(await asyncio.gather(*(plain.read(one.owner.user_id) for one in used)))
    every = [*used, unused]
    listing = store.Listing(account_ids=[one.id for one in every])
    page = await house.holdfast.bulk.page(house.environment_id, listing, limit=10)
    now = house.clock.now()
    assert page.last_uses == {one.id: now - now % 60 for one in used}

    async def left(since: float, limit: int) -> list[str]:
        """Return which of them nobody has used since, page by page."""
        found: list[str] = []
        while True:
            after = found[-1] if found else ""
            more = await house.holdfast.database.transact(
                lambda tx, after=after: store.unused_since(tx, house.environment_id, since, after=after, limit=limit)  # type: ignore[misc]
            )
            found += [one.id for one in more]
            if len(more) < limit:
                return [one.id for one in every if one.id in found]

    for limit in (1, 3, 1000):
        assert await left(now - 1, limit) == [unused.id]
        assert await left(now + 60, limit) == [one.id for one in every]


@pytest.mark.parametrize("names", [(), ("absent", "a/b"), ("\x1d", "\x1e\x1f")], ids=["", "absent", "odd"])
async def test_a_batch_through_several_doors_gives_each_their_own(plain: Plain, names: tuple[str, ...]) -> None:
    house, accounts = plain.house, [await plain.account() for _ in range(6)]
    _, text = await house.holdfast.keys.create(house.environment_id, "another", Actor("operator"))
    other = await house.holdfast.keys.authenticate(text.reveal())
    asks: list[dict[str, Any]] = [
        {"user": one.owner.user_id, "key_id": (plain.key, other)[n % 2].key_id, "min_ttl": (None, 30.0, 1e9)[n % 3]}
        for n, one in enumerate(accounts)
    ]
    asks += [{"user": "nobody", "name": name} for name in names]
    answers = await asyncio.gather(*(plain.read(**ask) for ask in asks))
    assert answers[len(accounts) :] == [None] * len(names)
    for n, (account, live) in enumerate(zip(accounts, answers[: len(accounts)], strict=True)):
        assert (live is None) == (n % 3 == 2), "whose token does not live that long is left to another"
        assert [one.actor.id for one in await plain.reads(account)] == [(plain.key, other)[n % 2].key_id] * (n % 3 != 2)
        assert live is None or live.secret.reveal() == house.access_of(account)


async def test_a_name_that_ends_a_batchs_text_and_goes_on_with_another_key_reads_nothing(plain: Plain) -> None:
    """A batch goes to PostgreSQL as one text; the name is whatever stood in the caller's path."""
    account = await plain.account()
    _, text = await plain.house.holdfast.keys.create(plain.house.environment_id, "another", Actor("operator"))
    other = await plain.house.holdfast.keys.authenticate(text.reveal())
    ended = "\x1e".join(("absent", "f", "", "0", "nobody", "id", "rest"))
    going_on = "\x1e".join((plain.key.environment_id, plain.key.key_id, plain.connection.name))
    ask = plain.read(account.owner.user_id, key_id=other.key_id, name=f"{ended}\x1d{going_on}")
    assert await asyncio.gather(ask, plain.read("nobody", key_id=other.key_id)) == [None, None]
    assert await plain.reads(account) == []


@pytest.mark.parametrize("odd", ['a"b', "a\\b", "tab\there", "\x1d", "\x1e", "\x1f", "ünï ☃ 😀", "],["], ids=ascii)
async def test_a_batch_with_odd_users_is_read_and_told_as_it_is(plain: Plain, odd: str) -> None:
    house = plain.house
    owners = [f"{odd}{opaque(8)}", f"plain{opaque(8)}"]
    accounts = [await house.connect(plain.connection, "read", "offline", owner=Owner.user(one)) for one in owners]
    answers = await asyncio.gather(*(plain.read(one) for one in [*owners, "nobody"]))
    assert answers[2] is None
    for account, live in zip(accounts, answers[:2], strict=True):
        assert live is not None
        assert live.secret.reveal() == house.access_of(account)
        assert [one.user_id for one in await plain.reads(account)] == [account.owner.user_id]


async def test_a_connection_with_rules_for_its_calls_has_no_plain_read_for_one(plain: Plain) -> None:
    account = await plain.account()
    user, house = account.owner.user_id, plain.house

    async def rule(*rules: str) -> None:
        changes = Changes(proxy_rules=rules)
        await house.connections.update(house.environment_id, plain.connection.name, "user", changes, Actor("operator"))

    assert await plain.read(user, proxied=True)
    await rule("GET /a")
    before = len(await plain.reads(account))
    both = await asyncio.gather(*(plain.read(user, proxied=proxied) for proxied in (True, False, True)))
    assert [live is not None for live in both] == [False, True, False]
    assert len(await plain.reads(account)) == before + 1, "what was not handed out is not on record"
    await rule()
    assert await plain.read(user, proxied=True)


async def test_a_connection_whose_calls_may_need_approval_has_no_plain_read_for_one(plain: Plain) -> None:
    account = await plain.account()
    user, house = account.owner.user_id, plain.house

    async def need(*rules: str) -> None:
        changes = Changes(approval_rules=rules)
        await house.connections.update(house.environment_id, plain.connection.name, "user", changes, Actor("operator"))

    await need("DELETE /a")
    both = await asyncio.gather(*(plain.read(user, proxied=proxied) for proxied in (True, False, True)))
    assert [live is not None for live in both] == [False, True, False]
    await need()
    assert await plain.read(user, proxied=True)
