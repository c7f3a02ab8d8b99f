"""Rolling up: what is new in the log is added to the counts."""

from holdfast.events import store as log
from holdfast.events.order import Order
from holdfast.events.usage import store
from holdfast.storage import Connection as Tx
from holdfast.storage import Database

CURSOR = "usage"
STRETCH = 10_000
"""Positions counted by one transaction: SQLite's one writer is held some 15 ms by it."""


class Roller:
    def __init__(self, database: Database, order: Order, *, stretch: int = STRETCH) -> None:
        self._database, self._order, self._stretch = database, order, stretch
        self._seen = -1

    async def look(self) -> bool:
        """Count the next stretch of the log; tell whether there is more. Of several replicas one works."""
        up_to = await self._order.settled()
        if up_to == self._seen:
            return False
        end = await self._database.transact(lambda tx: self._count(tx, up_to))
        if end is not None and end >= up_to:
            self._seen = up_to
        return end is not None and end < up_to

    async def roll(self) -> None:
        """Count until nothing that is complete is left."""
        while await self.look():
            pass

    def _count(self, tx: Tx, up_to: int) -> int | None:
        """Return up to where the log is counted now; None if another replica is at it."""
        cursor = log.take_cursor(tx, CURSOR)
        if cursor is None:
            return None
        if cursor.position >= up_to:
            return cursor.position
        end = min(up_to, cursor.position + self._stretch)
        log.move_cursor(tx, CURSOR, store.count(tx, cursor.position, end))
        return end
