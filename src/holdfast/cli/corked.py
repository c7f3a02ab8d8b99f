"""What one turn of the loop writes, joined. uvicorn writes a reply's head and body apart, and the second system call is
a good part of what a small reply costs."""

import asyncio
from weakref import WeakKeyDictionary

MOST_CORKED_BYTES = 65_536
"""Held back in one turn of the loop at most; more is written at once, so that back-pressure is felt."""
MOST_CORKED = 16
"""Connections whose replies are held back: half of a usual batch. Who receives them can begin while others are made."""


class _Turn:
    """What is written in one turn of a loop, to whomever: it goes out in one go when the turn is over.

    Replies come by the batch. Were each sent as soon as it is made, whoever receives them, and the database on its
    core, would be woken and put to sleep again for each. Were all sent at the end, a receiver on another core would
    wait for work meanwhile: so they go by the `MOST_CORKED`.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._corked: list[Corked] = []
        self.is_begun = False
        """Whether anything has been written in this turn."""

    def begin(self) -> None:
        self.is_begun = True
        self._loop.call_soon(self._end)

    def add(self, corked: "Corked") -> None:
        if not self.is_begun:
            self.begin()
        if len(self._corked) >= MOST_CORKED:
            self._flush()
        self._corked.append(corked)

    def _end(self) -> None:
        self.is_begun = False
        self._flush()

    def _flush(self) -> None:
        corked, self._corked = self._corked, []
        for one in corked:
            one.flush()


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, _Turn] = WeakKeyDictionary()


class Corked:
    """What the protocols use of a transport, with writes that wait for the end of the loop's turn and go out as one.
    Closing writes them first.

    The transport's own methods stand here one by one: with a `__getattr__`, Python would look each attribute up slowly.
    """

    __slots__ = (
        "_held",
        "_size",
        "_transport",
        "_turn",
        "abort",
        "get_extra_info",
        "is_closing",
        "pause_reading",
        "resume_reading",
        "set_protocol",
    )

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self.abort, self.is_closing = transport.abort, transport.is_closing
        self.get_extra_info, self.set_protocol = transport.get_extra_info, transport.set_protocol
        self.pause_reading, self.resume_reading = transport.pause_reading, transport.resume_reading
        turn = _turns.get(loop)
        if turn is None:
            turn = _turns[loop] = _Turn(loop)
        self._turn = turn
        self._held: bytes | list[bytes] | None = None
        self._size = 0

    def write(self, data: bytes) -> None:
        held = self._held
        if held is None:
            self._turn.add(self)
            self._held = data
        elif isinstance(held, list):
            held.append(data)
        else:
            self._held = [held, data]
        self._size += len(data)
        if self._size > MOST_CORKED_BYTES:
            self.flush()

    def write_whole(self, data: bytes) -> None:
        """Write what nothing more belongs to: the first of a turn goes at once, and may well be the only one."""
        turn = self._turn
        if self._held is not None or len(data) > MOST_CORKED_BYTES:
            self.write(data)
        elif turn.is_begun:
            self._held, self._size = data, len(data)
            turn.add(self)
        else:
            turn.begin()
            self._transport.write(data)

    def flush(self) -> None:
        held = self._held
        if held is not None:
            self._held, self._size = None, 0
            self._transport.write(b"".join(held) if isinstance(held, list) else held)

    def close(self) -> None:
        self.flush()
        self._transport.close()
