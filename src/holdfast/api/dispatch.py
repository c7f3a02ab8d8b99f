"""From a request to an operation and back: plain ASGI, nothing looked up by reflection while serving."""

import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holdfast import ids, metrics, telemetry
from holdfast.access import Principal
from holdfast.api.decoding import BodyDecoder, QueryDecoder
from holdfast.api.intake import MethodNotAllowed, log_unexpected, named, read_body
from holdfast.api.operations import LONGEST_ID, Answer, Call, Operation
from holdfast.api.rate import RateLimiter
from holdfast.api.routing import Match, Router
from holdfast.errors import Invalid, NotFound, TooMany, Unauthenticated, Unprocessable

_encoder = msgspec.json.Encoder()

JSON_HEADERS = (
    (b"content-type", b"application/json; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)

COUNTED = "holdfast.counted"
"""In a request's scope: the key that this request has been counted for already."""
WHOLE = "holdfast.whole"
"""In a request's scope, where the server offers it: sends a reply whole. Tells whether it did; if not, the reply goes
the ordinary way."""


class Whole(Protocol):
    def __call__(self, scope: Scope, headers: bytes, body: bytes, status: int = 200, /) -> bool:
        """Send these header lines, which are to be trusted and name the body's length, and the body, to who asked for
        something else than a HEAD. `status` is one that may have a body."""
        ...


class Exchange(Protocol):
    """A request that may be answered without a task, and its answer."""

    @property
    def kept(self) -> dict[str, Any]:
        """A place for what follows from the bytes of the request's head and from nothing else. It is there again when
        the same head comes again, on whatever connection."""
        ...

    @property
    def scope(self) -> Scope:
        """The request's. Where its head is known, it is made when it is first asked for."""
        ...

    def whole(self, headers: bytes, body: bytes, status: int = 200, /) -> bool:
        """As `Whole`."""
        ...

    def otherwise(self, app: ASGIApp, /) -> None:
        """Give the request, which still has its body, to an app in a task."""
        ...


Begin = Callable[[Exchange, bytes], bool]
"""Takes a request with its body: later, calls its `whole` or, should that decline, its `otherwise`. False = nothing was
begun, and the request goes the ordinary way."""


@runtime_checkable
class AtOnce(Protocol):
    """An app that answers some requests without a task for each: the server asks it when it has read a head."""

    def wants(self, exchange: Exchange) -> Begin | None:
        """Return what to call when the request's body is whole. None: it goes the ordinary way."""
        ...


@dataclass(frozen=True, slots=True)
class Rendered:
    """An error in a door's own shape."""

    status: int
    body: msgspec.Struct
    headers: Mapping[str, str]


class Dispatcher:
    """Serves a door's operations; what it does not know goes to `fallback`."""

    def __init__(
        self,
        operations: Iterable[Operation],
        *,
        authenticate: Callable[[str], Awaitable[Principal]],
        render_error: Callable[[Exception], Rendered],
        limiter: RateLimiter,
        max_body_bytes: int,
        fallback: ASGIApp,
    ) -> None:
        self._operations = tuple(operations)
        self._router = Router(self._operations)
        self._queries = {op.id: QueryDecoder(op.query) for op in self._operations}
        self._bodies = {op.id: BodyDecoder(op.body) for op in self._operations if op.body is not None}
        self._authenticate, self._render_error = authenticate, render_error
        self._limiter, self._max_body_bytes, self._fallback = limiter, max_body_bytes, fallback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._fallback(scope, receive, send)
            return
        raw_path = scope.get("raw_path") or scope["path"].encode()
        match = self._router.match(scope["method"], raw_path.decode("latin-1"))
        request_id = "req_" + ids.new_id()
        if match is None or (not isinstance(match, Match) and scope["method"] == "OPTIONS"):
            await self._fall_back(scope, receive, send, request_id)
            return
        try:
            if not isinstance(match, Match):
                raise MethodNotAllowed(scope["method"], match)
            scope[telemetry.ROUTE] = match.operation.path
            answer = await self._answer(match, scope, receive, request_id)
        except Exception as error:
            operation = match.operation.id if isinstance(match, Match) else ""
            await self.refuse(send, error, request_id, head=scope["method"] == "HEAD", operation=operation)
            return
        metrics.REQUESTS.add(match.operation.id, str(answer.status))
        await _send(send, answer, request_id, head=scope["method"] == "HEAD")

    async def refuse(
        self, send: Send, error: Exception, request_id: str, *, head: bool = False, operation: str = ""
    ) -> None:
        """Answer with an error in the door's shape. `operation` is what was asked for, where that is known."""
        rendered = self._rendered(error, request_id)
        metrics.REQUESTS.add(operation or "other", str(rendered.status))
        await _send(send, Answer(rendered.status, rendered.body, rendered.headers), request_id, head=head)

    def parameter(self, operation_id: str, method: str, raw_path: str, name: str) -> str | None:
        """Return a parameter of a path that is this operation's, or None if it is another's or cannot be one."""
        match = self._router.match(method, raw_path)
        if not isinstance(match, Match) or match.operation.id != operation_id:
            return None
        value = match.path[name]
        return value if len(value) <= LONGEST_ID else None

    def template(self, operation_id: str) -> str:
        return next(operation.path for operation in self._operations if operation.id == operation_id)

    async def _fall_back(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        """Pass on what is not this door's. What goes wrong there is answered and logged as it is here."""
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._fallback(scope, receive, watched)
        except Exception as error:
            if begun:
                raise
            await self.refuse(send, error, request_id)

    async def _answer(self, match: Match[Operation], scope: Scope, receive: Receive, request_id: str) -> Answer:
        operation = match.operation
        headers = dict(reversed(scope["headers"]))  # of a repeated header, the first counts
        token = _bearer(headers)
        principal = await self._authenticate(token)
        counted = scope.get(COUNTED) == principal.key_id
        wait = None if counted else self._limiter.take(principal.key_id)
        if wait is not None:
            raise TooMany("too many requests with this API key: slow down", retry_after=wait)
        raw = await read_body(headers, receive, self._max_body_bytes) if operation.body is not None else b""
        reply = await operation.handler(self._call(match, principal, scope, headers, raw, request_id))
        if isinstance(reply, Answer):
            return reply
        return Answer(204 if reply is None else operation.status, reply)

    def _call(
        self,
        match: Match[Operation],
        principal: Principal,
        scope: Scope,
        headers: Mapping[bytes, bytes],
        raw: bytes,
        request_id: str,
    ) -> Call[Any, Any]:
        operation = match.operation
        return Call(
            principal=principal,
            path=_checked(match.path),
            query=self._queries[operation.id].decode(scope["query_string"]),
            body=self._bodies[operation.id].decode(raw) if operation.body is not None else None,
            request_id=request_id,
            idempotency_key=_idempotency_key(headers) if operation.idempotent_key else None,
            raw_body=raw,
            operation_id=operation.id,
        )

    def _rendered(self, error: Exception, request_id: str) -> Rendered:
        error = named(error, request_id)
        rendered = self._render_error(error)
        if rendered.status == 500:  # ours too, where the door has no status for it
            log_unexpected(error, request_id)
        return rendered


def _bearer(headers: Mapping[bytes, bytes]) -> str:
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"bearer" or not token:
        raise Unauthenticated("an API key is needed: send `Authorization: Bearer sk_...`")
    return token.strip().decode("latin-1")


def _checked(path: dict[str, str]) -> dict[str, str]:
    """Refuse ids that are longer than any can be. In a body the operation's own struct says so."""
    for name, value in path.items():
        if len(value) > LONGEST_ID:
            raise Unprocessable(
                f"{name} may hold {LONGEST_ID} characters at most", fields=[{"field": name, "code": "invalid"}]
            )
    return path


def _idempotency_key(headers: Mapping[bytes, bytes]) -> str | None:
    key = headers.get(b"idempotency-key", b"").decode("latin-1").strip()
    if len(key) > 255:
        raise Invalid("Idempotency-Key may hold 255 characters at most")
    return key or None


def encode(body: msgspec.Struct) -> bytes:
    return _encoder.encode(body)


async def _send(send: Send, answer: Answer, request_id: str, *, head: bool) -> None:
    body = b"" if answer.body is None else _encoder.encode(answer.body)
    headers = [(b"x-request-id", request_id.encode()), (b"content-length", b"%d" % len(body))]
    if answer.body is not None:
        headers.extend(JSON_HEADERS)
    headers.extend((name.encode(), value.encode()) for name, value in answer.headers.items())
    if answer.status == 204:
        headers = [pair for pair in headers if pair[0] != b"content-length"]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else body})


def retry_after(seconds: float) -> dict[str, str]:
    """Return the Retry-After header: whole seconds, at least one (RFC 9110 section 10.2.3)."""
    return {"retry-after": str(max(1, math.ceil(seconds)))}


class ErrorTail:
    """The end of the line: what nobody knows is 404 in the door's shape."""

    def __init__(self, render_error: Callable[[Exception], Rendered]) -> None:
        self._render_error = render_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        rendered = self._render_error(NotFound("there is nothing at this address"))
        answer = Answer(rendered.status, rendered.body, rendered.headers)
        await _send(send, answer, "req_" + ids.new_id(), head=scope["method"] == "HEAD")
