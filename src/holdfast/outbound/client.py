"""The HTTP client: one request, one attempt, one answer or a named failure."""

import asyncio
import re
import ssl
import zlib
from collections.abc import Mapping
from typing import Self, cast
from urllib.parse import urljoin

from holdfast import telemetry
from holdfast.errors import HoldfastError
from holdfast.http import Reply, Request
from holdfast.outbound.errors import Blocked, NotSent, ReplyLost, ReplyTooLarge
from holdfast.outbound.guard import Target, target_of
from holdfast.outbound.origins import Origins, Resolver
from holdfast.outbound.outgoing import Outgoing, written
from holdfast.outbound.wire import Pairs, Wire

_CONNECTIONS = 256
"""Connections at once to one origin. More wait, within the time that a connection may take, and are then NotSent."""

_ACROSS_ORIGINS = frozenset({"accept", "accept-language", "user-agent"})
"""The headers that travel with a redirect to another origin.

Any other may be a credential under a vendor's name.
"""

_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection"})
"""Headers that frame the message or name its receiver: a caller who could set them could address another host
than the one that was checked, or smuggle a second request."""

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_BREAKS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""RFC 9110 sections 5.6.2 and 5.5: what names are made of, and what no value may hold."""

_PATH = re.compile(r"[A-Za-z]+://[^/?#]*([^#]*)")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that mean nothing by having no body; any other says so with a length of 0 (RFC 9110 section 8.6)."""

_ZLIB_OR_GZIP = 32 + zlib.MAX_WBITS
_RAW_DEFLATE = -zlib.MAX_WBITS
"""What the name deflate stands for in some servers' replies, against RFC 9110 section 8.4.1.2."""


class Outbound:
    """An HTTP client that reaches public addresses only, follows no redirect, keeps no cookie, heeds no proxy of the
    environment and repeats nothing.

    `allow_private` opens loopback and private networks (development, providers in one's own network), for
    plain HTTP too. `tls` replaces the default trust store.
    """

    def __init__(
        self,
        *,
        allow_private: bool,
        total_timeout: float,
        max_body: int = 1 << 20,
        user_agent: str = "Holdfast",
        connect_timeout: float = 10.0,
        resolver: Resolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._allow_private = allow_private
        self._total_timeout = total_timeout
        self._max_body = max_body
        self._user_agent = user_agent
        self._origins = Origins(
            allow_private=allow_private,
            connect_timeout=connect_timeout,
            per_origin=_CONNECTIONS,
            resolver=resolver,
            tls=tls,
        )
        self._active: set[_Answer] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection. Requests under way fail."""
        for answer in list(self._active):
            answer.abort(ReplyLost("The server is being stopped."))
        self._origins.close()

    async def send(self, request: Request, *, timeout: float | None = None) -> Reply:  # noqa: ASYNC109
        """Send once and return what came back, whatever its status. A redirect is returned, not followed.

        Does not look at status or content. Raises Blocked and NotSent (it never left), ReplyLost and
        ReplyTooLarge (it may have arrived).
        """
        target = target_of(request.url, allow_private=self._allow_private)
        _check_head(request)
        with telemetry.span(
            "outbound", kind="client", method=request.method, host=target.host, port=target.port
        ) as note:
            reply = await self._sent(request, target, timeout)
            note.set(status=reply.status)
            return reply

    async def _sent(self, request: Request, target: Target, timeout: float | None) -> Reply:  # noqa: ASYNC109
        head = written(self._outgoing(request, target))
        loop = asyncio.get_running_loop()
        ends = loop.time() + (self._total_timeout if timeout is None else timeout)
        wire = await self._origins.connected(target, loop, ends)
        answer = _Answer(wire, loop, target.host, self._max_body, is_head=request.method == "HEAD")
        self._active.add(answer)
        timer = loop.call_at(ends, answer.expire)
        try:
            wire.begin(answer, head + request.body if request.body else head)
            await answer.done
        finally:
            timer.cancel()
            self._active.discard(answer)
            answer.let_go(whole=False)
        if answer.error is not None:
            raise answer.error from None
        return Reply(answer.status, _joined(answer.headers), answer.unfolded())

    async def fetch(self, request: Request, *, redirects: int = 3) -> Reply:
        """Send a GET and follow up to `redirects` redirects, each checked like the first URL.

        No credential travels to another origin. Raises as `send` does; Blocked for a redirect that
        leads where nothing may be sent, ReplyLost for one redirect too many.
        """
        if request.method not in ("GET", "HEAD"):
            raise ValueError("only GET and HEAD are followed")
        reply = await self.send(request)
        for _ in range(redirects):
            location = reply.headers.get("location")
            if reply.status not in _REDIRECTS or not location:
                return reply
            request = self._redirected(request, location)
            reply = await self.send(request)
        if reply.status in _REDIRECTS and reply.headers.get("location"):
            host = target_of(request.url, allow_private=self._allow_private).host
            raise ReplyLost(f"{host} redirected more than {redirects} times.")
        return reply

    def _redirected(self, request: Request, location: str) -> Request:
        before = target_of(request.url, allow_private=self._allow_private)
        url = urljoin(request.url, location)
        after = target_of(url, allow_private=self._allow_private)
        if before.scheme == "https" and after.scheme == "http":
            raise Blocked(f"{before.host} redirected from https to plain http.")
        same = (before.scheme, before.host, before.port) == (after.scheme, after.host, after.port)
        headers = request.headers if same else _without_credentials(request.headers)
        return Request(request.method, url, headers)

    def _outgoing(self, request: Request, target: Target) -> Outgoing:
        try:
            headers = [(name.encode("ascii"), value.encode("utf-8")) for name, value in request.headers.items()]
        except UnicodeEncodeError:  # a lone surrogate
            raise NotSent(f"The request to {target.host} is not well-formed.") from None
        named = {name.lower() for name in request.headers}
        if "accept" not in named:
            headers.append((b"Accept", b"*/*"))
        if "accept-encoding" not in named:  # some answer in gzip all the same, so that is read
            headers.append((b"Accept-Encoding", b"identity"))
        if "user-agent" not in named:
            headers.append((b"User-Agent", self._user_agent.encode()))
        body = request.body
        if body is None and request.method not in _BODILESS:
            body = b""
        return Outgoing(request.method, target, _path_of(request.url), headers, body)


class _Answer:
    """A reply taken whole, up to `most` bytes of body."""

    def __init__(self, wire: Wire, loop: asyncio.AbstractEventLoop, host: str, most: int, *, is_head: bool) -> None:
        self.loop, self.is_head = loop, is_head
        self.ready, self.touched = False, 0.0
        self.status, self.headers = 0, cast("Pairs", [])
        self.done: asyncio.Future[None] = loop.create_future()
        self.error: HoldfastError | None = None
        self._wire: Wire | None = wire
        self._host, self._most = host, most
        self._pieces: list[bytes] = []
        self._size = 0

    def head(self, status: int, headers: Pairs) -> None:
        self.status, self.headers, self.ready = status, headers, True

    def body(self, data: bytes) -> bool:
        self._size += len(data)
        if self._size > self._most:
            self.abort(self._too_large())
        else:
            self._pieces.append(data)
        return True

    def end(self, *, reusable: bool) -> None:
        self.let_go(whole=reusable)
        self._settle()

    def abort(self, error: HoldfastError) -> None:
        if self._wire is not None:
            self.error = error
            self.let_go(whole=False)
            self._settle()

    def told(self) -> None:
        """Nothing: it is taken when it is whole."""

    def expire(self) -> None:
        self.abort(ReplyLost(f"{self._host} took too long to answer."))

    def let_go(self, *, whole: bool) -> None:
        """Give the connection back, or take it down if its answer was not read to the end."""
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.leave(whole=whole)

    def unfolded(self) -> bytes:
        """Return the body without its content coding, counting as it unfolds: a small reply may hold gigabytes."""
        body = b"".join(self._pieces)
        codings = [value.strip().lower() for name, value in self.headers if name == b"content-encoding"]
        coding = b", ".join(codings)
        if not body or coding in (b"", b"identity"):
            return body
        if coding not in (b"gzip", b"x-gzip", b"deflate"):
            raise ReplyLost(f"{self._host} answered in an encoding that was not asked for.")
        raw = coding == b"deflate" and body[0] & 15 != zlib.DEFLATED
        unpacking = zlib.decompressobj(_RAW_DEFLATE if raw else _ZLIB_OR_GZIP)
        try:
            whole = unpacking.decompress(body, self._most + 1)
        except zlib.error:
            raise ReplyLost(f"{self._host} answered with a body that is not what its headers say.") from None
        if len(whole) > self._most:
            raise self._too_large()
        if not unpacking.eof:
            raise ReplyLost(f"{self._host} broke off its answer.")
        return whole

    def _settle(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def _too_large(self) -> ReplyTooLarge:
        return ReplyTooLarge(f"{self._host} answered with more than {self._most} bytes.")


def _check_head(request: Request) -> None:
    """Refuse, while nothing has been sent, a method or a header that would frame the message otherwise."""
    if not _NAME.fullmatch(request.method):
        raise Blocked("The method is not one word.")
    for name, value in request.headers.items():
        if not _NAME.fullmatch(name) or _BREAKS.search(value):
            raise Blocked("A header's name is not a word, or its value holds a control character.")
        if name.lower() in _OURS:
            raise Blocked(f"The header {name} is set by the client itself.")


def _path_of(url: str) -> bytes:
    """Return path and query as they stand; a checked URL is ASCII."""
    found = _PATH.match(url)
    path = found[1] if found else ""
    return (path if path.startswith("/") else f"/{path}").encode("ascii")


def _joined(headers: Pairs) -> dict[str, str]:
    joined: dict[str, str] = {}
    for raw, value in headers:
        name, text = raw.decode("latin-1"), value.decode("utf-8", "surrogateescape")
        joined[name] = f"{joined[name]}, {text}" if name in joined else text
    return joined


def _without_credentials(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() in _ACROSS_ORIGINS}
