"""Connections by origin: kept, bounded in number, and made only to addresses that were resolved once and checked."""

import asyncio
import contextlib
import socket
import ssl
from collections import deque
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any, Protocol

from holdfast.outbound.errors import Blocked, NotSent
from holdfast.outbound.guard import Target, may_connect, refusal
from holdfast.outbound.wire import Wire

IDLE_SECONDS = 4.0
"""How long an unused connection is kept. Many servers close theirs after 5 s (Node's default); a request
written into a connection that is being closed is lost with its fate unknown, so we leave first."""
_RESOLVED_SECONDS = 5.0
"""How long checked addresses are used again for new connections to the same name, unless none could be made."""
_MOST_NAMES = 1024
_SWEEP_SECONDS = 0.25
"""How often connections at rest are looked through for those that have been so for too long."""
_NEXT_ADDRESS_SECONDS = 0.25
"""How long one of several addresses is waited for before the next is tried beside it (RFC 8305 section 5): a host whose
IPv6 leads nowhere must not cost the whole time-out."""


class Resolver(Protocol):
    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses of `host`. Raises OSError if there are none."""
        ...


class GetAddrInfo:
    """The operating system's resolver."""

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class Origins:
    """The connections to every origin (scheme, host and port) that is being talked to."""

    def __init__(
        self,
        *,
        allow_private: bool,
        connect_timeout: float,
        per_origin: int,
        resolver: Resolver | None,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._allow_private, self._connect_timeout, self._per_origin = allow_private, connect_timeout, per_origin
        self._resolver = resolver or GetAddrInfo()
        self._tls = tls
        self._pools: dict[tuple[str, str, int], _Pool] = {}
        self._resolved: dict[tuple[str, str], tuple[float, Sequence[str]]] = {}
        self._sweeping: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Close what is at rest, and send away who waits for a place. Whoever uses a connection closes it."""
        pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            pool.close()
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None

    def rested(self, target: Target) -> Wire | None:
        """Return a connection to the target that is there already and takes no other request, if there is one."""
        pool = self._pools.get((target.scheme, target.host, target.port))
        return None if pool is None else pool.resting()

    async def connected(self, target: Target, loop: asyncio.AbstractEventLoop, until: float | None = None) -> Wire:
        """Return a connection to the target that is open and takes no other request. Raises Blocked and NotSent."""
        key = (target.scheme, target.host, target.port)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = _Pool(self._per_origin, loop)
            if self._sweeping is None:
                self._sweeping = loop.call_later(_SWEEP_SECONDS, self._sweep, loop)
        wire = pool.resting()
        if wire is not None:
            return wire
        try:
            latest = loop.time() + self._connect_timeout
            async with asyncio.timeout_at(latest if until is None else min(latest, until)):
                wire = await pool.turn()
                if wire is not None:
                    return wire
                try:
                    return await self._connect(target, pool, loop)
                except BaseException:
                    pool.free()
                    raise
        except TimeoutError:
            self._resolved.pop((target.scheme, target.host), None)
            raise NotSent(f"No connection to {target.host} could be made in time.") from None

    async def _connect(self, target: Target, pool: "_Pool", loop: asyncio.AbstractEventLoop) -> Wire:
        trust = self._trust() if target.scheme == "https" else None
        name = target.host.strip("[]")
        addresses = await self._addresses(target, loop)
        try:
            # Only addresses that were checked, as numbers: nothing is resolved again.
            place: dict[str, Any] = (
                {"host": addresses[0], "port": target.port}
                if len(addresses) == 1
                else {"sock": await _first_to_answer(addresses, target.port)}
            )
            _, wire = await loop.create_connection(
                lambda: Wire(pool, target.host),
                ssl=trust,
                server_hostname=name if trust is not None else None,
                **place,
            )
        except ssl.SSLError:
            raise NotSent(f"{target.host} could not prove its identity over TLS.") from None
        except OSError as error:
            self._resolved.pop((target.scheme, target.host), None)
            raise NotSent(f"No connection to {target.host} could be made ({type(error).__name__}).") from None
        return wire

    async def _addresses(self, target: Target, loop: asyncio.AbstractEventLoop) -> Sequence[str]:
        """Resolve once, check every answer, and say which addresses may be connected to: these and no others."""
        if target.literal is not None:
            found: Sequence[str] = [str(target.literal)]
        else:
            known = self._resolved.get((target.scheme, target.host))
            if known is not None and known[0] > loop.time():
                return known[1]
            try:
                found = await self._resolver.resolve(target.host, target.port)
            except OSError:
                found = ()
            if not found:
                raise NotSent(f"The name {target.host} could not be resolved.")
        # One bad address condemns the name: an honest one does not mix public and private answers.
        for address in found:
            if not may_connect(address, scheme=target.scheme, allow_private=self._allow_private):
                raise Blocked(refusal(target.host, target.scheme))
        checked = [str(ip_address(address)) for address in found]
        if target.literal is None:
            if len(self._resolved) >= _MOST_NAMES:
                self._resolved.clear()
            self._resolved[target.scheme, target.host] = (loop.time() + _RESOLVED_SECONDS, checked)
        return checked

    def _trust(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        for key, pool in list(self._pools.items()):
            pool.sweep(loop.time() - IDLE_SECONDS)
            if pool.is_empty:
                del self._pools[key]
        self._sweeping = loop.call_later(_SWEEP_SECONDS, self._sweep, loop) if self._pools else None


async def _first_to_answer(addresses: Sequence[str], port: int) -> socket.socket:
    """Return a socket connected to one of the addresses: the first in their order, if it answers soon."""
    import aiohappyeyeballs  # few names have several addresses when the server starts

    return await aiohappyeyeballs.start_connection(
        [_address_info(address, port) for address in addresses], happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS
    )


def _address_info(address: str, port: int) -> "tuple[Any, ...]":
    if ip_address(address).version == 4:
        return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)
    return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port, 0, 0)


class _Pool:
    """The connections to one origin: those at rest, and how many there are in all."""

    def __init__(self, most: int, loop: asyncio.AbstractEventLoop) -> None:
        self._most, self._loop = most, loop
        self._resting: list[Wire] = []
        self._taken = 0
        self._waiting: deque[asyncio.Future[Wire | None]] = deque()

    @property
    def is_empty(self) -> bool:
        return not self._resting and not self._taken and not self._waiting

    def resting(self) -> Wire | None:
        """Take the connection that rested last, if there is one that is open and fresh."""
        while self._resting:
            wire = self._resting.pop()
            if wire.is_open and self._loop.time() - wire.rested_at < IDLE_SECONDS:
                self._taken += 1
                return wire
            wire.rested_at = -1.0  # at rest it was not counted, so its closing frees no place
            wire.shut()
        return None

    async def turn(self) -> Wire | None:
        """Wait until another connection may be opened (None), or one is free. It counts as taken."""
        if self._taken < self._most:
            self._taken += 1
            return None
        waiting: asyncio.Future[Wire | None] = self._loop.create_future()
        self._waiting.append(waiting)
        try:
            return await waiting
        except BaseException:
            if waiting.done() and not waiting.cancelled():
                wire = waiting.result()
                if wire is not None:
                    wire.shut()
                self.free()
            raise

    def settled(self, wire: Wire, *, whole: bool) -> None:
        """A connection's exchange is over, or it was lost while it rested."""
        if wire in self._resting:
            self._resting.remove(wire)
            return
        if wire.rested_at < 0:
            return  # it was counted before: this is the echo of its closing
        if not whole:
            wire.rested_at = -1.0
            self.free()
            return
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(wire)
                return
        self._taken -= 1
        wire.rested_at = self._loop.time()
        self._resting.append(wire)

    def free(self) -> None:
        """A place is free: whoever waits longest takes it."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(None)
                return
        self._taken -= 1

    def sweep(self, before: float) -> None:
        keep = [wire for wire in self._resting if wire.is_open and wire.rested_at >= before]
        gone, self._resting = [wire for wire in self._resting if wire not in keep], keep
        for wire in gone:
            wire.rested_at = -1.0
            wire.shut()

    def close(self) -> None:
        for wire in self._resting:
            wire.rested_at = -1.0
            wire.shut()
        self._resting = []
        while self._waiting:
            with contextlib.suppress(asyncio.InvalidStateError):
                self._waiting.popleft().set_exception(NotSent("The server is being stopped."))
