"""The streaming client: one request and its reply, both of any length, through the same egress guard.

Connections are kept per origin, bounded in number, and made only to an address that was resolved once and checked. A
request is never repeated here, and no redirect is followed.
"""

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

import msgspec

from holdfast.outbound.client import GetAddrInfo, Resolver
from holdfast.outbound.errors import Blocked, NotSent, ReplyLost
from holdfast.outbound.guard import Target, may_connect, refusal
from holdfast.outbound.wire import Exchange, Pairs, Wire

_IDLE_SECONDS = 4.0
"""How long an unused connection is kept: shorter than servers keep theirs (see `client`)."""
_RESOLVED_SECONDS = 5.0
"""How long checked addresses are used again for new connections to the same name."""
_MOST_NAMES = 1024
_TICK = 0.25
"""How often the time limits are looked at, in seconds: one look for all exchanges, in place of a timer for each."""


class Outgoing(msgspec.Struct, frozen=True):
    """A request as it goes out. `path` is in origin form; the headers lack Host and what frames the body."""

    method: str
    target: Target
    path: bytes
    headers: Pairs
    body: Any = None
    """None, bytes, or an async iterator of bytes."""
    length: int | None = None
    """Of a body that is an iterator; None = sent in chunks."""

    def __repr__(self) -> str:
        return f"Outgoing({self.method} {self.target.host})"


class Streaming:
    """An HTTP/1.1 client for bodies of any length. Reaches what the egress guard allows, as `Outbound` does."""

    def __init__(
        self,
        *,
        allow_private: bool,
        idle_timeout: float,
        total_timeout: float,
        connect_timeout: float = 10.0,
        per_origin: int = 128,
        resolver: Resolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._allow_private = allow_private
        self._idle_timeout, self._total_timeout, self._connect_timeout = idle_timeout, total_timeout, connect_timeout
        self._per_origin = per_origin
        self._resolver = resolver or GetAddrInfo()
        self._tls = tls
        self._pools: dict[tuple[str, str, int], _Pool] = {}
        self._resolved: dict[tuple[str, str], tuple[float, Sequence[str]]] = {}
        self._active: set[Exchange] = set()
        self._ticking: asyncio.TimerHandle | None = None

    async def close(self) -> None:
        """Close every connection. Exchanges under way fail."""
        for exchange in list(self._active):
            exchange.abort(ReplyLost("The server is being stopped."))
        pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            pool.close()
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None

    async def send(self, request: Outgoing) -> Exchange:
        """Send once and return the exchange when the reply's head is there. Whoever gets it closes it.

        Raises Blocked and NotSent (it never left), ReplyLost (it may have arrived).
        """
        head = _head(request)
        loop = asyncio.get_running_loop()
        wire = await self._connected(request.target, loop)
        exchange = Exchange(
            wire,
            loop,
            is_head=request.method == "HEAD",
            deadline=loop.time() + self._total_timeout,
            tell=self._active.discard,
        )
        self._active.add(exchange)
        if self._ticking is None:
            self._ticking = loop.call_later(_TICK, self._tick, loop)
        body = request.body
        try:
            if body is None or isinstance(body, bytes):
                wire.begin(exchange, head + body if body else head)
            else:
                wire.begin(exchange, head)
                exchange.pump = loop.create_task(wire.give(body, request.length))
            await exchange.begun()
        except BaseException:
            exchange.close()
            raise
        return exchange

    async def _connected(self, target: Target, loop: asyncio.AbstractEventLoop) -> Wire:
        key = (target.scheme, target.host, target.port)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = _Pool(self._per_origin, loop)
        wire = pool.resting()
        if wire is not None:
            return wire
        try:
            async with asyncio.timeout(self._connect_timeout):
                wire = await pool.turn()
                if wire is not None:
                    return wire
                try:
                    return await self._connect(target, pool, loop)
                except BaseException:
                    pool.free()
                    raise
        except TimeoutError:
            raise NotSent(f"No connection to {target.host} could be made in time.") from None

    async def _connect(self, target: Target, pool: "_Pool", loop: asyncio.AbstractEventLoop) -> Wire:
        trust = self._trust() if target.scheme == "https" else None
        name = target.host.strip("[]")
        failure = "it has no address"
        for address in await self._addresses(target, loop):
            try:
                _, wire = await loop.create_connection(
                    lambda: Wire(pool, target.host),
                    address,
                    target.port,
                    ssl=trust,
                    server_hostname=name if trust is not None else None,
                )
            except ssl.SSLError:
                raise NotSent(f"{target.host} could not prove its identity over TLS.") from None
            except OSError as error:
                failure = type(error).__name__
            else:
                return wire
        raise NotSent(f"No connection to {target.host} could be made ({failure}).")

    async def _addresses(self, target: Target, loop: asyncio.AbstractEventLoop) -> Sequence[str]:
        """Resolve once, check every answer, and say which addresses may be connected to: these and no others."""
        if target.literal is not None:
            found: Sequence[str] = [str(target.literal)]
        else:
            known = self._resolved.get((target.scheme, target.host))
            if known is not None and known[0] > loop.time():
                return known[1]
            try:
                found = await self._resolver.resolve(target.host, target.port)
            except OSError:
                raise NotSent(f"The name {target.host} could not be resolved.") from None
        # One bad address condemns the name: an honest one does not mix public and private answers.
        for address in found:
            if not may_connect(address, scheme=target.scheme, allow_private=self._allow_private):
                raise Blocked(refusal(target.host, target.scheme))
        checked = [str(ip_address(address)) for address in found]
        if target.literal is None:
            if len(self._resolved) >= _MOST_NAMES:
                self._resolved.clear()
            self._resolved[target.scheme, target.host] = (loop.time() + _RESOLVED_SECONDS, checked)
        return checked

    def _trust(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for exchange in list(self._active):
            if now > exchange.deadline:
                exchange.abort(ReplyLost("The exchange took longer than is allowed in total."))
            elif now - exchange.touched > self._idle_timeout:
                exchange.abort(ReplyLost(f"Nothing moved for {self._idle_timeout:g} seconds."))
        for key, pool in list(self._pools.items()):
            pool.sweep(now - _IDLE_SECONDS)
            if pool.is_empty:
                del self._pools[key]
        self._ticking = loop.call_later(_TICK, self._tick, loop) if self._active or self._pools else None


class _Pool:
    """The connections to one origin: those at rest, and how many there are in all."""

    def __init__(self, most: int, loop: asyncio.AbstractEventLoop) -> None:
        self._most, self._loop = most, loop
        self._resting: list[Wire] = []
        self._taken = 0
        self._waiting: deque[asyncio.Future[Wire | None]] = deque()

    @property
    def is_empty(self) -> bool:
        return not self._resting and not self._taken and not self._waiting

    def resting(self) -> Wire | None:
        """Take the connection that rested last, if there is one that is open and fresh."""
        while self._resting:
            wire = self._resting.pop()
            if wire.is_open and self._loop.time() - wire.rested_at < _IDLE_SECONDS:
                self._taken += 1
                return wire
            wire.shut()
        return None

    async def turn(self) -> Wire | None:
        """Wait until another connection may be opened (None), or one is free. It counts as taken."""
        if self._taken < self._most:
            self._taken += 1
            return None
        waiting: asyncio.Future[Wire | None] = self._loop.create_future()
        self._waiting.append(waiting)
        try:
            return await waiting
        except BaseException:
            if waiting.done() and not waiting.cancelled():
                wire = waiting.result()
                if wire is not None:
                    wire.shut()
                self.free()
            raise

    def settled(self, wire: Wire, *, whole: bool) -> None:
        """A connection's exchange is over, or it was lost while it rested."""
        if wire in self._resting:
            self._resting.remove(wire)
            return
        if wire.rested_at < 0:
            return  # it was counted before: this is the echo of its closing
        if not whole:
            wire.rested_at = -1.0
            self.free()
            return
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(wire)
                return
        self._taken -= 1
        wire.rested_at = self._loop.time()
        self._resting.append(wire)

    def free(self) -> None:
        """A place is free: whoever waits longest takes it."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(None)
                return
        self._taken -= 1

    def sweep(self, before: float) -> None:
        keep = [wire for wire in self._resting if wire.is_open and wire.rested_at >= before]
        gone, self._resting = [wire for wire in self._resting if wire not in keep], keep
        for wire in gone:
            wire.rested_at = -1.0
            wire.shut()

    def close(self) -> None:
        for wire in self._resting:
            wire.rested_at = -1.0
            wire.shut()
        self._resting = []
        while self._waiting:
            with contextlib.suppress(asyncio.InvalidStateError):
                self._waiting.popleft().set_exception(NotSent("The server is being stopped."))


def _head(request: Outgoing) -> bytes:
    """Write the head. Raises Blocked for one that would be read as more, or other, than it is."""
    target = request.target
    usual = 443 if target.scheme == "https" else 80
    host = target.host if target.port == usual else f"{target.host}:{target.port}"
    parts = [request.method.encode("ascii", "replace"), b" ", request.path, b" HTTP/1.1\r\nhost: ", host.encode()]
    lines = 3
    for name, value in request.headers:
        parts += (b"\r\n", name, b": ", value)
        lines += 1
    body = request.body
    if isinstance(body, bytes):
        parts.append(b"\r\ncontent-length: %d" % len(body))
        lines += 1
    elif body is not None:
        framing = b"\r\ntransfer-encoding: chunked" if request.length is None else b""
        parts.append(framing or b"\r\ncontent-length: %d" % (request.length or 0))
        lines += 1
    parts.append(b"\r\n\r\n")
    head = b"".join(parts)
    # As many line ends as we wrote, and no more: whatever a value may hold, it cannot begin a line of its own.
    if head.count(b"\n") != lines or head.count(b"\r") != lines or b"\0" in head or not request.path.startswith(b"/"):
        raise Blocked("The request's path or one of its headers holds a character that is not allowed there.")
    if head.count(b" ", 0, head.find(b"\r")) != 2:
        raise Blocked("The request line holds a space too many.")
    return head
