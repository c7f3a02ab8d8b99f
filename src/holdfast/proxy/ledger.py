"""The closing entries of calls, written many at once and waited for by nobody.

Nothing hangs on their moment: the entry of the credential's read was durable before the call was sent. Where they
cannot be written they are kept, and when too many are kept, calls are refused rather than made without a record.
"""

import asyncio
from collections.abc import Sequence

import structlog

from holdfast.errors import Unavailable
from holdfast.events import store as log
from holdfast.events.entry import Line
from holdfast.storage import Database
from holdfast.storage.engine import is_refused

_log = structlog.get_logger("holdfast.proxy")

PAUSE_SECONDS = 0.05
"""Between two writes: long enough to share a commit, short enough that a reader of the log hardly notices."""
MOST_AT_ONCE = 500
MOST_KEPT = 20_000
"""Entries waiting for a database that is away: some 10 MB."""


class Ledger:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: list[Line] = []
        self._tried = 0
        """So many of the first were tried to be written before, and may have been."""
        self._writing: asyncio.Task[None] | None = None

    def check(self) -> None:
        """Raises Unavailable if the log is too far behind to take more."""
        if len(self._kept) >= MOST_KEPT:
            raise Unavailable("the log cannot be written just now, and no call is made without it", retry_after=5.0)

    def add(self, line: Line) -> None:
        self._kept.append(line)
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
                again, self._tried = self._tried > 0, max(self._tried, len(batch))
                try:
                    await self._database.direct(log.Appending(batch, again))
                except Exception as error:
                    _log.error("proxy_entries_not_written", waiting=len(self._kept), error=type(error).__name__)
                    if is_refused(error):  # one of them is to blame, and the others must not wait for it
                        self._forget(batch)
                        await self._one_by_one(batch)
                    else:
                        pause = min(5.0, pause * 2)
                else:
                    self._forget(batch)
                    pause = PAUSE_SECONDS
        finally:
            self._writing = None

    def _forget(self, batch: Sequence[Line]) -> None:
        del self._kept[: len(batch)]
        self._tried = max(0, self._tried - len(batch))

    async def _one_by_one(self, batch: Sequence[Line]) -> None:
        for line in batch:
            try:
                await self._database.direct(log.Appending([line], again=True))
            except Exception as error:
                _log.error("proxy_entry_lost", request_id=line.request_id, error=type(error).__name__)
