"""Operations that a user's browser asks for with a widget session: CORS, the session, then the handler.

Pages of origins that the session's environment has registered may ask, without cookies (the Fetch standard's CORS
protocol, https://fetch.spec.whatwg.org/#http-cors-protocol). A token that is not believed is 403, as widgets expect.
Every answer is JSON.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from holdfast import ids
from holdfast.access.widgets import NotThisSession, Origins, WidgetSession, WidgetTokens
from holdfast.api.decoding import BodyDecoder
from holdfast.api.dispatch import JSON_HEADERS, Rendered, encode
from holdfast.api.intake import MethodNotAllowed, log_unexpected, named, read_body
from holdfast.api.operations import LONGEST_ID
from holdfast.api.rate import RateLimiter
from holdfast.api.routing import Match, Router
from holdfast.errors import NotFound, Refused, TooMany

PREFLIGHT = (
    (b"access-control-allow-methods", b"GET, POST, PUT, DELETE"),
    (
        b"access-control-allow-headers",
        b"authorization, content-type, workos-widgets-version, workos-widgets-type, x-elevated-access-token",
    ),
    (b"access-control-max-age", b"600"),
)
"""Ten minutes: an origin that is taken off the list is refused at the next request all the same."""


@dataclass(frozen=True, slots=True)
class BrowserCall:
    session: WidgetSession
    path: dict[str, str]
    body: Any
    request_id: str
    origin: str | None
    """The page's, checked; None where the browser sent none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserOperation:
    method: str
    path: str
    handler: Callable[[BrowserCall], Awaitable[msgspec.Struct]] = field(repr=False)
    body: type[msgspec.Struct] | None = None


class BrowserDoor:
    def __init__(
        self,
        operations: Iterable[BrowserOperation],
        *,
        tokens: WidgetTokens,
        origins: Origins,
        render_error: Callable[[Exception], Rendered],
        limiter: RateLimiter,
        max_body_bytes: int,
    ) -> None:
        found = tuple(operations)
        self._router = Router(found)
        self._bodies = {op.body: BodyDecoder(op.body) for op in found if op.body is not None}
        self._tokens, self._origins, self._render_error = tokens, origins, render_error
        self._limiter, self._max_body_bytes = limiter, max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = dict(reversed(scope["headers"]))
        request_id, origin = "req_" + ids.new_id(), _origin(headers)
        shown: str | None = None  # the origin that may read the answer
        try:
            if origin is not None:
                if not await self._origins.allows(origin, None):
                    raise Refused("pages of this origin may not ask here: register it as a CORS origin")
                shown = origin
            if scope["method"] == "OPTIONS":
                await _send(send, 204, None, request_id, shown, PREFLIGHT if shown else ())
                return
            match = self._match(scope)
            session = await self._tokens.authenticate(_bearer(headers))
            if origin is not None and not await self._origins.allows(origin, session.environment_id):
                shown = None
                raise Refused("pages of this origin may not ask here: register it as a CORS origin")
            wait = self._limiter.take(f"{session.environment_id} {session.user_id}")
            if wait is not None:
                raise TooMany("too many requests: wait a moment", retry_after=wait)
            kind = match.operation.body
            body = None
            if kind is not None:
                body = self._bodies[kind].decode(await read_body(headers, receive, self._max_body_bytes))
            reply = await match.operation.handler(BrowserCall(session, match.path, body, request_id, origin))
            await _send(send, 200, reply, request_id, shown)
        except Exception as error:
            known = named(error, request_id)
            rendered = self._render_error(known)
            if rendered.status == 500:
                log_unexpected(known, request_id)
            more = tuple((name.encode(), value.encode()) for name, value in rendered.headers.items())
            await _send(send, rendered.status, rendered.body, request_id, shown, more)

    def _match(self, scope: Scope) -> Match[BrowserOperation]:
        raw_path = scope.get("raw_path") or scope["path"].encode()
        match = self._router.match(scope["method"], raw_path.decode("latin-1"))
        if match is None:
            raise NotFound("there is nothing at this address")
        if not isinstance(match, Match):
            raise MethodNotAllowed(scope["method"], match)
        if any(len(value) > LONGEST_ID for value in match.path.values()):
            raise NotFound("there is nothing at this address")
        return match


def _origin(headers: dict[bytes, bytes]) -> str | None:
    value = headers.get(b"origin")
    return None if value is None else value.decode("latin-1")


def _bearer(headers: dict[bytes, bytes]) -> str:
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"bearer" or not token:
        raise NotThisSession("a widget token is needed: `Authorization: Bearer ...`")
    return token.strip().decode("latin-1")


async def _send(
    send: Send,
    status: int,
    body: msgspec.Struct | None,
    request_id: str,
    origin: str | None,
    more: tuple[tuple[bytes, bytes], ...] = (),
) -> None:
    raw = b"" if body is None else encode(body)
    headers = [(b"x-request-id", request_id.encode()), (b"vary", b"origin"), *more]
    if origin is not None:
        headers.append((b"access-control-allow-origin", origin.encode("latin-1")))
        headers.append((b"access-control-expose-headers", b"x-request-id, retry-after"))
    if body is not None:
        headers += [*JSON_HEADERS, (b"content-length", b"%d" % len(raw))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": raw})
