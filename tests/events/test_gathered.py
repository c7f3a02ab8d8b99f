"""Entries that tell of many reads each: written by batches of reads on PostgreSQL, and each read shown by itself."""

import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

import pytest
from sqlalchemy import update

from holdfast import ids
from holdfast.events import Action, Actor, Entry
from holdfast.events import store as log
from holdfast.events.browse import Look, browse, export, look
from holdfast.events.entry import Line
from holdfast.events.gathered import bits_of, each, marks_of
from holdfast.events.order import Order
from holdfast.events.usage import Roller
from holdfast.events.usage import store as usage
from holdfast.storage import Connection as Tx
from holdfast.storage import Database, open_database
from holdfast.storage.migrations import migrate
from tests.parts.postgres import Postgres

T0 = 1_800_000_000.0
APP = Actor("api_key", "key")
ENVIRONMENT = "E" * 26


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[Database]:
    url = postgres.fresh_database()
    opened = await open_database(url)
    await migrate(opened)
    yield opened
    await opened.close()
    postgres.drop(url)


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
        [_account(read.number), _id(read.ms, place), f"user_{read.number}", f"req_{read.ms}_{place}"]
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
    for ms in range(0, 60, 2):
        places = chance.sample(range(100), 12)
        mine, theirs, alone = sorted(places[:6]), sorted(places[6:10]), places[10:]
        written.append(_gathered([Read(ms, chance.randrange(8)) for _ in mine], mine))
        written.append(_gathered([Read(ms, chance.randrange(8)) for _ in theirs], theirs, "slack"))
        written += [_alone(ms, place, chance.randrange(8)) for place in alone]
    written.append(_alone(70, 0, 3, Action.ACCOUNT_CONNECTED))
    await _write(database, written)
    return sorted((one for entry in written for one in each(entry)), key=lambda one: one.id)


LOOKS = [
    Look(),
    Look(account_id=_account(3)),
    Look(owner="user_5"),
    Look(connection_id="slack"),
    Look(account_id=_account(2), connection_id="github"),
    Look(since=T0 + 0.010, until=T0 + 0.031),
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


@pytest.mark.parametrize("limit", [1, 7, 1000])
@pytest.mark.parametrize("wanted", LOOKS, ids=str)
async def test_each_read_is_shown_once_and_in_order_whichever_way_the_pages_go(
    database: Database, story: list[Entry], wanted: Look, limit: int
) -> None:
    wanted = replace(wanted, actions=(Action.CREDENTIAL_READ,))
    forth: list[str] = []
    while True:
        edge = forth[-1] if forth else ""
        page = await database.transact(lambda tx, edge=edge: browse(tx, ENVIRONMENT, wanted, limit=limit, after=edge))
        forth += [one.id for one in page.entries]
        if page.further is None:
            break
    assert forth == _wanted(story, wanted)
    back: list[str] = forth[-1:]
    while True:
        found = await database.transact(
            lambda tx, edge=back[0] if back else "": browse(tx, ENVIRONMENT, wanted, limit=limit, before=edge)
        )
        if not back or not found.entries:
            break
        back = [one.id for one in found.entries] + back
    assert back == forth


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


@pytest.mark.parametrize("of", [{"owner": "user_6"}, {"account_id": _account(6)}], ids=str)
async def test_a_look_that_ends_early_says_where_it_goes_on(
    database: Database, story: list[Entry], monkeypatch: pytest.MonkeyPatch, of: dict[str, str]
) -> None:
    monkeypatch.setattr("holdfast.events.browse.reads.MOST_LOOKED_THROUGH", 5)
    wanted = Look(actions=(Action.CREDENTIAL_READ,), **of)  # type: ignore[arg-type]
    found: list[str] = []
    pages, after = 0, ""
    while True:
        page = await database.transact(lambda tx, after=after: browse(tx, ENVIRONMENT, wanted, limit=1000, after=after))
        found, pages = found + [one.id for one in page.entries], pages + 1
        if page.further is None:
            break
        after = page.further
    assert found == _wanted(story, Look(**of))  # type: ignore[arg-type]
    assert pages > 5
    assert look.MOST_LOOKED_THROUGH == 10_000


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
