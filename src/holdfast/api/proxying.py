"""The proxy's routes on plain ASGI, ahead of the layer that reads whole bodies: both directions are streamed.

What differs between wires (how a call is addressed, how an error looks) is a `Shape`; this module knows none of them.
"""

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Protocol

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from holdfast import ids, telemetry
from holdfast.access import Principal
from holdfast.api.bearers import Bearers, bearers_of
from holdfast.api.dispatch import JSON_HEADERS, Rendered, encode
from holdfast.api.rate import RateLimiter
from holdfast.errors import HoldfastError, Invalid, TooMany
from holdfast.outbound import ReplyLost
from holdfast.proxy import Answered, Asked, Proxy

_log = structlog.get_logger("holdfast.api")

MOST_KEPT_BODY = 65_536
"""Bytes of a request's body that are kept, so that the call can be repeated with a renewed token."""
WATCH_SECONDS = 0.1
"""After this long a call is watched for its caller hanging up. Most are over by then, and need no watching."""
UPSTREAM_STATUS = b"x-holdfast-upstream-status"
REQUEST_ID = b"x-holdfast-request-id"
_WAIT = re.compile(r"\d{1,4}(?:\.\d{1,3})?")

COUNTED = "holdfast.call"
"""In a request's scope: the key that the call has been counted for already, and how long it has to wait, if it has to.
"""

Headers = Mapping[bytes, bytes]


class CallerGone(ReplyLost):
    default_code = "caller_gone"


class Shape(Protocol):
    """One wire's way to ask for a proxied call."""

    @property
    def upstream_status(self) -> tuple[bytes, ...]:
        """The reply headers that tell the provider's answers from ours."""
        ...

    @property
    def template(self) -> str:
        """How its paths look, for who looks on."""
        ...

    def takes(self, raw_path: str) -> bool: ...

    def read(self, call: "Incoming") -> Asked:
        """Return what is asked, without its body. Raises HoldfastError."""
        ...

    async def render(self, error: Exception, asked: Asked | None) -> Rendered: ...


class Incoming:
    """A request whose caller is known and whose body has not been read."""

    __slots__ = ("confirm", "headers", "method", "pairs", "path", "principal", "query", "request_id")

    def __init__(self, scope: Scope, path: str, request_id: str) -> None:
        self.method: str = scope["method"]
        self.path, self.request_id = path, request_id
        self.query: str = scope["query_string"].decode("latin-1")
        self.pairs: list[tuple[bytes, bytes]] = scope["headers"]
        self.headers: Headers = dict(reversed(self.pairs))  # of a repeated header, the first counts
        self.principal: Principal
        self.confirm: Callable[[], Awaitable[Principal]] | None = None

    def header(self, *names: bytes) -> str:
        """Return the first of these headers that is there, else ""."""
        for name in names:
            value = self.headers.get(name)
            if value is not None:
                return value.decode("latin-1").strip()
        return ""


class ProxyDoor:
    """Serves the shapes' paths; what is not theirs goes to `fallback`."""

    def __init__(
        self,
        proxy: Proxy,
        shapes: tuple[Shape, ...],
        *,
        bearers: Bearers,
        limiter: RateLimiter,
        calls: RateLimiter,
        fallback: ASGIApp,
    ) -> None:
        self.proxy, self._shapes, self._fallback = proxy, shapes, fallback
        self.bearers = bearers
        self._limiter, self._calls = limiter, calls
        self._name, self._number = "prx_" + ids.new_id(), itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind != "http" and kind != "websocket":
            await self._fallback(scope, receive, send)
            return
        path: str = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        shape = self.shape_of(path)
        if shape is None:
            await self._fallback(scope, receive, send)
            return
        if kind == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "the proxy carries no websockets"})
            return
        asked: Asked | None = None
        call = Incoming(scope, path, self.next_id())
        try:
            _check_protocol(call)
            await self._identify(call, scope.get(COUNTED))
            asked = shape.read(call)
            body = Body(receive)
            asked = await body.into(asked, call.headers)
        except CallerGone:
            return
        except Exception as error:
            await _refuse(scope, send, await shape.render(error, asked), error, call.request_id)
            return
        await self.forward(shape, asked, self.proxy.call(asked), Watch(body), scope, send)

    def shape_of(self, raw_path: str) -> Shape | None:
        for shape in self._shapes:
            if shape.takes(raw_path):
                return shape
        return None

    def next_id(self) -> str:
        return f"{self._name}_{next(self._number)}"  # a new ULID for each would cost as much as all its headers

    async def forward(
        self,
        shape: Shape,
        asked: Asked,
        answer: Awaitable[Answered],
        watch: "Watch",
        scope: Scope,
        send: Send,
    ) -> None:
        """Pass on what is answered, or say what went wrong."""
        scope[telemetry.ROUTE] = shape.template
        try:
            stream = _Stream(await watch.over(answer), watch)
        except CallerGone:
            watch.end()
            return
        except BaseException as error:
            watch.end()
            if not isinstance(error, Exception):
                raise
            await _refuse(scope, send, await shape.render(error, asked), error, asked.request_id)
            return
        await stream.stream(send, shape.upstream_status, asked.request_id)

    def take(self, principal: Principal) -> float | None:
        """Count a call. Return None if it may go ahead, else the seconds to wait."""
        wait = self._limiter.take(principal.key_id)
        return self._calls.take(principal.environment_id) if wait is None else wait

    async def _identify(self, call: Incoming, counted: "tuple[str, float | None] | None") -> None:
        """Find out whose call it is. A key that was met before is believed until the credential's read has checked
        it; whatever does not come to that read calls `confirm`."""
        found = bearers_of(call.pairs)
        believed = self.bearers.recall(found)
        if believed is None:
            call.principal = await self.bearers.authenticate(found)
        else:
            call.principal = believed
            call.confirm = lambda: self.bearers.authenticate(found)
        was_counted = counted is not None and counted[0] == call.principal.key_id
        wait = counted[1] if counted is not None and was_counted else self.take(call.principal)
        if wait is not None:
            raise TooMany("too many calls: slow down", retry_after=wait)


class Body:
    """The request's body, read piece by piece."""

    __slots__ = ("is_read", "receive")

    def __init__(self, receive: Receive, *, is_read: bool = False) -> None:
        self.receive, self.is_read = receive, is_read

    async def into(self, asked: Asked, headers: Headers) -> Asked:
        """Return the call with its body: kept if it is short and its length is known, else streamed."""
        declared = headers.get(b"content-length")
        if declared is None and b"transfer-encoding" not in headers:
            self.is_read = True
            return asked
        if declared is not None and not declared.isdigit():
            raise Invalid("Content-Length is not a number")
        length = None if declared is None else int(declared)
        if length is None or length > MOST_KEPT_BODY:
            return asked.bearing(self._pieces(), length)
        return asked.bearing(b"".join([piece async for piece in self._pieces()]), length)

    async def _pieces(self) -> AsyncIterator[bytes]:
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise CallerGone("the caller hung up")
            more = message.get("more_body", False)
            if not more:
                self.is_read = True
            if piece := message.get("body", b""):
                yield piece
            if not more:
                return


class Watch:
    """Notices that the caller has hung up, while the provider is waited for or answers at length."""

    __slots__ = ("_answered", "_body", "_call", "_loop", "_task", "_timer", "is_gone")

    def __init__(self, body: Body, after: float = WATCH_SECONDS) -> None:
        self._body, self._loop = body, asyncio.get_running_loop()
        self._call: asyncio.Task[object] | None = None
        self._answered: Answered | None = None
        self._task: asyncio.Task[None] | None = None
        self.is_gone = False
        self._timer = self._loop.call_later(after, self._look)

    async def over(self, call: Awaitable[Answered]) -> Answered:
        """Wait for the reply's head. Raises CallerGone if nobody is there any more to take it."""
        self._call = asyncio.current_task()
        try:
            self._answered = await call
        except asyncio.CancelledError:
            if self.is_gone and self._call is not None and not self._call.uncancel():
                raise CallerGone("the caller hung up") from None
            raise
        finally:
            self._call = None
        return self._answered

    def _look(self) -> None:
        if not self._body.is_read:  # whoever reads the body will see it; two readers would take from each other
            self._timer = self._loop.call_later(WATCH_SECONDS, self._look)
        else:
            self._task = self._loop.create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._body.receive())["type"] != "http.disconnect":
            pass
        self.is_gone = True
        if self._answered is not None:
            self._answered.abort(CallerGone("the caller hung up"))
        elif self._call is not None:
            self._call.cancel()

    def end(self) -> None:
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()


class _Stream:
    """A reply on its way to the caller."""

    __slots__ = ("_answered", "_watch")

    def __init__(self, answered: Answered, watch: Watch) -> None:
        self._answered, self._watch = answered, watch

    async def stream(self, send: Send, upstream_status: tuple[bytes, ...], request_id: str) -> None:
        """Send it piece by piece. One that is cut off upstream is cut off here, so that nobody takes it for whole."""
        answered, outcome = self._answered, "cancelled"
        status = b"%d" % answered.status
        headers = [*answered.headers, (REQUEST_ID, request_id.encode())]
        headers.extend((name, status) for name in upstream_status)
        headers.append((b"x-content-type-options", b"nosniff"))
        try:
            whole = answered.is_whole
            piece = await answered.take() if whole else b""
            await send({"type": "http.response.start", "status": answered.status, "headers": headers})
            if whole:
                await send({"type": "http.response.body", "body": piece})
                outcome = ""
                return
            while piece := await answered.take():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
            outcome = ""
        except HoldfastError as error:
            outcome = error.code
            _log.info("proxied_reply_cut_off", request_id=request_id, code=error.code)
        finally:
            self._watch.end()
            answered.end(outcome)


def wait_of(call: Incoming) -> float:
    """Return for how long the caller is willing to wait where the provider says "not before" (X-Holdfast-Wait)."""
    text = call.header(b"x-holdfast-wait")
    if not text:
        return 0.0
    if not _WAIT.fullmatch(text):
        raise Invalid("X-Holdfast-Wait is a number of seconds", code="invalid_header")
    return float(text)


def _check_protocol(call: Incoming) -> None:
    if b"upgrade" in call.headers and call.headers[b"upgrade"].strip().lower() != b"h2c":
        raise Invalid("the proxy carries no websockets and no other upgrade", code="upgrade_not_supported")
    if call.method in ("CONNECT", "TRACE") or not call.method.isalpha() or len(call.method) > 32:
        raise Invalid(f"the proxy does not carry {call.method[:32]}", code="method_not_supported")


async def _refuse(scope: Scope, send: Send, rendered: Rendered, error: Exception, request_id: str) -> None:
    """Say no. What may be left of a body is not waited for: the connection ends with the answer."""
    if rendered.status == 500:
        _log.error("unexpected_error", request_id=request_id, error=type(error).__name__)
    body = encode(rendered.body)
    headers = [
        *JSON_HEADERS,
        (b"content-length", b"%d" % len(body)),
        (REQUEST_ID, request_id.encode()),
        *((name.encode(), value.encode()) for name, value in rendered.headers.items()),
    ]
    declared = dict(scope["headers"])
    if scope["http_version"].startswith("1") and (
        b"transfer-encoding" in declared or len(declared.get(b"content-length", b"")) > 4
    ):
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": rendered.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
