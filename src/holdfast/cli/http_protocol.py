"""uvicorn's HTTP protocol with a bound on what a request may hold before its body: address and headers; and with what
one turn of the loop writes joined (`cli.corked`); and with a way for an app to answer a request without a task of its
own (`cli.exchange`).

httptools itself has no bound, so a caller without a key could fill the memory with one header that never ends.
"""

import asyncio
from typing import Any

from starlette.types import ASGIApp, Scope
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from holdfast.api.dispatch import WHOLE, AtOnce, Begin
from holdfast.cli.corked import Corked
from holdfast.cli.exchange import Again, Exchange, Head, shared_by

MOST_HEAD_BYTES = 65_536
"""Twice what browsers and proxies allow. What arrives with the last of it is let through: the bound is on memory."""
IDLE_SECONDS = 75
"""Longer than the minute for which load balancers usually keep a connection that they use again: closing first would
race with their next request. https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html"""
HEAD_SECONDS = 15.0
"""For a request's head: from its first bytes, and on a new connection from the start. What says nothing, or a header
line a minute, would be held for ever. HTTP/2 has as long for its preface."""
MOST_KNOWN_HEADS = 8
"""On a connection: the heads of one caller's requests differ in the length of the body."""
LONGEST_KNOWN_HEAD = 4096


class BoundedHttpProtocol(HttpToolsProtocol):
    """Its own state is in slots: with it in uvicorn's dictionary as well, that would outgrow the thirty names that
    instances share, and each connection would have a table of its own, six times as large."""

    __slots__ = (
        "_at_once",
        "_begun",
        "_between",
        "_head_bytes",
        "_head_ends",
        "_heads",
        "_held",
        "_idle_since",
        "_in_head",
        "_last",
        "_shared",
        "_timer",
    )

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        app: Any = self.app
        self._at_once: AtOnce | None = app if isinstance(app, AtOnce) else None
        self._shared = shared_by(server_state)
        self._heads: dict[bytes, Head] = {}
        # Of these the one that came last; None where none is known.
        self._last: Head | None = None
        # Whether no request is partly read: the parser is where it began.
        self._between = True
        # A request that the app took at once, out of the bytes that are being read.
        self._begun: Exchange | None = None
        # By the loop's clock; None while a request is to be read or answered. What still comes of one that was answered
        # before it was whole is nobody's any more, and counts as nothing.
        self._idle_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._in_head, self._head_bytes = True, 0
        self._head_ends: asyncio.TimerHandle | None = None
        # A request that waits for its body, and what then begins with it.
        self._held: tuple[RequestResponseCycle, Exchange, Begin] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(Corked(transport, self.loop))  # type: ignore[arg-type]
        self.timeout_keep_alive = IDLE_SECONDS
        self._head_ends = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._in_time()
        super().connection_lost(exc)
        self._heads.clear()
        self._last = None
        if self.cycle is not None and self.cycle.response_complete:
            self.cycle = None  # type: ignore[assignment]  # with its head, and the key in that
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _in_time(self) -> None:
        if self._head_ends is not None:
            self._head_ends.cancel()
            self._head_ends = None

    def data_received(self, data: bytes) -> None:
        whole = self._between
        head = self._last
        if whole and head is not None and not self._head_bytes:
            if not data.startswith(head.raw):
                head = self._heads.get(data[: data.find(b"\r\n\r\n") + 4])
            if head is not None and len(data) == len(head.raw) + head.length:
                self._last = head
                if self._came_again(head, data[len(head.raw) :]):
                    return
        self._head_bytes += len(data)  # set back below where a head ends within this data
        super().data_received(data)
        begun, self._begun = self._begun, None
        if begun is not None and whole and self._between:
            self._remember(begun, data)
        if not self._in_head or not self._head_bytes or self.transport.is_closing():
            return
        if self._head_bytes > MOST_HEAD_BYTES:
            self.send_400_response("The request's headers are too large.")
        elif self._head_ends is None:
            self._head_ends = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _remember(self, begun: Exchange, data: bytes) -> None:
        """Keep the head of a request that was these bytes and no others, its body as it is: not in chunks."""
        end = data.find(b"\r\n\r\n") + 4
        length = next((value for name, value in begun.scope["headers"] if name == b"content-length"), b"")
        if self.limit_concurrency is None and end <= LONGEST_KNOWN_HEAD and length == b"%d" % (len(data) - end):
            if len(self._heads) >= MOST_KNOWN_HEADS:
                self._heads.clear()
            head = self._shared.heads.get(data[:end])
            if head is None:
                head = Head(data[:end], begun.scope, len(data) - end, begun.kept)
                self._shared.heads[head.raw] = head
            self._heads[head.raw] = self._last = head

    def _came_again(self, head: Head, body: bytes) -> bool:
        """Begin with a request whose head is known, as if it had been parsed. False = nothing was done: parse it."""
        app = self._at_once
        if app is None or not self.cycle.response_complete or self.pipeline:
            return False
        exchange = Again(self, head, body, head.kept)
        begin = app.wants(exchange)
        if begin is None:
            return False
        self._idle_since = None
        self.cycle = exchange  # type: ignore[assignment]
        if not begin(exchange, body):
            exchange.otherwise(self.app)
        return True

    def cycle_of(self, scope: Scope, body: bytes) -> RequestResponseCycle:
        """Return what uvicorn makes for a request that has come whole."""
        cycle = RequestResponseCycle(
            scope=scope,  # type: ignore[arg-type]
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=True,
            on_response=self.on_response_complete,
        )
        cycle.message_event.set()
        cycle.body, cycle.more_body = bytearray(body), False
        return cycle

    # An idle connection is ended by one timer, which looks how long it has been idle, and not by one for each reply.

    def _unset_keepalive_if_required(self) -> None:
        """Called for whatever is received. What ends an idle time is a request: see where its parts are read."""

    def on_response_complete(self) -> None:
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        if self.flow.read_paused:
            self.flow.resume_reading()
        self._idle_since = self.loop.time()
        if self._timer is None:
            self._timer = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        self._timer = None
        if self._idle_since is None:
            return
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._timer = self.loop.call_later(left, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def on_message_begin(self) -> None:
        self._between = False
        self._begun = self._idle_since = None
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._idle_since = None  # the reply before this may have ended within the head
        self._in_time()
        self.scope[WHOLE] = self.send_whole_of  # type: ignore[literal-required]
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Begin with a request; but leave one that the app wants at once until its body is whole.

        A caller who waits to be told to go on, or a connection that ends with the reply, goes the ordinary way.
        """
        usual = cycle.keep_alive and cycle.more_body and not cycle.waiting_for_100_continue
        if usual and self._at_once is not None and app is self._at_once:
            exchange = Exchange(self, cycle)
            begin = self._at_once.wants(exchange)
            if begin is not None:
                self._held = cycle, exchange, begin
                return
        super()._start_asgi_task(cycle, app)

    def start_otherwise(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:
        """Give a request that was begun to an app in a task."""
        super()._start_asgi_task(cycle, app)  # type: ignore[arg-type]

    def send_whole_of(self, scope: Scope, headers: bytes, body: bytes, status: int = 200) -> bool:
        """As `dispatch.Whole`, for a request that a task has."""
        return self.cycle.scope is scope and self.send_whole(self.cycle, headers, body, status)

    def send_whole(self, cycle: RequestResponseCycle | Again, headers: bytes, body: bytes, status: int) -> bool:
        """Send a reply with these header lines, which are to be trusted, in one piece: what uvicorn's `send` does
        with a head and a body. Leaves to it whatever is not as usual: a reply begun, pipelining, a connection to
        be closed or one that takes nothing just now."""
        if self.cycle is not cycle or cycle.response_started or cycle.disconnected or not cycle.keep_alive:
            return False
        if self.pipeline or self.flow.write_paused or self.access_log:
            return False
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.message_event.set()
        beginning = self._shared.beginning(status, self.server_state.default_headers)
        transport: Corked = self.transport  # type: ignore[assignment]
        transport.write_whole(b"".join((beginning, headers, b"\r\n", body)))
        self.on_response_complete()
        return True

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head, self._head_bytes, self._between = True, 0, True
        held, self._held = self._held, None
        if held is not None:
            cycle, exchange, begin = held
            # Its body stays where `receive` finds it, should the request go the ordinary way after all.
            if begin(exchange, bytes(cycle.body)):
                self._begun = exchange
            else:
                exchange.otherwise(self.app)
