"""The closing entries of calls, written many at once and waited for by nobody.

Nothing hangs on their moment: the entry of the credential's read was durable before the call was sent. Where they
cannot be written they are kept, and when too many are kept, calls are refused rather than made without a record.
"""

import asyncio
from collections.abc import Sequence

import structlog

from holdfast.clock import Clock
from holdfast.errors import Unavailable
from holdfast.events import Entry
from holdfast.events import store as log
from holdfast.storage import Database
from holdfast.storage.engine import is_refused

_log = structlog.get_logger("holdfast.proxy")

PAUSE_SECONDS = 0.05
"""Between two writes: long enough to share a commit, short enough that a reader of the log hardly notices."""
MOST_AT_ONCE = 500
MOST_KEPT = 20_000
"""Entries waiting for a database that is away: some 10 MB."""


class Ledger:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._kept: list[Entry] = []
        self._writing: asyncio.Task[None] | None = None

    def check(self) -> None:
        """Raises Unavailable if the log is too far behind to take more."""
        if len(self._kept) >= MOST_KEPT:
            raise Unavailable("the log cannot be written just now, and no call is made without it", retry_after=5.0)

    def add(self, entry: Entry) -> None:
        self._kept.append(entry)
        if self._writing is None:
            self._writing = asyncio.ensure_future(self._write())

    async def drain(self, seconds: float) -> None:
        """Wait until what is kept is written."""
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=seconds)

    async def _write(self) -> None:
        pause = PAUSE_SECONDS
        try:
            while self._kept:
                await asyncio.sleep(pause)
                batch = self._kept[:MOST_AT_ONCE]
                try:
                    await self._append(batch)
                except Exception as error:
                    _log.error("proxy_entries_not_written", waiting=len(self._kept), error=type(error).__name__)
                    if is_refused(error):  # one of them is to blame, and the others must not wait for it
                        del self._kept[: len(batch)]
                        await self._one_by_one(batch)
                    else:
                        pause = min(5.0, pause * 2)
                else:
                    del self._kept[: len(batch)]
                    pause = PAUSE_SECONDS
        finally:
            self._writing = None

    async def _one_by_one(self, batch: Sequence[Entry]) -> None:
        for entry in batch:
            try:
                await self._append([entry])
            except Exception as error:
                _log.error("proxy_entry_lost", request_id=entry.request_id, error=type(error).__name__)

    async def _append(self, batch: Sequence[Entry]) -> None:
        await self._database.direct(log.Appending(batch))
