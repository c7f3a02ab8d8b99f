"""The loops beside the doors. So far one: forgetting attempts and idempotency keys whose time is over."""

import asyncio
import contextlib

import structlog
from sqlalchemy.exc import SQLAlchemyError

from holdfast.accounts import idempotency
from holdfast.authorization import store as attempt_store
from holdfast.clock import Clock
from holdfast.errors import HoldfastError
from holdfast.storage import Connection as Tx
from holdfast.storage import Database

_log = structlog.get_logger("holdfast.worker")

CLEANUP_SECONDS = 300.0
ATTEMPT_AFTERLIFE = 24 * 3600.0
"""Ended attempts are kept for a day, so that an old link can be told from an unknown one."""


class Worker:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.ensure_future(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            try:
                await self.clean_up()
            except (SQLAlchemyError, HoldfastError, OSError) as error:
                _log.warning("cleanup_failed", error=type(error).__name__)
            await asyncio.sleep(CLEANUP_SECONDS)

    async def clean_up(self) -> int:
        """Delete what is over; return how many rows."""
        now = self._clock.now()

        def work(tx: Tx) -> int:
            attempts = attempt_store.forget_before(tx, now - ATTEMPT_AFTERLIFE)
            return attempts + idempotency.forget_before(tx, now - idempotency.LIFETIME)

        return await self._database.transact(work)
