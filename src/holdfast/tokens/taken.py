"""Work that is taken from a queue in the database, and done so many pieces at once."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Taken(Generic[T]):
    """`take` takes up to so many pieces away, at least one; `do` does a piece, and does not raise."""

    def __init__(
        self,
        take: Callable[[int], Awaitable[Sequence[T]]],
        do: Callable[[T], Coroutine[Any, Any, None]],
        *,
        at_once: int,
    ) -> None:
        self._take, self._do, self._at_once = take, do, at_once
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def run(self) -> None:
        """Take and do until there is nothing to do."""
        while not self._closed:
            room = self._at_once - len(self._tasks)
            taken = await self._take(room) if room > 0 else ()
            for one in taken:
                task = asyncio.ensure_future(self._do(one))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            if not taken and not self._tasks:
                return
            if self._tasks:
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED, timeout=1.0)

    async def stop(self, seconds: float) -> None:
        """Take nothing any more, and wait for what is under way."""
        self._closed = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
