"""The running server and its orderly end: nothing that was accepted is left without its full answer.

    /readyz says 503 > HOLDFAST_DRAIN_DELAY > the listeners close > requests under way are answered >
    refreshes under way are committed, and with that give up their leases > the database is closed

From the first step on each answer says `Connection: close`, so that callers leave by themselves, and the loops begin
nothing new. A connection that is idle when the listeners close stays open for a moment longer: a request may be on its
way over it, and hanging up then would lose it.
"""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import uvicorn

from holdfast.readiness import Readiness

FULL_SECONDS = 0.1
"""How long a process without a free file descriptor leaves connections to the others, or waiting."""
HANDSHAKE_SECONDS = 15.0
"""For a TLS handshake: two round trips. Who has not finished by then is on no network that a request would survive, or
holds connections open to use them up."""
LINGER_SECONDS = 0.25
"""Longer than a request takes that was sent before its caller could know."""


class Server:
    """`stop` begins the orderly end, as often as it is called; `ended` is set when nothing is served any more."""

    def __init__(
        self,
        config: uvicorn.Config,
        readiness: Readiness,
        *,
        delay: float,
        on_drain: Callable[[], Awaitable[None]],
        shares: bool = False,
    ) -> None:
        self._uvicorn, self._readiness = DrainingUvicorn(config, shares=shares), readiness
        self._delay, self._on_drain = delay, on_drain
        self._draining: asyncio.Task[None] | None = None
        self._serving: asyncio.Task[None] | None = None
        self.ended = asyncio.Event()

    async def start(self, sockets: list[socket.socket]) -> None:
        """Serve on these sockets; return when they are listened to."""
        self._serving = asyncio.ensure_future(self._uvicorn.serve(sockets=sockets))
        self._serving.add_done_callback(lambda _: self.ended.set())
        while not self._uvicorn.started and not self._serving.done():  # noqa: ASYNC110
            await asyncio.sleep(0.005)  # uvicorn has a flag, no event

    def stop(self) -> None:
        if self._draining is None:
            self._draining = asyncio.ensure_future(self._drain())

    async def finish(self) -> None:
        """Stop, and wait for the end. Raises what the serving raised."""
        self.stop()
        if self._draining is not None:
            await self._draining
        if self._serving is not None:
            await self._serving

    async def _drain(self) -> None:
        self._readiness.draining = True
        self._uvicorn.say_close()
        loops = asyncio.ensure_future(self._on_drain())
        await asyncio.sleep(self._delay)
        self._uvicorn.should_exit = True
        await loops


class DrainingUvicorn(uvicorn.Server):
    """Leaves signals to us: uvicorn raises them again when it is done, which would end the process before the
    refreshes under way are finished and the database is closed.

    `shares`: other processes accept from the same sockets. Then one connection is accepted in each turn of the loop: a
    loop accepts by itself all that wait, and so the first to wake would have the others idle. Of those that take one
    at a time, the busier come back later and take fewer.
    """

    def __init__(self, config: uvicorn.Config, *, shares: bool = False) -> None:
        super().__init__(config)
        self._shares = shares
        self._accepting: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def say_close(self) -> None:
        """Have each answer from now on end its connection."""
        close = (b"connection", b"close")
        self.config.encoded_headers.append(close)  # what the default headers are made of each second
        self.server_state.default_headers = [*self.server_state.default_headers, close]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen to the sockets ourselves: uvicorn would leave a minute for a handshake."""
        await self.lifespan.startup()
        loop = asyncio.get_running_loop()
        self.servers = []
        for listener in sockets or []:
            if self._shares:
                loop.add_reader(listener, self._accept_one, listener)
                continue
            made = await loop.create_server(
                self._protocol, sock=listener, backlog=self.config.backlog, ssl=self.config.ssl, **self._handshake
            )
            self.servers.append(made)
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._shares:
            for listener in sockets or []:
                asyncio.get_running_loop().remove_reader(listener)
        last = [connection for listener in sockets or [] for connection in _waiting(listener)]
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in last:
            await self._serve_one(connection)
        if self.server_state.connections:
            until = asyncio.get_running_loop().time() + LINGER_SECONDS
            while self.server_state.connections and asyncio.get_running_loop().time() < until:  # noqa: ASYNC110
                await asyncio.sleep(0.02)  # uvicorn has a set of them, no event
        await super().shutdown(sockets)

    def _accept_one(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            connection, _ = listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):  # it would be reported without end: look again later
                loop.remove_reader(listener)
                loop.call_later(FULL_SECONDS, self._look_again, listener)
            return
        connection.setblocking(False)
        task = loop.create_task(self._serve_one(connection))
        self._accepting.add(task)
        task.add_done_callback(self._accepting.discard)

    def _look_again(self, listener: socket.socket) -> None:
        if not self.should_exit:
            asyncio.get_running_loop().add_reader(listener, self._accept_one, listener)

    async def _serve_one(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it has hung up, or was too slow
            await asyncio.get_running_loop().connect_accepted_socket(
                self._protocol, connection, ssl=self.config.ssl, **self._handshake
            )

    def _protocol(self) -> asyncio.Protocol:
        kind: Any = self.config.http_protocol_class
        made: asyncio.Protocol = kind(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
        return made

    @property
    def _handshake(self) -> dict[str, Any]:
        return {"ssl_handshake_timeout": HANDSHAKE_SECONDS} if self.config.is_ssl else {}


def _waiting(listener: socket.socket) -> Iterator[socket.socket]:
    """Accept those who stand in the kernel's queue: closing the listener would reset them."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        connection.setblocking(False)
        yield connection
