"""Many callers' asks made as one. What arrives while one batch is under way forms the next; there is no timer."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from holdfast.storage.engine import is_unavailable

A = TypeVar("A")
T = TypeVar("T")

MOST = 256
"""Asks in one batch: enough to share its cost among, few enough that nobody waits long behind it."""

GATHERING_TURNS = 3
"""Turns of the event loop, some 10 us each, before a batch leaves: what has arrived on other sockets meanwhile comes
along, which makes batches under load half as large again. No timer: an ask that comes alone waits for nothing else."""


class Joined(Generic[A, T]):
    """`run` answers a batch in its order: None for an ask that it leaves to the caller's own means.

    A batch that fails is halved until the ask to blame is alone; that one is answered None, as are all if it is the
    database that is away. So None never says why: whatever the caller does next meets the reason and tells it.
    """

    def __init__(self, run: Callable[[Sequence[A]], Awaitable[Sequence[T | None]]]) -> None:
        self._run_batch = run
        self._waiting: list[tuple[A, asyncio.Future[T | None]]] = []
        self._batches: asyncio.Task[None] | None = None

    async def ask(self, ask: A) -> T | None:
        """Return this ask's answer. A caller who is cancelled leaves the batch as it is."""
        answer: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((ask, answer))
        if self._batches is None:
            self._batches = asyncio.ensure_future(self._run())
        return await answer

    async def _run(self) -> None:
        try:
            while self._waiting:
                for _ in range(GATHERING_TURNS):
                    await asyncio.sleep(0)
                batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                answers = await self._answers([ask for ask, _ in batch])
                for (_, answer), value in zip(batch, answers, strict=True):
                    if not answer.done():
                        answer.set_result(value)
        finally:
            self._batches = None

    async def _answers(self, asks: Sequence[A]) -> Sequence[T | None]:
        try:
            return await self._run_batch(asks)
        except Exception as error:
            if len(asks) == 1 or is_unavailable(error):
                return [None] * len(asks)
            half = len(asks) // 2
            return [*await self._answers(asks[:half]), *await self._answers(asks[half:])]
