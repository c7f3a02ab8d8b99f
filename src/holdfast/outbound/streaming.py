"""The streaming client: one request and its reply, both of any length, through the same egress guard.

Connections are kept per origin, bounded in number, and made only to an address that was resolved once and checked. A
request is never repeated here, and no redirect is followed.
"""

import asyncio
import ssl

from holdfast import telemetry
from holdfast.outbound.errors import ReplyLost
from holdfast.outbound.origins import Origins, Resolver
from holdfast.outbound.outgoing import Outgoing, written
from holdfast.outbound.wire import Exchange, Wire

_TICK = 0.25
"""How often the time limits are looked at, in seconds: one look for all exchanges, in place of a timer for each."""


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
        self._idle_timeout, self._total_timeout = idle_timeout, total_timeout
        self._origins = Origins(
            allow_private=allow_private,
            connect_timeout=connect_timeout,
            per_origin=per_origin,
            resolver=resolver,
            tls=tls,
        )
        self._active: set[Exchange] = set()
        self._ticking: asyncio.TimerHandle | None = None

    async def close(self) -> None:
        """Close every connection. Exchanges under way fail."""
        for exchange in list(self._active):
            exchange.abort(ReplyLost("The server is being stopped."))
        self._origins.close()
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None

    async def send(self, request: Outgoing) -> Exchange:
        """Send once and return the exchange when the reply's head is there. Whoever gets it closes it.

        Raises Blocked and NotSent (it never left), ReplyLost (it may have arrived).
        """
        target = request.target
        with telemetry.span(
            "outbound", kind="client", method=request.method, host=target.host, port=target.port
        ) as note:
            exchange = await self._sent(request)
            note.set(status=exchange.status)
            return exchange

    def begin(self, request: Outgoing) -> Exchange | None:
        """Send at once, over a connection that is at rest, and return the exchange, whose `heard` is still to be set.

        For a request whose body is None or bytes. None = nothing was sent: there is no such connection. Raises Blocked.
        """
        head = written(request)
        wire = self._origins.rested(request.target)
        if wire is None:
            return None
        exchange = self._exchange(wire, asyncio.get_running_loop(), is_head=request.method == "HEAD")
        try:
            wire.begin(exchange, head + request.body if request.body else head)
        except BaseException:
            exchange.close()
            raise
        return exchange

    async def _sent(self, request: Outgoing) -> Exchange:
        head = written(request)
        loop = asyncio.get_running_loop()
        wire = await self._origins.connected(request.target, loop)
        exchange = self._exchange(wire, loop, is_head=request.method == "HEAD")
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

    def _exchange(self, wire: Wire, loop: asyncio.AbstractEventLoop, *, is_head: bool) -> Exchange:
        exchange = Exchange(
            wire,
            loop,
            is_head=is_head,
            deadline=loop.time() + self._total_timeout,
            tell=self._active.discard,
        )
        self._active.add(exchange)
        if self._ticking is None:
            self._ticking = loop.call_later(_TICK, self._tick, loop)
        return exchange

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for exchange in list(self._active):
            if now > exchange.deadline:
                exchange.abort(ReplyLost("The exchange took longer than is allowed in total."))
            elif now - exchange.touched > self._idle_timeout:
                exchange.abort(ReplyLost(f"Nothing moved for {self._idle_timeout:g} seconds."))
        self._ticking = loop.call_later(_TICK, self._tick, loop) if self._active else None
