"""One HTTP/1.1 connection to a server, and one exchange on it at a time, with nothing held that need not be.

Bytes pass as they come: no decompression, no cookie, no redirect. Reading stops while the taker is slower than the
sender, and writing while the receiver is slower than the giver, so that memory does not grow with a body.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Protocol, cast

import httptools

from holdfast.errors import HoldfastError
from holdfast.outbound.errors import NotSent, ReplyLost

MOST_HEAD_BYTES = 65_536
"""Of a reply's status line and headers, interim replies included."""
MOST_HELD = 262_144
"""Bytes of a reply's body held for a slow taker before reading stops; what arrives with the last of it comes on top."""

_FRAMING = frozenset((b"content-length", b"transfer-encoding"))

Pairs = list[tuple[bytes, bytes]]


class ConnectionStale(ReplyLost):
    """A kept connection was closed before a byte of the answer. Most likely nobody has read the request."""


class Home(Protocol):
    """Where a connection goes after an exchange."""

    def settled(self, wire: "Wire", *, whole: bool) -> None: ...


class Taker(Protocol):
    """Who takes one request's reply from a connection."""

    loop: asyncio.AbstractEventLoop
    is_head: bool
    ready: bool
    """The reply's head is there."""
    touched: float

    def head(self, status: int, headers: Pairs) -> None: ...

    def body(self, data: bytes) -> bool:
        """Take a piece. False = enough for now: reading stops until `Wire.read_on`."""
        ...

    def end(self, *, reusable: bool) -> None: ...

    def abort(self, error: HoldfastError) -> None: ...

    def told(self) -> None:
        """All that one read brought has been handed over."""
        ...


class Exchange:
    """One request's reply, taken as it arrives. `close` must be called once, whatever happened."""

    __slots__ = (
        "_chunks",
        "_held",
        "_tell",
        "_waiting",
        "_wire",
        "complete",
        "deadline",
        "error",
        "headers",
        "heard",
        "is_head",
        "loop",
        "pump",
        "ready",
        "status",
        "touched",
    )

    def __init__(
        self, wire: "Wire", loop: asyncio.AbstractEventLoop, *, is_head: bool, deadline: float, tell: "Tell"
    ) -> None:
        self.loop, self.is_head, self.deadline = loop, is_head, deadline
        self.status, self.headers = 0, cast("Pairs", [])
        self.complete, self.ready = False, False
        self.error: HoldfastError | None = None
        self.touched = loop.time()
        self.pump: asyncio.Task[None] | None = None
        self.heard: Callable[[Exchange], None] | None = None
        """Called once in place of waking somebody: when the reply's head is there, with all that came in one read with
        it, or when the exchange has failed. For whoever has no task that could wait."""
        self._wire: Wire | None = wire
        self._chunks: list[bytes] = []
        self._held = 0
        self._waiting: asyncio.Future[None] | None = None
        self._tell = tell

    async def begun(self) -> None:
        """Wait for the reply's head. Raises what became of the exchange instead."""
        while not self.ready and self.error is None:
            await self._news()
        if self.error is not None and not self.ready:
            raise self.error

    async def take(self) -> bytes:
        """Return what has arrived of the body, waiting for some; b"" at its end. Raises ReplyLost if it is cut off."""
        while not self._chunks:
            if self.complete:
                return b""
            if self.error is not None:
                raise self.error
            await self._news()
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks, self._held = [], 0
        self.touched = self.loop.time()
        if self._wire is not None:
            self._wire.read_on()
        return body

    async def whole(self, most: int) -> bytes | None:
        """Return the body if it is `most` bytes at the most, and leave it to be taken; else None."""
        while not self.complete and self.error is None and self._held <= most:
            await self._news()
        return self.all() if self.complete and self._held <= most else None

    def all(self) -> bytes:
        """Return what has arrived of the body and was not taken, and leave it to be taken."""
        if len(self._chunks) > 1:
            self._chunks = [b"".join(self._chunks)]
        return self._chunks[0] if self._chunks else b""

    def abort(self, error: HoldfastError) -> None:
        """End it now: the connection is closed, and whoever waits is told why."""
        if not self.complete and self.error is None:
            self.error = error
            self._let_go(whole=False)
            self._wake()
            self.told()

    def close(self) -> None:
        """Let go of it: an unfinished one takes its connection down."""
        if not self.complete and self.error is None:
            self.error = ReplyLost("The exchange was ended before its reply was.")
        self._let_go(whole=False)
        self._chunks = []

    async def _news(self) -> None:
        self._waiting = self.loop.create_future()
        try:
            await self._waiting
        finally:
            self._waiting = None

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _let_go(self, *, whole: bool) -> None:
        wire, self._wire = self._wire, None
        if self.pump is not None and not self.pump.done():
            whole = False  # it answered before it was asked to the end: what is still to be written has no place now
            if asyncio.current_task(self.loop) is not self.pump:
                self.pump.cancel()
        if wire is not None:
            self._tell(self)
            wire.leave(whole=whole)

    # What the wire reports

    def told(self) -> None:
        heard = self.heard
        if heard is not None and (self.ready or self.error is not None):
            self.heard = None
            heard(self)

    def head(self, status: int, headers: Pairs) -> None:
        self.status, self.headers, self.ready = status, headers, True
        self._wake()

    def body(self, data: bytes) -> bool:
        """Keep a piece. False = enough for now."""
        self._chunks.append(data)
        self._held += len(data)
        self._wake()
        return self._held < MOST_HELD

    def end(self, *, reusable: bool) -> None:
        self.complete = True
        self._let_go(whole=reusable)
        self._wake()


Tell = Callable[[Exchange], None]


class Wire(asyncio.Protocol):
    """A connection. Between exchanges it rests with its `home`."""

    def __init__(self, home: Home, host: str) -> None:
        self._home, self._host = home, host
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._exchange: Taker | None = None
        self._headers: Pairs = []
        self._head_bytes = 0
        self._interim = False
        self._until_end = False
        self._is_paused = False
        self._heard = False
        self._drained: asyncio.Future[None] | None = None
        self._is_full = False
        self.exchanges = 0
        self.rested_at = 0.0

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def begin(self, exchange: Taker, head: bytes) -> None:
        """Write a request's head, and its body if that is short and comes with it."""
        self._exchange, self._headers, self._head_bytes = exchange, [], 0
        self._interim = self._until_end = self._heard = False
        self.exchanges += 1
        if self._transport is None or self._transport.is_closing():
            exchange.abort(NotSent(f"{self._host} closed the connection before anything was sent."))
        else:
            self._transport.write(head)

    async def give(self, body: AsyncIterator[bytes], length: int | None) -> None:
        """Write a body as it comes; with `length` exactly so much, else in chunks (RFC 9112 section 7.1)."""
        exchange, given = self._exchange, 0
        if exchange is None:
            return
        try:
            async for piece in body:
                if not piece:
                    continue
                given += len(piece)
                if length is not None and given > length:
                    break
                self._write(piece if length is not None else b"%x\r\n%b\r\n" % (len(piece), piece))
                exchange.touched = exchange.loop.time()
                await self._has_room(exchange.loop)
            if length is not None and given != length:
                exchange.abort(ReplyLost("The request's body was not as long as its Content-Length says."))
            elif length is None:
                self._write(b"0\r\n\r\n")
        except HoldfastError as error:
            exchange.abort(error)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    async def _has_room(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._is_full and self.is_open:
            self._drained = loop.create_future()
            await self._drained

    def leave(self, *, whole: bool) -> None:
        """The exchange is over; if it is not whole, what is still under way is not to be read by the next one."""
        self._exchange = None
        if not whole and self._transport is not None:
            self._transport.abort()
        self.read_on()  # a long body may have stopped it at its very end
        self._home.settled(self, whole=whole and self.is_open)

    def read_on(self) -> None:
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def shut(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self.resume_writing()
        exchange = self._exchange
        if exchange is None:
            self._home.settled(self, whole=False)
        elif self._until_end and error is None:
            exchange.end(reusable=False)
            exchange.told()
        elif not self._heard and self.exchanges > 1:
            exchange.abort(ConnectionStale(f"{self._host} closed the connection without an answer."))
        else:
            exchange.abort(ReplyLost(f"{self._host} broke off its answer."))

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def data_received(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is None:  # nobody asked: what it says now would be taken for the next request's answer
            self.shut()
            return
        self._heard = True
        exchange.touched = exchange.loop.time()
        if not exchange.ready:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, ValueError):
            exchange.abort(ReplyLost(f"{self._host} answered with something that is not HTTP/1.1."))
            self.shut()
        if not exchange.ready and self._head_bytes > MOST_HEAD_BYTES:
            exchange.abort(ReplyLost(f"{self._host} answered with headers of more than {MOST_HEAD_BYTES} bytes."))
        exchange.told()  # not from within the parser: what it leads to may use this connection again

    # httptools

    def on_message_begin(self) -> None:
        self._headers = []
        if self._exchange is None:
            raise ValueError("a second answer to one request")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        exchange = self._exchange
        if exchange is None:
            return
        status = self._parser.get_status_code()
        self._interim = status < 200
        if self._interim:
            return
        # What one read brings may be mostly body; only then are the headers counted one by one.
        if self._head_bytes > MOST_HEAD_BYTES and _size(self._headers) > MOST_HEAD_BYTES:
            raise ValueError("too many headers")
        framed = status in (204, 304)
        for name, _ in self._headers:
            if name in _FRAMING:
                framed = True
        self._until_end = not framed
        exchange.head(status, self._headers)
        if exchange.is_head:  # the parser would wait for the body that a HEAD's Content-Length tells of
            exchange.end(reusable=False)

    def on_body(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is not None and not exchange.body(data) and self._transport is not None and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        exchange = self._exchange
        if exchange is not None and not self._interim:
            exchange.end(reusable=self._parser.should_keep_alive())


def _size(headers: Pairs) -> int:
    return sum(len(name) + len(value) for name, value in headers)
