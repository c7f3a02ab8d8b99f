"""uvicorn's HTTP protocol with a bound on what a request may hold before its body: address and headers; and with what
one turn of the loop writes joined; and with a way for an app to answer a request without a task of its own.

httptools itself has no bound, so a caller without a key could fill the memory with one header that never ends. uvicorn
writes a reply's head and body apart, and the second system call is a good part of what a small reply costs.

Callers who keep a connection send the same head again and again. What a head means follows from its bytes alone, so
one that was parsed and answered at once is known by them when it comes again, whole and between two requests.
"""

import asyncio
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from starlette.types import ASGIApp, Scope
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from holdfast.api.dispatch import KEPT, WHOLE, AtOnce

MOST_HEAD_BYTES = 65_536
"""Twice what browsers and proxies allow. What arrives with the last of it is let through: the bound is on memory."""
IDLE_SECONDS = 75
"""Longer than the minute for which load balancers usually keep a connection that they use again: closing first would
race with their next request. https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html"""
HEAD_SECONDS = 15.0
"""For a request's head: from its first bytes, and on a new connection from the start. What says nothing, or a header
line a minute, would be held for ever. HTTP/2 has as long for its preface."""
MOST_CORKED_BYTES = 65_536
"""Held back in one turn of the loop at most; more is written at once, so that back-pressure is felt."""
MOST_CORKED = 16
"""Connections whose replies are held back: half of a usual batch. Who receives them can begin while others are made."""

MOST_KNOWN_HEADS = 8
"""On a connection: the heads of one caller's requests differ in the length of the body."""
LONGEST_KNOWN_HEAD = 4096


class _Turn:
    """What is written in one turn of a loop, to whomever: it goes out in one go when the turn is over.

    Replies come by the batch. Were each sent as soon as it is made, whoever receives them, and the database on its
    core, would be woken and put to sleep again for each. Were all sent at the end, a receiver on another core would
    wait for work meanwhile: so they go by the `MOST_CORKED`.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._corked: list[Corked] = []
        self._is_begun = False

    def begin(self) -> bool:
        """Tell whether nothing has been written in this turn yet."""
        if self._is_begun:
            return False
        self._is_begun = True
        self._loop.call_soon(self._end)
        return True

    def add(self, corked: "Corked") -> None:
        self.begin()
        if len(self._corked) >= MOST_CORKED:
            self._flush()
        self._corked.append(corked)

    def _end(self) -> None:
        self._is_begun = False
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
        self._held: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        if not self._held:
            self._turn.add(self)
        self._held.append(data)
        self._size += len(data)
        if self._size > MOST_CORKED_BYTES:
            self.flush()

    def write_whole(self, data: bytes) -> None:
        """Write what nothing more belongs to: the first of a turn goes at once, and may well be the only one."""
        if not self._held and self._turn.begin():
            self._transport.write(data)
        else:
            self.write(data)

    def flush(self) -> None:
        if self._held:
            data = self._held[0] if len(self._held) == 1 else b"".join(self._held)
            self._held, self._size = [], 0
            self._transport.write(data)

    def close(self) -> None:
        self.flush()
        self._transport.close()


class _Head:
    """A head that was parsed on this connection: the scope it makes, the bytes of body that follow it, and what the app
    keeps with it."""

    __slots__ = ("_kept", "_scope", "length")

    def __init__(self, scope: Scope, length: int) -> None:
        self._scope = {name: value for name, value in scope.items() if not name.startswith("holdfast.")}
        self._scope["headers"] = scope["headers"].copy()  # the request's own is the app's to change
        self._kept: dict[str, Any] = {}
        self.length = length

    def scope(self, state: dict[str, Any]) -> Scope:
        scope = self._scope.copy()
        scope["headers"], scope["state"] = self._scope["headers"].copy(), state.copy()
        scope[KEPT] = self._kept
        return scope


class BoundedHttpProtocol(HttpToolsProtocol):
    _between = True
    """Whether no request is partly read: the parser is where it began."""
    _begun: Scope | None = None
    """The scope of a request that the app took at once, out of the bytes that are being read."""
    _timer: asyncio.TimerHandle | None = None
    _idle_since: float | None = None
    """By the loop's clock; None while a request is to be read or answered. What still comes of one that was answered
    before it was whole is nobody's any more, and counts as nothing."""
    _in_head = True
    _head_bytes = 0
    _default: tuple[object, bytes, bytes] = (None, b"", b"")
    _head_ends: asyncio.TimerHandle | None = None
    _held: RequestResponseCycle | None = None
    """A request that waits for its body, to be given to `_at_once`."""

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
        self._heads: dict[bytes, _Head] = {}
        self._spare: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(Corked(transport, self.loop))  # type: ignore[arg-type]
        self.timeout_keep_alive = IDLE_SECONDS
        self._head_ends = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._in_time()
        super().connection_lost(exc)
        self._heads.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _in_time(self) -> None:
        if self._head_ends is not None:
            self._head_ends.cancel()
            self._head_ends = None

    def data_received(self, data: bytes) -> None:
        whole = self._between
        if whole and self._heads and not self._head_bytes:
            end = data.find(b"\r\n\r\n") + 4
            head = self._heads.get(data[:end])
            if head is not None and len(data) == end + head.length and self._came_again(head, data[end:]):
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

    def _remember(self, scope: Scope, data: bytes) -> None:
        """Keep the head of a request that was these bytes and no others, its body as it is: not in chunks."""
        end = data.find(b"\r\n\r\n") + 4
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        if end <= LONGEST_KNOWN_HEAD and length == b"%d" % (len(data) - end):
            if len(self._heads) >= MOST_KNOWN_HEADS:
                self._heads.clear()
            self._heads[data[:end]] = _Head(scope, len(data) - end)

    def _came_again(self, head: _Head, body: bytes) -> bool:
        """Begin with a request whose head is known, as if it had been parsed. False = nothing was done: parse it."""
        cycle, app = self.cycle, self._at_once
        if app is None or not cycle.response_complete or self.pipeline or self.limit_concurrency is not None:
            return False
        scope = head.scope(self.app_state)
        scope[WHOLE] = self._send_whole
        if not app.wants(scope):
            return False
        self._idle_since = None
        self.scope, self.headers = scope, scope["headers"]  # type: ignore[assignment]
        self.cycle = self._cycle_for(scope, body)
        if not app.begin(scope, body, partial(self._start_otherwise, self.cycle)):
            self._start_otherwise(self.cycle, self.app)
        return True

    def _cycle_for(self, scope: Scope, body: bytes) -> RequestResponseCycle:
        """Return a cycle for a request that is whole: the last one anew, if no task ever had it."""
        cycle = self._spare
        if cycle is None:
            cycle = self._spare = RequestResponseCycle(
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
        cycle.scope, cycle.default_headers = scope, self.server_state.default_headers  # type: ignore[assignment]
        cycle.body, cycle.more_body = bytearray(body), False
        cycle.response_started = cycle.response_complete = False
        return cycle

    # An idle connection is ended by one timer, which looks how long it has been idle, and not by one for each reply.

    def _unset_keepalive_if_required(self) -> None:
        """Called for whatever is received. What ends an idle time is a request: see where its parts are read."""

    def on_response_complete(self) -> None:
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
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
        self.scope[WHOLE] = self._send_whole  # type: ignore[literal-required]
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Begin with a request; but leave one that the app wants at once until its body is whole.

        A caller who waits to be told to go on, or a connection that ends with the reply, goes the ordinary way.
        """
        usual = cycle.keep_alive and cycle.more_body and not cycle.waiting_for_100_continue
        scope: Any = cycle.scope
        if usual and self._at_once is not None and app is self._at_once and self._at_once.wants(scope):
            self._held = cycle
            return
        super()._start_asgi_task(cycle, app)

    def _start_otherwise(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:
        if cycle is self._spare:
            self._spare = None
        super()._start_asgi_task(cycle, app)  # type: ignore[arg-type]

    def _send_whole(self, scope: Scope, headers: bytes, body: bytes, status: int = 200) -> bool:
        """Send a reply with these header lines, which are to be trusted, in one piece: what uvicorn's `send` does
        with a head and a body. Leaves to it whatever is not as usual: a reply begun, pipelining, a connection to
        be closed or one that takes nothing just now."""
        cycle = self.cycle
        if cycle.scope is not scope or cycle.response_started or cycle.disconnected or not cycle.keep_alive:
            return False
        if self.pipeline or self.flow.write_paused or cycle.access_log:
            return False
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.message_event.set()
        transport: Corked = self.transport  # type: ignore[assignment]
        transport.write_whole(b"".join((self._status_line(status), headers, b"\r\n", body)))
        cycle.on_response()
        return True

    def _status_line(self, status: int) -> bytes:
        """Return the status line and the server's own headers: a new list each second, for the date in it."""
        default = self.server_state.default_headers
        if self._default[0] is not default:
            lines = b"".join(name + b": " + value + b"\r\n" for name, value in default)
            self._default = default, STATUS_LINE[200] + lines, lines
        return self._default[1] if status == 200 else STATUS_LINE[status] + self._default[2]

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head, self._head_bytes, self._between = True, 0, True
        held, self._held = self._held, None
        if held is not None and self._at_once is not None:
            # Its body stays where `receive` finds it, should the request go the ordinary way after all.
            scope: Any = held.scope
            if self._at_once.begin(scope, bytes(held.body), partial(self._start_otherwise, held)):
                self._begun = scope
            else:
                super()._start_asgi_task(held, self.app)
