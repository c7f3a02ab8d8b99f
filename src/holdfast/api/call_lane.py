"""The proxied call's own lane: one of a key that is believed, with a short body or none, whose reply comes whole and
soon, is made without a task for it.

It refuses nothing itself. What it does not take goes the door's ordinary way from its beginning, what turns out to
need more from where it is: there alone mistakes are answered, long bodies streamed, and callers watched.
"""

import asyncio
from collections.abc import Callable
from functools import partial

from starlette.types import Receive, Scope, Send

from holdfast.api.dispatch import Begin, Exchange
from holdfast.api.proxying import (
    COUNTED,
    MOST_KEPT_BODY,
    REQUEST_ID,
    WATCH_SECONDS,
    Body,
    Incoming,
    ProxyDoor,
    Shape,
    Watch,
)
from holdfast.proxy import Answered, Begun, begin

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
"""A HEAD's reply has no body, whatever its headers say: it goes the ordinary way."""


class CallLane:
    def __init__(self, door: ProxyDoor) -> None:
        self._door = door
        self._young: dict[Begun, Callable[[], None]] = {}
        """What is under way, with how to go on in a task: begun since the last look, and before."""
        self._old: dict[Begun, Callable[[], None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def wants(self, exchange: Exchange) -> Begin | None:
        """As `AtOnce.wants`, of what may be a frequent call by a key that is believed; such a request is counted."""
        scope = exchange.scope
        path = (scope.get("raw_path") or b"").decode("latin-1")
        shape = self._door.shape_of(path)
        if shape is None or scope["method"] not in _METHODS:
            return None
        call = Incoming(scope, path, "")
        headers = call.headers
        # What is said twice, or announces more than a short body, is looked at in the ordinary way.
        if len(headers) != len(call.pairs) or b"transfer-encoding" in headers or b"upgrade" in headers:
            return None
        length = headers.get(b"content-length")
        if length is not None and not (length.isdigit() and len(length) < 6 and int(length) <= MOST_KEPT_BODY):
            return None
        authorization = headers.get(b"authorization", b"")
        if authorization[:7] not in (b"Bearer ", b"bearer ") or b"," in authorization:
            return None
        bearers = (authorization[7:].strip().decode("latin-1"),)
        principal = self._door.bearers.recall(bearers)
        if principal is None:
            return None
        wait = self._door.take(principal)
        scope[COUNTED] = principal.key_id, wait
        if wait is not None:
            return None
        call.principal, call.confirm = principal, partial(self._door.bearers.authenticate, bearers)
        return partial(self._begin, call, shape)

    def _begin(self, call: Incoming, shape: Shape, exchange: Exchange, body: bytes) -> bool:
        call.request_id = self._door.next_id()
        try:
            asked = shape.read(call)
            if b"content-length" in call.headers:
                asked = asked.bearing(body, len(body))
            begun = begin(self._door.proxy, asked, partial(self._told, exchange, call, shape))
        except Exception:  # the ordinary way comes to the same, and says it
            return False
        if begun is None:
            return False

        async def rest(scope: Scope, receive: Receive, send: Send) -> None:
            watch = Watch(Body(receive, is_read=True), 0.0)
            await self._door.forward(shape, asked, begun.rest(), watch, scope, send)

        self._young[begun] = partial(exchange.otherwise, rest)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(WATCH_SECONDS, self._look)
        return True

    def _told(self, exchange: Exchange, call: Incoming, shape: Shape, begun: Begun) -> None:
        """A call was answered, or needs more."""
        otherwise = self._young.pop(begun, None) or self._old.pop(begun)
        answered = begun.answered
        try:
            is_sent = answered is not None and self._send(exchange, call, shape, answered)
        except Exception:  # the ordinary way may do better, and is heard of if not
            is_sent = False
        if answered is not None and is_sent:
            answered.end()
        else:
            otherwise()

    def _send(self, exchange: Exchange, call: Incoming, shape: Shape, answered: Answered) -> bool:
        """Send a reply whole; tell whether it was."""
        if answered.status in (204, 304) or not 200 <= answered.status < 600:
            return False
        body = answered.all()
        status = b"%d" % answered.status
        lines = [b"%b: %b\r\n" % pair for pair in answered.headers if pair[0] != b"content-length"]
        lines += [b"%b: %b\r\n" % (name, status) for name in shape.upstream_status]
        lines.append(_LAST % (call.request_id.encode(), len(body)))
        if not exchange.whole(b"".join(lines), body, answered.status):
            return False
        answered.received = len(body)
        return True

    def _look(self) -> None:
        """Leave to tasks what has been under way for a while: most calls are over by then, and need no watching."""
        old, self._old, self._young = self._old, self._young, {}
        for begun, otherwise in old.items():
            begun.take_over()
            otherwise()
        self._timer = None
        if self._old:
            self._timer = asyncio.get_running_loop().call_later(WATCH_SECONDS, self._look)


_LAST = REQUEST_ID + b": %b\r\ncontent-length: %d\r\nx-content-type-options: nosniff\r\n"
