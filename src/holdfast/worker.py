"""The loops beside the doors: the sweep, the announcements ahead of a consent's end, forgetting attempts,
approvals and idempotency keys whose time is over, and deleting accounts by an environment's policy. Each goes on after
a failure: a database that is away comes back."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import structlog
from sqlalchemy.exc import SQLAlchemyError

from holdfast.accounts import Bulk
from holdfast.accounts.store import idempotency
from holdfast.approvals import store as approval_store
from holdfast.authorization import store as attempt_store
from holdfast.clock import Clock
from holdfast.errors import HoldfastError
from holdfast.events.usage import store as usage
from holdfast.storage import Connection as Tx
from holdfast.storage import Database
from holdfast.tokens import Forecast, Sweep
from holdfast.webhooks.deliveries import store as deliveries

_log = structlog.get_logger("holdfast.worker")

CLEANUP_SECONDS = 300.0
FORECAST_SECONDS = 300.0
"""What it tells of is days ahead."""
DELIVERY_AFTERLIFE = 30 * 86400.0
"""Finished deliveries can be looked at and replayed for a month."""
USAGE_AFTERLIFE = 400 * 86400.0
"""Counts by the hour are kept a little longer than a year."""
ATTEMPT_AFTERLIFE = 24 * 3600.0
"""Ended attempts are kept for a day, so that an old link can be told from an unknown one."""

APPROVAL_AFTERLIFE = 7 * 86400.0
"""What calls that waited for approval held can be looked at for a week after."""


class Loop(NamedTuple):
    """A step that is taken every so many seconds, and what the log calls its failure."""

    seconds: float
    failure: str
    step: Callable[[], Awaitable[object]]


class Worker:
    def __init__(
        self,
        database: Database,
        clock: Clock,
        sweep: Sweep,
        forecast: Forecast,
        bulk: Bulk | None = None,
        *,
        sweep_interval: float,
        cleanup_interval: float = 0,
        others: Sequence[Loop] = (),
    ) -> None:
        self._others = others
        self._database, self._clock = database, clock
        self._sweep, self._forecast, self._sweep_interval = sweep, forecast, sweep_interval
        self._bulk, self._cleanup_interval = bulk, cleanup_interval
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        loops = [self._every(CLEANUP_SECONDS, "cleanup_failed", self.clean_up)]
        if self._bulk is not None and self._cleanup_interval:
            loops.append(self._every(self._cleanup_interval, "account_cleanup_failed", self._bulk.clean_up_everywhere))
        if self._sweep_interval:
            loops.append(self._every(FORECAST_SECONDS, "forecast_failed", self._forecast.announce))
            loops.append(self._every(self._sweep_interval, "sweep_failed", self._sweep_through))
        loops += [self._every(*other) for other in self._others]
        self._tasks = [asyncio.ensure_future(loop) for loop in loops]

    async def stop(self, seconds: float = 5.0) -> None:
        """End the loops between two steps, and hand back what the sweep had queued. Refreshes under way go on: it is
        for the refresher's drain to wait for them."""
        self._stopping.set()
        self._sweep.close()  # first, so that a look which is under way queues nothing that would begin
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=seconds)
            for task in late:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        await self._sweep.stop(seconds)

    async def _every(self, seconds: float, failure: str, step: Callable[[], Awaitable[object]]) -> None:
        while not self._stopping.is_set():
            try:
                await step()
            except (SQLAlchemyError, HoldfastError, OSError) as error:
                _log.warning(failure, error=type(error).__name__)
            except Exception as error:  # a fault of ours: the loop would end in silence, and tokens after it
                _log.error(failure, error=type(error).__name__)
            await self._pause(seconds, self._stopping.wait())

    async def _sweep_through(self) -> None:
        """Look as long as there is more, each time that there is room."""
        while await self._sweep.look() and not self._stopping.is_set():
            await self._pause(self._sweep_interval, self._sweep.room())

    async def _pause(self, seconds: float, unless: Awaitable[object]) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(unless, seconds)

    async def clean_up(self) -> int:
        """Delete what is over, and credentials that nobody came to finish with; return how many rows."""
        now = self._clock.now()

        def work(tx: Tx) -> int:
            attempt_store.drop_pending(tx, now)
            attempts = attempt_store.forget_before(tx, now - ATTEMPT_AFTERLIFE)
            attempts += approval_store.forget_before(tx, now - APPROVAL_AFTERLIFE)
            attempts += deliveries.forget_before(tx, now - DELIVERY_AFTERLIFE)
            attempts += usage.forget_before(tx, int((now - USAGE_AFTERLIFE) // 3600))
            return attempts + idempotency.forget_before(tx, now - idempotency.LIFETIME)

        return await self._database.transact(work)
