"""Entries that tell of many reads each: written by batches of reads on PostgreSQL, and each read shown by itself."""

import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import pytest
from sqlalchemy import text, update

from holdfast import ids
from holdfast.clock import FrozenClock
from holdfast.events import Action, Actor, Entry
from holdfast.events import store as log
from holdfast.events.browse import Look, browse, export
from holdfast.events.browse.store import look
from holdfast.events.entry import Line
from holdfast.events.gathered import bits_of, each, marks_of, most_gathered
from holdfast.events.order import Order
from holdfast.events.sealing import Sealer, Verifier
from holdfast.events.usage import Roller
from holdfast.events.usage import store as usage
from holdfast.storage import Connection as Tx
from holdfast.storage import Database, open_database
from holdfast.storage.migrations import migrate
from tests.parts.postgres import Postgres

T0 = 1_800_000_000.0
APP = Actor("api_key", "key")
ENVIRONMENT = "E" * 26


@pytest.fixture(scope="module")
async def emptied(postgres: Postgres) -> AsyncIterator[Database]:
    url = postgres.fresh_database()
    opened = await open_database(url)
    await migrate(opened)
    yield opened
    await opened.close()
    postgres.drop(url)


@pytest.fixture
async def database(emptied: Database) -> Database:
    """An empty log: here it is looked at as a whole."""
    await emptied.transact(lambda tx: tx.execute(text("TRUNCATE entries, seals, log_cursors, usage_hours")))
    return emptied


def _account(number: int) -> str:
    return f"A{number:025}"


@dataclass(frozen=True)
class Read:
    """One read: when (milliseconds after T0), and of which account's, its owner's number being the same."""

    ms: int
    number: int


def _gathered(reads: Sequence[Read], places: Sequence[int], name: str = "github") -> Entry:
    """Return an entry that tells of these reads, which are of one millisecond; `places` are their ids' last digits."""
    at = T0 + reads[0].ms / 1000
    told = [
        [_account(read.number), _id(read.ms, place), f"user_{read.number}", "" if place % 2 else f"req_{place}"]
        for read, place in zip(reads, places, strict=True)
    ]
    return Entry(
        environment_id=ENVIRONMENT,
        id=told[0][1],
        at=at,
        action=Action.CREDENTIAL_READ,
        actor=APP,
        connection_id=name,
        data={"connection": name, "count": len(told), "method": "oauth", "reads": told},
    )


def _alone(ms: int, place: int, number: int, action: Action = Action.CREDENTIAL_READ) -> Entry:
    return Entry(
        environment_id=ENVIRONMENT,
        id=_id(ms, place),
        at=T0 + ms / 1000,
        action=action,
        actor=APP,
        account_id=_account(number),
        connection_id="github",
        user_id=f"user_{number}",
        data={"connection": "github", "method": "oauth"},
    )


def _id(ms: int, place: int) -> str:
    return ids.encode(((int(T0 * 1000) + ms) << 80) + place)


async def _write(database: Database, entries: Sequence[Entry]) -> None:
    def mark(tx: Tx) -> None:
        for entry in entries:
            if "reads" in entry.data:
                marks = marks_of(read[2] for read in entry.data["reads"])
                tx.execute(update(log.entries).where(log.entries.c.id == entry.id).values(marks=marks))

    await database.direct(log.Appending([*map(Line.of, entries)]))
    await database.transact(mark)


@pytest.fixture
async def story(database: Database) -> list[Entry]:
    """Some hundred reads, told of by themselves and together, interleaved within milliseconds; in the order of ids."""
    chance = random.Random(7)
    written: list[Entry] = []
    for ms in range(0, 24, 2):
        places = chance.sample(range(100), 12)
        mine, theirs, alone = sorted(places[:6]), sorted(places[6:10]), places[10:]
        written.append(_gathered([Read(ms, chance.randrange(8)) for _ in mine], mine))
        written.append(_gathered([Read(ms, chance.randrange(8)) for _ in theirs], theirs, "slack"))
        written += [_alone(ms, place, chance.randrange(8)) for place in alone]
    written.append(_alone(70, 0, 3, Action.ACCOUNT_CONNECTED))
    await _write(database, written)
    return sorted((one for entry in written for one in each(entry)), key=lambda one: one.id)


def test_a_request_is_known_by_its_read_unless_it_has_an_id_of_its_own() -> None:
    reads = [Read(4, number) for number in range(4)]
    assert [one.request_id for one in each(_gathered(reads, [10, 11, 12, 13]))] == [
        "req_10",
        f"req_{_id(4, 11)}",
        "req_12",
        f"req_{_id(4, 13)}",
    ]


LOOKS = [
    Look(),
    Look(account_id=_account(3)),
    Look(owner="user_5"),
    Look(connection_id="slack"),
    Look(account_id=_account(2), connection_id="github"),
    Look(since=T0 + 0.006, until=T0 + 0.015),
    Look(owner="nobody"),
    Look(account_id=_account(99)),
]


def _wanted(story: list[Entry], look: Look) -> list[str]:
    return [
        one.id
        for one in reversed(story)
        if one.action is Action.CREDENTIAL_READ
        and (not look.account_id or one.account_id == look.account_id)
        and (not look.owner or one.user_id == look.owner)
        and (not look.connection_id or one.connection_id == look.connection_id)
        and (look.since is None or one.id >= ids.first_at(look.since))
        and (look.until is None or one.id <= ids.first_at(look.until))
    ]


@pytest.mark.parametrize("limit", [2, 7, 1000])
@pytest.mark.parametrize("wanted", LOOKS, ids=str)
async def test_each_read_is_shown_once_and_in_order_whichever_way_the_pages_go(
    database: Database, story: list[Entry], wanted: Look, limit: int
) -> None:
    wanted = replace(wanted, actions=(Action.CREDENTIAL_READ,))
    forth, _ = await _pages(database, wanted, limit)
    assert forth == _wanted(story, wanted)
    if forth:
        assert await _pages_back(database, wanted, limit, forth[-1]) == forth


async def test_what_is_shown_of_a_read_is_what_an_entry_of_its_own_would_say(
    database: Database, story: list[Entry]
) -> None:
    wanted = Look(actions=(Action.CREDENTIAL_READ,), account_id=_account(1))
    page = await database.transact(lambda tx: browse(tx, ENVIRONMENT, wanted, limit=1000))
    assert list(page.entries) == [one for one in reversed(story) if one.account_id == _account(1)]
    one = page.entries[0]
    assert (one.actor, one.user_id, dict(one.data)) == (
        APP,
        "user_1",
        {"connection": one.connection_id, "method": "oauth"},
    )


async def test_with_other_actions_reads_stand_among_them(database: Database, story: list[Entry]) -> None:
    wanted = Look(actions=(Action.CREDENTIAL_READ, Action.ACCOUNT_CONNECTED), account_id=_account(3))
    page = await database.transact(lambda tx: browse(tx, ENVIRONMENT, wanted, limit=1000))
    assert page.entries[0].action is Action.ACCOUNT_CONNECTED
    assert len(page.entries) == 1 + len(_wanted(story, Look(account_id=_account(3))))


async def test_an_export_has_each_read(database: Database, story: list[Entry]) -> None:
    wanted, found, after = Look(actions=(Action.CREDENTIAL_READ,)), [], ""
    while True:
        rows, further = await database.transact(
            lambda tx, after=after: export(tx, ENVIRONMENT, wanted, after=after, limit=50)
        )
        found += [one.id for one in rows]
        if further is None:
            break
        after = further
    assert found == _wanted(story, Look())


async def _pages(database: Database, wanted: Look, limit: int) -> tuple[list[str], int]:
    """Return what all pages show, one after the other, and how many there are."""
    found: list[str] = []
    pages, after = 0, ""
    while True:
        look_on = partial(browse, environment_id=ENVIRONMENT, look=wanted, limit=limit, after=after)
        page = await database.transact(look_on)
        found, pages = found + [one.id for one in page.entries], pages + 1
        if page.further is None:
            return found, pages
        after = page.further


async def _pages_back(database: Database, wanted: Look, limit: int, last: str) -> list[str]:
    """Return what the pages show that lead from an entry to the newest, in the order of `_pages`."""
    found = [last]
    while True:
        look_back = partial(browse, environment_id=ENVIRONMENT, look=wanted, limit=limit, before=found[0])
        page = await database.transact(look_back)
        if not page.entries:
            return found
        found = [one.id for one in page.entries] + found


@pytest.mark.parametrize("limit", [1, 3, 5, 1000])
@pytest.mark.parametrize("of", [{"owner": "user_6"}, {"account_id": _account(6)}], ids=str)
async def test_a_look_that_ends_early_says_where_it_goes_on(
    database: Database, story: list[Entry], monkeypatch: pytest.MonkeyPatch, of: dict[str, str], limit: int
) -> None:
    monkeypatch.setattr("holdfast.events.browse.store.reads.MOST_LOOKED_THROUGH", 5)
    wanted = Look(actions=(Action.CREDENTIAL_READ,), **of)  # type: ignore[arg-type]
    found, pages = await _pages(database, wanted, limit)
    assert found == _wanted(story, wanted)
    assert pages > 2
    assert await _pages_back(database, wanted, limit, found[-1]) == found
    assert look.MOST_LOOKED_THROUGH == 10_000


@pytest.mark.parametrize("limit", [1, 3, 5, 1000])
async def test_lone_reads_do_not_hide_those_that_lie_far_back_among_others(
    database: Database, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """An account is read alone and in a crowd by turns; then come crowds that it is not in."""
    monkeypatch.setattr("holdfast.events.browse.store.reads.MOST_LOOKED_THROUGH", 5)
    written = [_alone(ms, 0, 1) for ms in range(0, 40, 4)]
    written += [_gathered([Read(ms, 1), Read(ms, 2)], [1, 2]) for ms in range(2, 42, 4)]
    written += [_gathered([Read(ms, 3), Read(ms, 4)], [1, 2]) for ms in range(100, 140, 2)]
    await _write(database, written)
    mine = [one.id for entry in written for one in each(entry) if one.account_id == _account(1)]
    wanted = Look(actions=(Action.CREDENTIAL_READ,), account_id=_account(1))
    found, _ = await _pages(database, wanted, limit)
    assert found == sorted(mine, reverse=True)
    assert await _pages_back(database, wanted, limit, found[-1]) == found


@pytest.mark.parametrize("limit", [1, 4, 1000])
async def test_entries_that_were_written_out_of_their_ids_order_are_all_shown(
    database: Database, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr("holdfast.events.browse.store.reads.MOST_LOOKED_THROUGH", 5)
    written = [_alone(ms + swapped, 0, 1) for ms in range(0, 400, 20) for swapped in (13, 0)]
    await _write(database, written)
    wanted = Look(actions=(Action.CREDENTIAL_READ,), account_id=_account(1))
    found, _ = await _pages(database, wanted, limit)
    assert found == sorted((one.id for one in written), reverse=True)
    assert await _pages_back(database, wanted, limit, found[-1]) == found


@pytest.mark.parametrize("marks", [None, bytes(128), b"\xff" * 64])
async def test_marks_that_hide_a_read_are_found_by_whoever_verifies(
    database: Database, story: list[Entry], marks: bytes | None
) -> None:
    await Sealer(database, FrozenClock(T0), Order(database)).seal_all()
    verifier = Verifier(database)
    assert (await verifier.verify(ENVIRONMENT)).finding is None
    gathered = next(one for one in story if one.request_id)

    def change(tx: Tx) -> None:
        tx.execute(update(log.entries).where(log.entries.c.id == gathered.id).values(marks=marks))

    await database.transact(change)
    found = (await verifier.verify(ENVIRONMENT)).finding
    assert found is not None
    assert (found.what, found.entry_id) == ("the marks of an entry were changed", gathered.id)


def test_a_row_of_reads_is_less_than_half_a_page() -> None:
    assert most_gathered(32, 32 * 106) == 32
    assert most_gathered(32, 32 * 135) == 16
    assert most_gathered(128, 128 * 106) == 32
    assert most_gathered(3, 3 * 5000) == 1


async def test_each_read_is_counted(database: Database, story: list[Entry]) -> None:
    await Roller(database, Order(database)).roll()
    found = await database.transact(lambda tx: usage.sums(tx, ENVIRONMENT, since=0, until=2**40, bucket=1))
    reads = {one.connection_id: one.count for one in found if one.action == "credential.read"}
    told = [one.connection_id for one in story if one.action is Action.CREDENTIAL_READ]
    assert reads == {name: told.count(name) for name in ("github", "slack")}


async def test_the_last_entry_that_tells_of_an_account_is_found(database: Database, story: list[Entry]) -> None:
    begin = ids.first_at(T0)
    asked = [(_account(number), f"user_{number}", begin) for number in range(9)]
    found = await database.transact(lambda tx: log.last_told(tx, ENVIRONMENT, asked))
    by_marks = {_account(number) for number in range(8)}
    assert set(found) == by_marks
    for account_id, entry_id in found.items():
        gathered = [one for one in story if one.account_id == account_id and one.request_id]
        assert entry_id[:10] == gathered[-1].id[:10]
    later = [(_account(number), f"user_{number}", ids.first_at(T0 + 3600)) for number in range(9)]
    assert await database.transact(lambda tx: log.last_told(tx, ENVIRONMENT, later)) == {}


def test_marks_hold_those_they_were_made_of_and_few_others() -> None:
    users = [f"user_{number}" for number in range(32)]
    marks = marks_of(users)

    def has(user: str) -> bool:
        return all(marks[bit >> 3] >> (bit & 7) & 1 for bit in bits_of(user))

    assert all(map(has, users))
    assert sum(has(f"somebody_{number}") for number in range(10_000)) < 100
