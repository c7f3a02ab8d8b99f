"""The chain on both engines: what somebody does to the log behind our back is named, entry by entry."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from holdfast.clock import FrozenClock
from holdfast.events import Actor, Entry, store
from holdfast.events.order import Order
from holdfast.events.sealing import Checkpoints, Finding, Sealer, Verified, Verifier
from holdfast.events.sealing import sealer as sealing
from holdfast.events.sealing import store as seal_store
from holdfast.events.sealing.checkpoints import from_line
from holdfast.events.sealing.sealer import MOST_ENTRIES
from holdfast.ids import new_id
from holdfast.storage import Database, open_database
from holdfast.storage.migrations import migrate
from holdfast.vault import LocalKeyFile, Vault
from tests.events.test_event_store import CONNECTED, READ, an_entry


@dataclass
class Log:
    """A database with a sealer; `kept` is what was put somewhere else."""

    database: Database
    vault: Vault
    clock: FrozenClock
    environment_id: str
    kept: list[str] = field(default_factory=list)

    @property
    def seal(self) -> int:
        """Entries of a full seal."""
        return MOST_ENTRIES[self.database.dialect]

    @property
    def sealer(self) -> Sealer:
        return Sealer(self.database, self.clock, Order(self.database))

    @property
    def checkpoints(self) -> Checkpoints:
        return Checkpoints(self.database, self.vault, self.clock, interval=3600, sink=self.kept.append)

    async def write(self, count: int, environment_id: str | None = None) -> list[Entry]:
        made = [
            an_entry(
                environment_id or self.environment_id,
                READ if number % 3 else CONNECTED,
                1_790_000_000.0 + number / 7,
                actor=Actor("api_key", new_id()),
                user_id="ünï",
                data={
                    "scopes": ["b", "a"],
                    "n": number,
                    "at": 1_790_000_000.5,
                    "none": None,
                    "deep": {"z": 1, "a": True},
                },
            )
            for number in range(count)
        ]
        await self.database.transact(lambda tx: store.append(tx, *made))
        return made

    async def sealed(self, count: int) -> list[Entry]:
        made = await self.write(count)
        await self.sealer.seal_all()
        return made

    async def verify(self, *, with_kept: bool = False) -> Verified:
        kept = [from_line(line) for line in self.kept] if with_kept else []
        return await Verifier(self.database).verify(self.environment_id, kept)

    async def finding(self, **how: Any) -> Finding:
        found = (await self.verify(**how)).finding
        assert found is not None
        return found

    async def tamper(self, statement: str, **values: Any) -> None:
        """Somebody with the database's password at work."""
        changed = await self.database.transact(lambda tx: tx.execute(text(statement), values).rowcount)
        assert changed > 0

    @property
    def position(self) -> str:
        return "arrival" if self.database.dialect == "postgresql" else "rowid"


@pytest.fixture
async def log(fresh_url: str, tmp_path: Path) -> AsyncIterator[Log]:
    database, clock = await open_database(fresh_url), FrozenClock()
    await migrate(database)
    LocalKeyFile.create(tmp_path / "key")
    vault = Vault(database, LocalKeyFile.load(tmp_path / "key"), clock)
    await vault.start()
    environment_id = new_id()
    await vault.add_environment(environment_id)
    yield Log(database, vault, clock, environment_id)
    await database.close()


async def test_what_nobody_touched_is_as_it_was(log: Log) -> None:
    made = await log.sealed(log.seal * 2 + 10)
    made += await log.sealed(1)
    found = await log.verify()
    assert (found.finding, found.entries, found.seals) == (None, len(made), 4)
    assert await log.sealer.look() is False, "nothing is sealed twice"
    assert (await log.verify()).seals == 4


async def test_what_comes_after_many_numbers_that_were_never_written_is_sealed(log: Log) -> None:
    made = await log.sealed(3)
    if log.database.dialect == "postgresql":  # transactions that drew them were undone
        await log.tamper(f"SELECT setval('entries_arrival', {log.seal * 3})")
    made += await log.write(2)
    await log.sealer.seal_all()
    found = await log.verify()
    assert (found.finding, found.entries, found.seals) == (None, len(made), 2)


async def test_each_environment_has_a_chain_of_its_own(log: Log) -> None:
    other = new_id()
    await log.write(5)
    await log.write(7, other)
    await log.write(5)
    await log.sealer.seal_all()
    assert (await log.verify()).entries == 10
    assert (await Verifier(log.database).verify(other)).entries == 7


@pytest.mark.parametrize(
    "change",
    ["actor_id = 'somebody'", "at = at + 1", "data = '{}'", "action = 'account.updated'", "user_id = 'uni'"],
)
async def test_an_edited_entry_is_named(log: Log, change: str) -> None:
    made = await log.sealed(log.seal + 20)
    for victim in (made[log.seal + 3], made[7]):
        await log.tamper(f"UPDATE entries SET {change} WHERE id = :id", id=victim.id)
        found = await log.finding()
        assert (found.what, found.entry_id) == ("an entry was changed", victim.id)


async def test_a_deleted_entry_is_named(log: Log) -> None:
    made = await log.sealed(log.seal + 20)
    await log.tamper("DELETE FROM entries WHERE id = :id", id=made[log.seal + 3].id)
    found = await log.finding()
    assert (found.what, found.entry_id, found.seal) == ("an entry is missing", made[log.seal + 3].id, 2)


async def test_reordered_entries_are_named(log: Log) -> None:
    made = await log.sealed(20)
    for id_, place in ((made[5].id, -1), (made[6].id, 6), (made[5].id, 7)):
        await log.tamper(f"UPDATE entries SET {log.position} = :place WHERE id = :id", id=id_, place=place)
    found = await log.finding()
    assert (found.what, found.entry_id) == ("an entry is out of its order", made[6].id)


async def test_an_entry_slipped_in_is_named(log: Log) -> None:
    made = await log.sealed(20)
    forged = replace(made[3], id=new_id())
    await log.database.transact(lambda tx: store.append(tx, forged))
    await log.tamper(f"UPDATE entries SET {log.position} = 0 WHERE id = :id", id=forged.id)
    found = await log.finding()
    assert (found.what, found.entry_id) == ("an entry was slipped in behind the seals", forged.id)


async def test_a_changed_seal_is_named_with_its_first_entry(log: Log) -> None:
    made = await log.sealed(log.seal + 20)
    await log.tamper("UPDATE seals SET at = at - 1 WHERE number = 2")
    found = await log.finding()
    assert (found.seal, found.entry_id) == (2, made[log.seal].id)
    await log.tamper("DELETE FROM seals WHERE number = 1")
    assert (await log.finding()).what == "seal 1 is missing"


async def _cut_tail(log: Log, made: list[Entry]) -> None:
    """Whoever knows how this works takes the last entries, their seals, what the cursor knows and the checkpoints."""
    last = await log.database.transact(lambda tx: seal_store.list_seals(tx, log.environment_id, after=0, limit=1))
    for entry in made:
        await log.tamper("DELETE FROM entries WHERE id = :id", id=entry.id)
    await log.tamper("DELETE FROM seals WHERE number = 2")
    await log.tamper("UPDATE log_cursors SET entry_id = :id", id=last[0].entry_ids[-1])
    await log.tamper("DELETE FROM checkpoints WHERE number = 2")


async def test_a_cut_tail_is_shown_by_a_checkpoint_kept_elsewhere(log: Log) -> None:
    first = await log.sealed(10)
    await log.checkpoints.write(now_due=True)
    tail = await log.sealed(5)
    await log.checkpoints.write(now_due=True)
    assert (await log.verify(with_kept=True)).finding is None
    await _cut_tail(log, tail)

    assert (await log.verify()).finding is None, "the database alone cannot know"
    found = await log.finding(with_kept=True)
    assert "the log's tail is cut" in found.what
    assert first[-1].id in found.what
    assert "knows of 15 entries and seal 2; there are 10 and 1" in found.what


async def test_a_tail_cut_without_such_care_is_shown_by_the_database(log: Log) -> None:
    await log.sealed(10)
    tail = await log.sealed(5)
    await log.tamper("DELETE FROM entries WHERE id = :id", id=tail[-1].id)
    assert (await log.finding()).entry_id == tail[-1].id
    await log.tamper("DELETE FROM seals WHERE number = 2")
    assert "tail is cut" in (await log.finding()).what


async def test_a_chain_made_anew_is_shown_by_a_kept_checkpoint(log: Log) -> None:
    made = await log.sealed(10)
    await log.checkpoints.write()
    await log.tamper("DELETE FROM seals")
    await log.tamper("DELETE FROM checkpoints")
    await log.tamper("DELETE FROM log_cursors")
    await log.tamper("UPDATE entries SET user_id = 'nobody' WHERE id = :id", id=made[4].id)
    await log.sealer.seal_all()
    assert (await log.verify()).finding is None
    assert "made anew" in (await log.finding(with_kept=True)).what


async def test_an_altered_checkpoint_is_refused(log: Log) -> None:
    await log.sealed(10)
    await log.checkpoints.write()
    log.kept[0] = log.kept[0].replace('"entries":10', '"entries":9')
    assert "was altered" in (await log.finding(with_kept=True)).what
    await log.tamper("UPDATE checkpoints SET total = 9")
    assert "signature" in (await log.finding()).what


async def test_a_checkpoint_is_made_when_the_last_is_old_enough_and_there_is_more_to_tell(log: Log) -> None:
    await log.sealed(3)
    assert len(await log.checkpoints.write()) == 1
    log.clock.advance(3601)
    assert await log.checkpoints.write() == [], "nothing new"
    await log.sealed(3)
    log.clock.advance(-3000)
    assert await log.checkpoints.write() == [], "not due"
    log.clock.advance(3000)
    assert [made.total for made in await log.checkpoints.write()] == [6]
    assert len(log.kept) == 2


async def test_two_sealers_make_one_chain(log: Log) -> None:
    import asyncio

    made = []
    for _ in range(5):
        made += await log.write(700)
        await asyncio.gather(*(log.sealer.seal_all() for _ in range(3)))
    await log.sealer.seal_all()
    found = await log.verify()
    assert (found.finding, found.entries) == (None, len(made))


async def test_the_private_key_is_stored_sealed_only(log: Log) -> None:
    await log.sealed(1)
    await log.checkpoints.write()
    (key,) = await log.database.transact(lambda tx: seal_store.keys(tx, log.environment_id))
    assert key.secret.data[0] == 1
    assert log.vault.open(key.secret, key.place()).reveal().encode() not in key.secret.data


async def test_a_log_that_goes_on_growing_meanwhile_is_good(log: Log) -> None:
    await log.sealed(log.seal * 2)
    over = asyncio.Event()

    async def write_on() -> None:
        while not over.is_set():
            await log.write(1)
            await log.sealer.look()

    writing = asyncio.ensure_future(write_on())
    found = [(await log.verify()).finding for _ in range(20)]
    over.set()
    await writing
    assert found == [None] * 20


async def test_what_was_sealed_is_in_the_indexes_that_are_summaries(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not is read through by whoever looks for the newest, each time."""
    if log.database.dialect != "postgresql":
        pytest.skip("SQLite has indexes alone")
    monkeypatch.setattr(sealing, "SUMMARIZE_EVERY", 1000)

    async def unknown() -> list[int]:
        """Return the ranges that each did not know of; from now on they do."""
        names = "ix_entries_arrival", "ix_entries_reads"
        query = text("SELECT brin_summarize_new_values(:name)")
        return [await log.database.transact(lambda tx, n=name: tx.scalar(query, {"name": n})) for name in names]

    await log.sealed(2000)
    assert await unknown() == [0, 0]
    await log.write(2000)
    assert min(await unknown()) > 0
