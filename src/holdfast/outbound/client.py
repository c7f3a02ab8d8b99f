"""The HTTP client: one request, one attempt, one answer or a named failure."""

import asyncio
import errno
import re
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any, Literal, Protocol, Self
from urllib.parse import urljoin

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from multidict import CIMultiDict
from yarl import URL

from holdfast.http import Reply, Request
from holdfast.outbound.errors import Blocked, NotSent, ReplyLost, ReplyTooLarge
from holdfast.outbound.guard import Target, may_connect, refusal, target_of

_IDLE_SECONDS = 4.0
"""How long an unused connection is kept. Many servers close theirs after 5 s (Node's default); a request
written into a connection that is being closed is lost with its fate unknown, so we leave first."""

_CONNECTIONS = 256
"""Connections at once, over all hosts. More wait, within their time-out, and are NotSent if it runs out."""

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

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Resolver(Protocol):
    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses of `host`. Raises OSError if there are none."""
        ...


class GetAddrInfo:
    """The operating system's resolver."""

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class Outbound:
    """An HTTP client that reaches public addresses only, follows no redirect, keeps no cookie and repeats
    nothing.

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
        self._connect_timeout = connect_timeout
        self._max_body = max_body
        self._user_agent = user_agent
        self._resolver = resolver or GetAddrInfo()
        self._tls = tls
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection. Requests under way fail."""
        sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            await session.close()

    async def send(self, request: Request, *, timeout: float | None = None) -> Reply:  # noqa: ASYNC109
        """Send once and return what came back, whatever its status. A redirect is returned, not followed.

        Does not look at status or content. Raises Blocked and NotSent (it never left), ReplyLost and
        ReplyTooLarge (it may have arrived).
        """
        target = target_of(request.url, allow_private=self._allow_private)
        _check_head(request)
        wire = _Wire()
        try:
            return await self._exchange(request, target, wire, self._total_timeout if timeout is None else timeout)
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:
            # Without its cause: a library's text may quote the URL, and some providers take tokens in the
            # query.
            raise _named(error, target, wire) from None

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
            raise ReplyLost(f"{_host_of(request)} redirected more than {redirects} times.")
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

    async def _exchange(self, request: Request, target: Target, wire: "_Wire", seconds: float) -> Reply:
        headers = CIMultiDict(request.headers)
        headers.setdefault("User-Agent", self._user_agent)
        async with self._session(target.scheme).request(
            request.method,
            URL(request.url, encoded=True),
            headers=headers,
            data=request.body,
            allow_redirects=False,
            skip_auto_headers=("Content-Type",),
            timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=min(seconds, self._connect_timeout)),
            trace_request_ctx=wire,
        ) as response:
            body = await self._body(response, target)
            return Reply(response.status, _joined(response.headers), body)

    async def _body(self, response: aiohttp.ClientResponse, target: Target) -> bytes:
        """Read the body, counting after decompression: a small reply may unfold into gigabytes."""
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > self._max_body:
                response.close()
                raise ReplyTooLarge(f"{target.host} answered with more than {self._max_body} bytes.")
            chunks.append(chunk)
        return b"".join(chunks)

    def _session(self, scheme: Literal["https", "http"]) -> aiohttp.ClientSession:
        # One session per scheme, because the addresses that plain HTTP may reach are others.
        session = self._sessions.get(scheme)
        if session is None:
            gate = _Gate(self._resolver, scheme, self._allow_private)
            session = self._sessions[scheme] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=gate,
                    socket_factory=gate.socket,
                    use_dns_cache=False,
                    keepalive_timeout=_IDLE_SECONDS,
                    limit=_CONNECTIONS,
                    ssl=self._tls or True,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=True,
                trace_configs=[_tracing()],
                middlewares=(_never_again,),
            )
        return session


def _check_head(request: Request) -> None:
    """Refuse, while nothing has been sent, a method or a header that would frame the message otherwise."""
    if not _NAME.fullmatch(request.method):
        raise Blocked("The method is not one word.")
    for name, value in request.headers.items():
        if not _NAME.fullmatch(name) or _BREAKS.search(value):
            raise Blocked("A header's name is not a word, or its value holds a control character.")
        if name.lower() in _OURS:
            raise Blocked(f"The header {name} is set by the client itself.")


@dataclass
class _Wire:
    """How far one request came. Before there is a connection, nothing can have been written."""

    connected: bool = False


def _tracing() -> aiohttp.TraceConfig:
    async def connected(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
        context.trace_request_ctx.connected = True

    config = aiohttp.TraceConfig()
    config.on_connection_create_end.append(connected)
    config.on_connection_reuseconn.append(connected)
    return config


async def _never_again(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    # aiohttp repeats GET, PUT and DELETE when a kept connection turns out to be closed. Some providers issue
    # tokens by GET, so the failure is renamed here, before that loop sees it:
    # https://docs.aiohttp.org/en/stable/client_advanced.html#client-middleware
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
        raise ReplyLost(f"{request.url.host} closed the connection without an answer.") from None


class _Gate(AbstractResolver):
    """Resolves names for the connector, and lets only checked addresses through, twice: there and at the
    socket."""

    def __init__(self, resolver: Resolver, scheme: Literal["https", "http"], allow_private: bool) -> None:
        self._resolver = resolver
        self._scheme = scheme
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        addresses = await self._resolver.resolve(host, port)
        if not addresses:
            raise OSError(errno.ENOENT, "the name has no address")
        # One bad address condemns the name: an honest one does not mix public and private answers.
        if not all(self._allowed(address) for address in addresses):
            raise Blocked(refusal(host, self._scheme))
        return [_resolved(host, address, port) for address in addresses]

    def socket(self, info: tuple[Any, ...]) -> socket.socket:
        """Open a socket for an address about to be connected to: the last check, for literals too."""
        family, kind, protocol, _, address = info
        if not self._allowed(str(address[0])):
            raise PermissionError(errno.EACCES, "address refused by the egress guard")
        return socket.socket(family, kind, protocol)

    def _allowed(self, address: str) -> bool:
        return may_connect(address, scheme=self._scheme, allow_private=self._allow_private)

    async def close(self) -> None:
        return None


def _resolved(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET if ip_address(address).version == 4 else socket.AF_INET6
    return {
        "hostname": host,
        "host": address,
        "port": port,
        "family": family,
        "proto": socket.IPPROTO_TCP,
        "flags": socket.AI_NUMERICHOST,
    }


def _named(error: Exception, target: Target, wire: _Wire) -> NotSent | ReplyLost:
    """Return our name for a failure, in our words; of the library's only the class is told."""
    slow = isinstance(error, TimeoutError)
    kind = type(error).__name__
    if wire.connected:
        fault = "took too long to answer" if slow else f"broke off its answer ({kind})"
        return ReplyLost(f"{target.host} {fault}.")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return NotSent(f"The name {target.host} could not be resolved.")
    if isinstance(error, aiohttp.ClientSSLError | aiohttp.ClientConnectorCertificateError):
        return NotSent(f"{target.host} could not prove its identity over TLS.")
    if isinstance(error, aiohttp.ClientConnectorError):
        kind = type(error.os_error).__name__
    elif isinstance(error, ValueError):
        return NotSent(f"The request to {target.host} is not well-formed ({kind}).")
    return NotSent(f"No connection to {target.host} could be made{' in time' if slow else f' ({kind})'}.")


def _joined(headers: Mapping[str, str]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in headers.items():
        name = name.lower()
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


def _without_credentials(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() in _ACROSS_ORIGINS}


def _host_of(request: Request) -> str:
    return URL(request.url, encoded=True).host or "The server"
