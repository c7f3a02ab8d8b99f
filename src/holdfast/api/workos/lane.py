"""The token read's own lane: plain ASGI ahead of the operations, from the request's bytes to the reply's.

It answers one case, the frequent one: a key that is believed asks for a live token of a user's account, in a short and
well-formed request. Whatever else comes, a mistake or a key to be checked, goes on to the operations as it came, its
body with it, so that what a request means and how it is refused is described there alone.

A server that offers it (`api.dispatch.AtOnce`) gives the request whole and takes the reply whole, without a task.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holdfast import ids, metrics, telemetry
from holdfast.api.dispatch import COUNTED, JSON_HEADERS, WHOLE, AtOnce, Begin, Dispatcher, Exchange, Whole
from holdfast.api.workos.inputs import Vend
from holdfast.api.workos.outputs import AccessToken, TokenReply
from holdfast.api.workos.parts import Parts
from holdfast.api.workos.warnings import warnings
from holdfast.clock import iso
from holdfast.events.gathered import request_of
from holdfast.tokens import Live, PlainAsk

if TYPE_CHECKING:
    from holdfast.access import Principal
    from holdfast.tokens.store import Found

OPERATION = "get_access_token"
MOST_PATHS = 1024
"""Paths remembered: as many as anybody has connections."""
LONGEST_BODY = 4096
"""Bytes read before the key is checked."""
SAID = "holdfast.lane"
"""In what is kept with a head: what it says, or None if it is no token read's."""
MET = "holdfast.met"
"""In the scope of a request that has been here."""

_Read = Callable[[PlainAsk], Awaitable[Live | None]]

_answered = metrics.REQUESTS.of(OPERATION, "200")
_decode = msgspec.json.Decoder(Vend).decode
_encode = msgspec.json.Encoder().encode


class TokenLane:
    def __init__(
        self, operations: Dispatcher, parts: Parts, rest: ASGIApp | None = None, beside: AtOnce | None = None
    ) -> None:
        """`rest` gets whatever is no plain token read; None = the operations themselves. `beside` is offered at once
        what is not this lane's."""
        self._beside = beside
        self.operations, self._plain = operations, parts.plain
        self._rest = operations if rest is None else rest
        self._keys, self._limiter = parts.keys, parts.limiter
        self._longest = min(LONGEST_BODY, parts.max_body_bytes)
        self._slugs: dict[bytes, str] = {}
        self._template = operations.template(OPERATION)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        said = None if MET in scope else self._said(scope)
        key = None if said is None else self._counted(said)
        if said is None or key is None:
            await self._rest(scope, receive, send)
            return
        _mark(scope, key.key_id)
        scope[telemetry.ROUTE] = self._template
        first = await receive()
        whole = first["type"] == "http.request" and not first.get("more_body", False)
        ask = _ask(first.get("body", b""), key, said.slug) if whole else None
        await self._finish(scope, receive, send, first, None if ask is None else _known(ask), self._plain.read)

    def wants(self, exchange: Exchange) -> Begin | None:
        """As `AtOnce.wants`, for this lane and the one beside it."""
        kept = exchange.kept
        said: _Said | None = kept.get(SAID)
        if said is None and SAID not in kept:
            said = kept[SAID] = self._said(exchange.scope)
        key = None if said is None else self._counted(said)
        if said is None or key is None:
            return None if self._beside is None else self._beside.wants(exchange)
        if said.key is not key:
            said.key, said.begin = key, partial(self._begin, key, said.slug)
        return said.begin

    def _counted(self, said: "_Said") -> "Principal | None":
        """Return the key of what may be a plain token read, if it is believed; then the request is counted."""
        key = self._keys.recall_print(said.printed)
        return None if key is None or self._limiter.take(key.key_id) is not None else key

    def _begin(self, key: "Principal", slug: str, exchange: Exchange, body: bytes) -> bool:
        ask = _ask(body, key, slug)
        if ask is None:
            _mark(exchange.scope, key.key_id)
            return False
        if not self._plain.begin(ask, partial(self._reply, exchange, ask)):  # it takes a task
            self._leave(exchange, _known(ask), self._plain.read)
        return True

    def _reply(self, exchange: Exchange, ask: PlainAsk, found: "Found | None") -> None:
        """Answer a request that was begun. What takes longer, or goes wrong, is left to a task."""
        if found is not None:
            try:
                live = self._plain.open(ask, found)
                body = _body(live) if live is not None and not live.warnings else None
            except Exception:  # whatever it is: the others of the batch wait for their answers
                body = None
            if body is not None and exchange.whole(_HEADERS % (request_of(found.entry_id).encode(), len(body)), body):
                _answered.value += 1
                return
        self._leave(exchange, _known(ask, found), partial(self._plain.ended, found=found))

    def _leave(self, exchange: Exchange, ask: PlainAsk, read: _Read) -> None:
        async def rest(scope: Scope, receive: Receive, send: Send) -> None:
            await self._finish(scope, receive, send, await receive(), ask, read)

        _mark(exchange.scope, ask.key_id)
        exchange.otherwise(rest)

    async def _finish(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        first: Message,
        ask: PlainAsk | None,
        read: _Read,
    ) -> None:
        """Answer with what `read` returns, or leave the request to the operations."""
        try:
            found = None if ask is None else await read(ask)
            body = b"" if found is None else _body(found)
        except Exception as error:  # a stored token that was altered, no token just now, a database that went away
            await self.operations.refuse(send, error, ask.request_id if ask else "")
            return
        if ask is None or found is None:
            await self._rest(scope, _again(first, receive), send)
            return
        _answered.value += 1
        await _answer(scope, send, ask.request_id, body, found.warnings)

    def _slug(self, scope: Scope) -> str | None:
        """Return the connection's name, of a path that the operations take for this one."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["query_string"]:
            return None
        path = scope.get("raw_path") or b""
        slug = self._slugs.get(path)
        if slug is None and path.endswith(b"/token"):
            slug = self.operations.parameter(OPERATION, "POST", path.decode("latin-1"), "slug")
            if slug is not None and len(self._slugs) < MOST_PATHS:
                self._slugs[path] = slug
        return slug

    def _said(self, scope: Scope) -> "_Said | None":
        """Return what a head says that may be a plain token read's. Of a header, the first counts."""
        slug = self._slug(scope)
        if slug is None:
            return None
        authorization = length = None
        for name, value in scope["headers"]:
            if name == b"authorization" and authorization is None:
                authorization = value
            elif name == b"content-length" and length is None:
                length = value
        if authorization is None or length is None or authorization[:7] not in (b"Bearer ", b"bearer "):
            return None
        if not length.isdigit() or len(length) > 4 or int(length) > self._longest:
            return None
        token = authorization[7:].strip().decode("latin-1")
        return _Said(slug, self._keys.print_of(token))


class _Said:
    """The connection's name and the print of the key; and of the key that was last believed, what begins a read."""

    __slots__ = ("begin", "key", "printed", "slug")

    def __init__(self, slug: str, printed: bytes) -> None:
        self.slug, self.printed = slug, printed
        self.key: Principal | None = None
        self.begin: Begin | None = None


def _mark(scope: Scope, key_id: str) -> None:
    """Note that the request has been here, and has been counted."""
    scope[MET], scope[COUNTED] = True, key_id


def _ask(raw: bytes, key: "Principal", slug: str) -> PlainAsk | None:
    """Return what is asked for, if it is well formed, and no more than a user and a minimum life; without the id of
    the request, which its read's entry gives it."""
    if raw.find(b"\\u0000") >= 0:  # `in` takes it for a number first, and makes an error of that
        return None
    try:
        body = _decode(raw)
    except (ValueError, RecursionError):  # not JSON, not UTF-8, or not what belongs there
        return None
    if body.organization_id or body.connected_account_id or body.supports_multiple_connections:
        return None
    if body.connection_owner == "organization":
        return None
    return PlainAsk(key.environment_id, key.key_id, slug, body.user_id, body.min_ttl, "")


def _known(ask: PlainAsk, found: "Found | None" = None) -> PlainAsk:
    """Return it with the request's id: made of its entry's, if it has one."""
    return replace(ask, request_id=request_of(ids.new_id() if found is None else found.entry_id))


def _again(first: Message, receive: Receive) -> Receive:
    """Return a `receive` that begins with a message which was read already."""
    waiting = [first]

    async def received() -> Message:
        return waiting.pop() if waiting else await receive()

    return received


def _body(found: Live) -> bytes:
    token = AccessToken(
        access_token=found.secret.reveal(),
        expires_at=None if found.expires_at is None else iso(found.expires_at),
        scopes=found.scopes,
        missing_scopes=found.missing_scopes,
    )
    return _encode(TokenReply(active=True, access_token=token))


async def _answer(scope: Scope, send: Send, request_id: str, body: bytes, words: Sequence[str]) -> None:
    whole: Whole | None = scope.get(WHOLE)
    if whole is not None and not words and whole(scope, _HEADERS % (request_id.encode(), len(body)), body):
        return
    headers = [(b"x-request-id", request_id.encode()), (b"content-length", b"%d" % len(body)), *JSON_HEADERS]
    headers.extend((name.encode(), value.encode()) for name, value in warnings(words).items())
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


_HEADERS = b"x-request-id: %b\r\ncontent-length: %d\r\n" + b"".join(
    name + b": " + value + b"\r\n" for name, value in JSON_HEADERS
)
