"""Plain reads, many at once: which go together and when, and what their common entry tells."""

import asyncio
from typing import Any

import pytest

from holdfast.accounts import Owner, store
from holdfast.events import Actor
from holdfast.events import store as log
from holdfast.events.gathered import MOST_BYTES, each
from holdfast.events.sealing import store as sealing
from holdfast.events.sealing.seal import entry_hash
from holdfast.ids import opaque
from holdfast.tokens import Live, PlainAsk
from holdfast.tokens.plain import MOST_IN_FLIGHT, MOST_READS
from holdfast.tokens.store import Found, PlainReads
from tests.tokens.house import House
from tests.tokens.plain import Plain


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

    async def direct(self, work: PlainReads, *, shielded: bool = True) -> list[Found]:
        self.sizes.append(len(work.users))
        return await self._database.direct(work, shielded=shielded)


async def test_a_crowd_goes_in_two_equal_batches_of_which_the_database_has_one(plain: Plain) -> None:
    user, database = (await plain.account()).owner.user_id, _Counted(plain.house)
    plain.reader = plain.reader_of(database)

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


class _Leaving:
    """The house's database, which tells when a batch's statement is handed to the driver."""

    def __init__(self, house: House, told: list[str]) -> None:
        self._database, self._told = house.holdfast.database, told
        self.dialect = self._database.dialect

    async def direct(self, work: PlainReads, *, shielded: bool = True) -> list[Found]:
        if self.dialect == "sqlite":
            self._told.append("left")
        return await self._database.direct(_Telling(work, self._told), shielded=shielded)


class _Telling:
    def __init__(self, work: PlainReads, told: list[str]) -> None:
        self._told, self._work = told, work
        self.on_sqlite = work.on_sqlite

    async def on_postgres(self, raw: Any) -> list[Found]:
        self._told.append("left")
        return await self._work.on_postgres(raw)


async def test_the_next_batch_leaves_before_those_of_the_last_are_answered(plain: Plain) -> None:
    user, told = (await plain.account()).owner.user_id, list[str]()
    database = _Leaving(plain.house, told)
    reader = plain.reader_of(database)
    ask = PlainAsk(plain.key.environment_id, plain.key.key_id, plain.connection.name, user, None, "")
    batches = MOST_IN_FLIGHT[database.dialect]
    reads = (batches + 1) * MOST_READS
    for _ in range(reads):
        reader.begin(ask, lambda found: told.append("answered" if found else "failed"))
    while len(told) < reads + batches + 1:
        await asyncio.sleep(0.001)
    assert told.count("left") == told.index("answered") == batches + 1, told
    assert told.count("answered") == reads


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


async def test_reads_that_are_long_to_tell_of_stand_in_several_entries_of_less_than_half_a_page(plain: Plain) -> None:
    house, database = plain.house, plain.house.holdfast.database
    owners = [Owner.user(f"{number}_{'long' * 60}_{opaque(8)}") for number in range(3)]
    accounts = [await house.connect(plain.connection, "read", "offline", owner=owner) for owner in owners]
    begin = (await database.transact(log.mark)).position
    users = ["nobody", *[owners[number % 3].user_id for number in range(29)]]
    answers = await asyncio.gather(*(plain.read(user, request_id=f"req_{n}") for n, user in enumerate(users)))
    assert answers[0] is None
    assert [live.secret.reveal() for live in answers if live] == [house.access_of(accounts[n % 3]) for n in range(29)]

    end = (await database.transact(log.mark)).position
    written = [entry for _, entry in await database.transact(lambda tx: log.span(tx, begin, end, limit=100))]
    reads = [one for entry in written for one in each(entry)]
    assert sorted(int(one.request_id[4:]) for one in reads) == list(range(1, 30))
    assert all(one.user_id == users[int(one.request_id[4:])] for one in reads)
    assert len({one.id for one in reads}) == 29
    if database.dialect == "postgresql":
        assert 1 < len(written) < 29
        assert all(len(str(entry.data["reads"])) < MOST_BYTES * 1.2 for entry in written)
        assert all(entry.id == min(one.id for one in each(entry)) for entry in written)


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
