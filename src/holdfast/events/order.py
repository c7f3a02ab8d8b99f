"""Up to where the log is complete.

On PostgreSQL transactions commit in another order than they drew their entries' numbers, so the newest numbers that
can be seen may have a gap that fills later. A reader asks `Order.settled` first and reads no further. Nothing is asked
of whoever writes: the last number drawn is noted, then which transactions are running; when those are over, nothing up
to that number can still come. No lock and no session is involved, so a pooler or a failover changes nothing; and what
is kept is a number of a sequence, which dump and restore keep, never a transaction id, which they do not.
"""

import asyncio

from holdfast.events import store
from holdfast.storage import Database

POLL_SECONDS = 0.005
"""Most transactions are over in less."""
SEALED = "sealed"
"""The sealer's cursor: it has never been moved past what was complete."""


class Order:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._known = 0
        self._waiting: store.Mark | None = None

    async def settled(self, patience: float = 0.5) -> int:
        """Return a position up to which the log is complete, and stays so.

        Waits up to `patience` seconds for transactions that are running; if one goes on longer (it may be of another
        database of the same PostgreSQL), returns what is known from before, and the next call knows more.
        """
        mark = await self._database.transact(store.mark)
        if mark.passed(mark.oldest_running):
            return self._learn(mark)
        until = asyncio.get_running_loop().time() + patience
        while True:
            oldest = await self._database.transact(store.oldest_running)
            if mark.passed(oldest):
                return self._learn(mark)
            waiting = self._waiting
            if waiting is not None and waiting.passed(oldest):
                self._learn(waiting)
                self._waiting = None
            if asyncio.get_running_loop().time() >= until:
                break
            await asyncio.sleep(POLL_SECONDS)
        # Marks of transactions that always overlap would never be passed if each call waited for its own only.
        self._waiting = self._waiting or mark
        if not self._known:
            sealed = await self._database.transact(lambda tx: store.peek_cursor(tx, SEALED))
            return sealed.position if sealed else 0
        return self._known

    def _learn(self, mark: store.Mark) -> int:
        self._known = max(self._known, mark.position)
        return self._known
