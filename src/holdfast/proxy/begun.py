"""The frequent call without a task: a plain read of its credential, one small request, one reply that comes whole.

Each step is begun by what ends the one before it. Whatever is not as usual (a read that is not plain, no connection at
rest, a reply that comes in pieces, takes long, or may ask for a renewal) goes on in a task, from where it is: `rest`.
"""

import asyncio
from collections.abc import Callable

from msgspec import structs

from holdfast.outbound import Exchange, Streaming
from holdfast.proxy.asked import Asked
from holdfast.proxy.credential import Credentials
from holdfast.proxy.forward import Answered, Close, Proxy
from holdfast.tokens import PlainAsk
from holdfast.tokens.store import Found


class Begun:
    """A call under way. `told` is called once, unless it is taken over before."""

    __slots__ = (
        "_ask",
        "_asked",
        "_close",
        "_credentials",
        "_exchange",
        "_found",
        "_headers",
        "_is_read",
        "_proxy",
        "_streaming",
        "_told",
        "_waiting",
        "answered",
    )

    def __init__(
        self,
        proxy: Proxy,
        asked: Asked,
        ask: PlainAsk,
        headers: dict[bytes, bytes],
        told: "Callable[[Begun], None]",
    ) -> None:
        self._proxy, self._asked, self._ask, self._headers, self._told = proxy, asked, ask, headers, told
        self._credentials: Credentials = proxy.credentials
        self._streaming: Streaming = proxy.streaming
        self._is_read = False
        self._found: Found | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._close: Close | None = None
        self._exchange: Exchange | None = None
        self.answered: Answered | None = None
        """The whole reply, once there is one that nothing is left to do about."""

    def take_over(self) -> None:
        """Let `told` be: a task goes on with `rest`."""
        if self._exchange is not None:
            self._exchange.heard = None
        elif not self._is_read:
            self._waiting = asyncio.get_running_loop().create_future()

    def read(self, found: Found | None) -> None:
        """The credential was looked up: its read is on record, or it is not a plain one (None)."""
        self._is_read, self._found = True, found
        if self._waiting is not None:
            if not self._waiting.done():
                self._waiting.set_result(None)
            return
        try:
            is_sent = found is not None and self._send(found)
        except Exception:  # whatever it is: `rest` meets it again and says it, and the others of the batch wait
            is_sent = False
        if not is_sent:
            self._told(self)

    def _send(self, found: Found) -> bool:
        asked, proxy = self._asked, self._proxy
        held = self._credentials.held_of(asked, self._ask, found)
        if held is None or proxy.is_full(held.account_id):
            return False
        there = proxy.destination(asked, held)
        close = Close(proxy, asked, held, there)
        exchange = self._streaming.begin(proxy.request(asked, held, there, self._headers))
        if exchange is None:
            return False
        proxy.enter(held.account_id)
        self._close, self._exchange, exchange.heard = close, exchange, self._heard
        return True

    def _heard(self, exchange: Exchange) -> None:
        close = self._close
        try:
            if close is not None and exchange.complete and self._proxy.is_final(self._asked, close.held, exchange):
                close.counted(self._asked)
                self.answered = self._proxy.answered(close, close.held, exchange)
        except Exception:  # `rest` meets it again, and says it
            self.answered = None
        self._told(self)

    async def rest(self) -> Answered:
        """Go on from where it is, and return the reply as `Proxy.call` does. Raises what that raises."""
        if self.answered is not None:
            return self.answered
        if self._waiting is not None:
            await self._waiting
        if self._close is not None:
            return await self._proxy.heard(self._close, self._headers, self._exchange)
        asked, proxy = self._asked, self._proxy
        if self._found is not None:
            held = await self._credentials.opened_of(asked, self._ask, self._found)
            if held is not None:
                return await proxy.sent(asked, held, proxy.destination(asked, held), self._headers)
        if asked.confirm is not None:
            asked = structs.replace(asked, principal=await asked.confirm(), confirm=None)
        return await proxy.call(asked)


def begin(proxy: Proxy, asked: Asked, told: Callable[[Begun], None]) -> Begun | None:
    """Begin with a call whose body, if it has one, is bytes. None = nothing was begun: `Proxy.call` is its way.

    `told` is called with it when it is answered whole, or when `rest` is to be awaited. Raises as `Proxy.call` does
    before a credential is touched.
    """
    ask = proxy.credentials.plain_ask(asked)
    if ask is None:
        return None
    begun = Begun(proxy, asked, ask, proxy.checked(asked), told)
    proxy.credentials.begin(ask, begun.read)
    return begun
