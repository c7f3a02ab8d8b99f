"""One call, from what was asked to a reply that can be streamed. See the front page for the order of things."""

import asyncio
import time
from collections.abc import AsyncIterator

from msgspec import structs

from holdfast import metrics, telemetry
from holdfast.accounts import Owner
from holdfast.approvals import ApprovalRequired
from holdfast.clock import Clock
from holdfast.errors import HoldfastError, TooMany
from holdfast.events import Action
from holdfast.events.entry import Line
from holdfast.ids import new_id
from holdfast.outbound import ConnectionStale, Exchange, Outgoing, Streaming
from holdfast.outbound.wire import Pairs
from holdfast.proxy import signals
from holdfast.proxy.address import check_path, check_query, shown
from holdfast.proxy.asked import Asked
from holdfast.proxy.credential import Credentials, Held
from holdfast.proxy.headers import backward, onward
from holdfast.proxy.ledger import Ledger
from holdfast.proxy.outlet import Destination, Outlet, carried
from holdfast.proxy.permission import NotAllowed

_REPEATABLE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Safe by RFC 9110 section 9.2.1: sent again where a kept connection turns out to have been closed."""
_CALLED, _REFUSED = Action.PROXY_CALLED.value, Action.PROXY_REFUSED.value
FUTILE_SECONDS = 60.0
"""For how long an account is not renewed again on a 401, after a renewed token was answered 401 too."""
_MOST_FUTILE = 10_000


class Answered:
    """The provider's reply. `end` must be called, once it is taken or given up; it writes the call's entry."""

    __slots__ = ("_close", "exchange", "headers", "received", "status")

    def __init__(self, exchange: Exchange, headers: Pairs, close: "Close") -> None:
        self.exchange, self.headers, self.status = exchange, headers, exchange.status
        self.received = 0
        self._close = close

    @property
    def is_whole(self) -> bool:
        """Tell whether everything has arrived: then `take` does not wait."""
        return self.exchange.complete

    async def take(self) -> bytes:
        """Return the next piece of the body; b"" at its end. Raises ReplyLost if it is cut off."""
        piece = await self.exchange.take()
        self.received += len(piece)
        return piece

    def all(self) -> bytes:
        """Return the body of a reply that is whole; it can still be taken."""
        return self.exchange.all()

    def abort(self, error: HoldfastError) -> None:
        """Break off: whoever takes is told why."""
        self.exchange.abort(error)

    def end(self, outcome: str = "") -> None:
        self.exchange.close()
        self._close.write(self.status, self.received, outcome)


class Proxy:
    def __init__(
        self,
        credentials: Credentials,
        streaming: Streaming,
        ledger: Ledger,
        clock: Clock,
        *,
        per_account: int,
        most_wait: float,
    ) -> None:
        self.credentials, self.streaming, self._ledger, self._clock = credentials, streaming, ledger, clock
        self._per_account, self._most_wait = per_account, most_wait
        self._running: dict[str, int] = {}
        self._futile: dict[str, float] = {}

    async def close(self) -> None:
        await self.streaming.close()
        await self._ledger.drain(5.0)

    async def settled(self) -> None:
        """Wait until the entries of the calls that are over are written."""
        await self._ledger.drain(5.0)

    async def call(self, asked: Asked) -> Answered:
        """Make the call and return the provider's reply when its head is there, whatever its status.

        Raises before anything was sent: Invalid for an address or header that may not go out, NotAllowed by the
        connection's rules (an entry says so), ApprovalRequired, NotProxied, AuthorizationRequired,
        TooMany over the account's cap, Unauthenticated, NotFound, Conflict, NotSent. Raises ReplyLost where it may
        have been sent.
        """
        with telemetry.span("proxy", request=asked.request_id, method=asked.method) as note:
            answered = await self._call(asked, note)
            note.set(status=answered.status)
            return answered

    async def _call(self, asked: Asked, note: telemetry.Note) -> Answered:
        headers = self.checked(asked)
        try:
            held = await self.credentials.hold(asked)
        except NotAllowed as error:
            self._note_refused(asked, error)
            raise
        except ApprovalRequired:  # the log has an entry of what was asked for, once
            metrics.PROXY_CALLS.add("held")
            raise
        there = self.destination(asked, held)
        note.set(account=held.account_id, provider=held.outlet.provider.slug, host=there.target.host)
        return await self.sent(asked, held, there, headers)

    def checked(self, asked: Asked) -> dict[bytes, bytes]:
        """Return the headers that go along. Raises what is to be said before a credential is touched."""
        if asked.url is None:
            check_path(asked.path, encoded_slash=True)  # what no provider takes
            check_query(asked.query)
        headers = onward(asked.headers)
        self._ledger.check()
        return headers

    def destination(self, asked: Asked, held: Held) -> Destination:
        return self.credentials.destination(held.outlet, asked)

    async def sent(self, asked: Asked, held: Held, there: Destination, headers: dict[bytes, bytes]) -> Answered:
        """Send what was asked with a credential whose read is on record. Raises as `call`."""
        close = Close(self, asked, held, there)
        self.enter(held.account_id)
        return await self.heard(close, headers, None)

    async def heard(self, close: "Close", headers: dict[bytes, bytes], begun: Exchange | None) -> Answered:
        """Return the reply of a call that was entered, of which an exchange may be under way already."""
        try:
            exchange, held = await self._exchange(close.counted(close.asked), close.held, close.there, headers, begun)
        except BaseException as error:
            close.write(0, 0, error.code if isinstance(error, HoldfastError) else "cancelled")
            raise
        return self.answered(close, held, exchange)

    def answered(self, close: "Close", held: Held, exchange: Exchange) -> Answered:
        secret = b"" if held.secret is None else held.secret.reveal().encode()
        return Answered(exchange, backward(exchange.headers, status=exchange.status, secret=secret), close)

    def is_full(self, account_id: str) -> bool:
        return self._running.get(account_id, 0) >= self._per_account

    def enter(self, account_id: str) -> None:
        """Count a call of this account. Raises TooMany over its cap."""
        running = self._running.get(account_id, 0)
        if running >= self._per_account:
            raise TooMany(
                f"{running} calls of this account are under way already", code="too_many_calls", retry_after=1.0
            )
        self._running[account_id] = running + 1

    def leave(self, account_id: str, line: Line) -> None:
        running = self._running.get(account_id, 1) - 1
        if running > 0:
            self._running[account_id] = running
        else:
            self._running.pop(account_id, None)
        self._ledger.add(line)

    async def _exchange(
        self, asked: Asked, held: Held, there: Destination, headers: dict[bytes, bytes], begun: Exchange | None
    ) -> tuple[Exchange, Held]:
        renewed = waited = False
        while True:
            exchange, begun = await self._send(asked, held, there, headers, begun), None
            try:
                if await self._has_ended(held, exchange):
                    fresh = None
                    if renewed:
                        self._note_futile(held.account_id)
                    elif self._may_renew(held.account_id):
                        fresh = await self._renewed(asked, held)
                    renewed = True
                    if fresh is not None and asked.repeatable and _leads_there(fresh.outlet, held.outlet, there):
                        exchange.close()
                        held = fresh
                        continue
                if asked.wait > 0 and not waited and asked.repeatable:
                    pause = signals.asks_to_wait(
                        held.outlet.provider, exchange.status, exchange.headers, self._clock.now()
                    )
                    if pause is not None and pause <= min(asked.wait, self._most_wait):
                        waited = True
                        exchange.close()
                        await asyncio.sleep(pause)
                        await self._check_again(asked, held)
                        continue
                return exchange, held
            except BaseException:
                exchange.close()
                raise

    async def _renewed(self, asked: Asked, held: Held) -> Held | None:
        try:
            return await self.credentials.renewed(asked, held)
        except NotAllowed as error:  # the answer that is there is the caller's; the call is not made again
            self._note_refused(asked, error)
            return None

    async def _check_again(self, asked: Asked, held: Held) -> None:
        try:
            await self.credentials.check_again(asked, held)
        except NotAllowed as error:
            self._note_refused(asked, error)
            raise

    async def _send(
        self, asked: Asked, held: Held, there: Destination, headers: dict[bytes, bytes], begun: Exchange | None
    ) -> Exchange:
        request = self.request(asked, held, there, headers)
        try:
            return await (self.streaming.send(request) if begun is None else _begun(begun))
        except ConnectionStale:
            if asked.method not in _REPEATABLE_METHODS or not asked.repeatable:
                raise
            return await self.streaming.send(request)

    def request(self, asked: Asked, held: Held, there: Destination, headers: dict[bytes, bytes]) -> Outgoing:
        """Return the call with its credential, as it goes out. Raises Unprocessable."""
        going = dict(headers)
        path = carried(held.outlet, there, going, held.secret)
        going.setdefault(b"user-agent", b"Holdfast")
        if held.outlet.looks_inside or b"accept-encoding" not in going:
            going[b"accept-encoding"] = b"identity"  # nothing is unpacked here, and this caller did not ask for packing
        return Outgoing(asked.method, there.target, path, list(going.items()), asked.body, asked.length)

    async def _has_ended(self, held: Held, exchange: Exchange) -> bool:
        status, outlet = exchange.status, held.outlet
        if status == 401:
            return True
        if not outlet.looks_inside:
            return status >= 400 and signals.says_ended(outlet.provider, status, None)
        body = await exchange.whole(signals.MOST_LOOKED_AT) if _is_short(exchange) else None
        return signals.says_ended(outlet.provider, status, body)

    def is_final(self, asked: Asked, held: Held, exchange: Exchange) -> bool:
        """Tell whether a reply that is there is the caller's for certain, with nothing left to look into."""
        status, outlet = exchange.status, held.outlet
        if status == 401 or outlet.looks_inside or asked.wait > 0:
            return False
        return status < 400 or not signals.says_ended(outlet.provider, status, None)

    def _may_renew(self, account_id: str) -> bool:
        until = self._futile.get(account_id)
        return until is None or until <= time.monotonic()

    def _note_futile(self, account_id: str) -> None:
        if len(self._futile) >= _MOST_FUTILE:
            self._futile.clear()
        self._futile[account_id] = time.monotonic() + FUTILE_SECONDS

    def _note_refused(self, asked: Asked, error: NotAllowed) -> None:
        metrics.PROXY_CALLS.add("refused")
        account, there = error.account, error.there
        data: dict[str, object] = {
            "connection": error.connection.name,
            "method": asked.method[:32],
            "host": there.target.host,
            "path": shown(there.path),
            "why": error.why,
        }
        refused = _line(asked, _REFUSED, account.id, account.connection_id, account.owner, data, self._clock.now())
        self._ledger.add(refused)

    def line(self, close: "Close", status: int, received: int, seconds: float, outcome: str) -> Line:
        asked, held = close.asked, close.held
        data: dict[str, object] = {
            "connection": held.connection,
            "method": asked.method[:32],
            "host": close.there.target.host,
            "path": shown(close.there.path),
            "status": status or None,
            "ms": round(seconds * 1000, 1),
            "sent": close.sent,
            "received": received,
        }
        if held.approval:
            data["approval"] = held.approval
        if outcome:
            data["outcome"] = outcome
        return _line(asked, _CALLED, held.account_id, held.connection_id, held.owner, data, self._clock.now())


class Close:
    """What the closing entry will say, and that it is written once."""

    __slots__ = ("asked", "began", "held", "proxy", "sent", "there", "written")

    def __init__(self, proxy: Proxy, asked: Asked, held: Held, there: Destination) -> None:
        self.proxy, self.asked, self.held, self.there = proxy, asked, held, there
        self.began, self.sent, self.written = time.monotonic(), 0, False

    def counted(self, asked: Asked) -> Asked:
        """Return the call with its body counted as it goes."""
        if asked.body is None:
            return asked
        if isinstance(asked.body, bytes):
            self.sent = len(asked.body)
            return asked
        return structs.replace(asked, body=self._counting(asked.body))

    async def _counting(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for piece in body:
            self.sent += len(piece)
            yield piece

    def write(self, status: int, received: int, outcome: str) -> None:
        if not self.written:
            self.written = True
            metrics.PROXY_CALLS.add(f"{status // 100}xx" if status and not outcome else "failed")
            seconds = time.monotonic() - self.began
            metrics.PROXY_SECONDS.note(seconds)
            self.proxy.leave(self.held.account_id, self.proxy.line(self, status, received, seconds, outcome))


def _line(
    asked: Asked, action: str, account_id: str, connection_id: str, owner: Owner, data: dict[str, object], now: float
) -> Line:
    actor = asked.principal.actor()
    return Line(
        asked.principal.environment_id,
        new_id(now),  # its time is looked for
        now,
        action,
        actor.kind,
        actor.id,
        account_id,
        connection_id,
        owner.user_id,
        owner.organization_id,
        asked.request_id,
        data,
    )


async def _begun(exchange: Exchange) -> Exchange:
    try:
        await exchange.begun()
    except BaseException:
        exchange.close()
        raise
    return exchange


def _leads_there(fresh: Outlet, former: Outlet, there: Destination) -> bool:
    """Tell whether a renewed credential may go where the former one went: an account that was connected elsewhere
    meanwhile has a token for elsewhere, and for another's data."""
    same = fresh.base == former.base and fresh.base_path == former.base_path and fresh.fixed == former.fixed
    return same and fresh.leads_to(there.target)


def _is_short(exchange: Exchange) -> bool:
    """Tell whether the body may be waited for: it is there, or is a short document and no stream."""
    if exchange.complete:
        return True
    known = dict(exchange.headers)
    length = known.get(b"content-length", b"")
    if length.isdigit():
        return int(length) <= signals.MOST_LOOKED_AT
    return known.get(b"content-type", b"").startswith(b"application/json")
