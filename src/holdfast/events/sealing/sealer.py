"""The sealer: takes what is new in the log, in its order, and adds a seal to each environment's chain."""

import asyncio
from collections.abc import Sequence

from holdfast.clock import Clock
from holdfast.events import store as log
from holdfast.events.order import SEALED, Order
from holdfast.events.sealing import store
from holdfast.events.sealing.seal import Hashed, Run, joined, seal_on
from holdfast.storage import Connection as Tx
from holdfast.storage import Database

MOST_ENTRIES = {"postgresql": 4096, "sqlite": 1024}
"""Of a seal, at most: enough to share its transactions among, few enough that neither the event loop nor SQLite's one
writer is held long."""
HASHED_AT_ONCE = 128
"""Entries, some half a millisecond: then whoever waits for the event loop has a turn."""
SUMMARIZE_EVERY = 16_384
"""Entries, before PostgreSQL's summaries are told of new pages; what they do not know of is read each time."""


class Sealer:
    def __init__(self, database: Database, clock: Clock, order: Order) -> None:
        self._database, self._clock, self._order = database, clock, order
        self._most = MOST_ENTRIES[database.dialect]
        self._unsummarized = 0
        self._cursor = -1
        """Where the cursor was last seen, -1 if that is not known."""
        self._read_to = -1
        """From there on no entry has been read; numbers that were drawn and never written may lie before it."""
        self._settled = 0
        """Up to there the log was complete when last asked, and stays so: asked again for less than a seal only."""

    async def look(self) -> bool:
        """Seal the next entries; tell whether there may be more. Of several sealers one adds, the others try again.

        Entries are read and hashed outside the transaction that adds the seals. That one locks the cursor, which is the
        lease, and goes ahead only if it stands where the reading began, which is the fence.
        """
        if self._cursor < 0:
            cursor = await self._database.transact(lambda tx: log.peek_cursor(tx, SEALED))
            self._cursor = self._read_to = cursor.position if cursor else 0
        fresh = self._settled - self._read_to < self._most
        if fresh:
            self._settled = await self._order.settled()
        # By numbers and not by a count: a database that looks for so many entries reads and sorts all that are left.
        up_to = min(self._settled, self._read_to + self._most)
        if up_to <= self._read_to:
            return False
        runs, rows = await self._database.transact(lambda tx: store.new(tx, self._read_to, up_to))
        hashed: list[Hashed] = []
        for start in range(0, len(rows), HASHED_AT_ONCE):
            hashed += map(store.hashed, rows[start : start + HASHED_AT_ONCE])
            await asyncio.sleep(0)
        found = joined(runs, hashed)
        if found:
            expected, self._cursor = self._cursor, -1  # should the transaction fail, or its answer be lost
            self._cursor, added = await self._database.transact(lambda tx: self._add(tx, expected, found))
            if not added:
                self._read_to = self._cursor
                return not fresh
        read, self._read_to = up_to - self._read_to, up_to
        self._unsummarized += read
        if self._unsummarized >= SUMMARIZE_EVERY:
            self._unsummarized = 0
            await self._database.transact(log.summarize)
        return read == self._most or not fresh

    async def seal_all(self) -> None:
        """Seal until nothing that is complete is left."""
        while await self.look():
            pass

    def _add(self, tx: Tx, expected: int, found: Sequence[Run]) -> tuple[int, bool]:
        """Add a seal to each environment's chain. Return where the cursor stands, and whether it was moved: not if
        another sealer is at it (then -1) or has been."""
        cursor = log.take_cursor(tx, SEALED)
        if cursor is None or cursor.position != expected:
            return cursor.position if cursor else -1, False
        now = self._clock.now()
        for run in found:
            store.add_seal(tx, seal_on(store.head(tx, run.environment_id), run, now))
        last = max(found, key=lambda run: run.positions[-1])
        log.move_cursor(tx, SEALED, log.Cursor(last.positions[-1], last.environment_id, last.ids[-1]))
        return last.positions[-1], True
