"""What a door hands in: one call, its parts still as they came, its address not yet looked at."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec

from holdfast.access import Principal
from holdfast.accounts import Owner
from holdfast.outbound.wire import Pairs


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    principal: Principal
    confirm: Callable[[], Awaitable[Principal]] | None
    """Set where the key was met before and not looked up again: the plain read checks it; all else has to ask."""
    connection: str | None
    """Its name; None = that of the one connection whose provider owns the host in `url`."""
    owner: Owner
    account_id: str | None = None
    method: str
    path: str = "/"
    """The path as it was sent, percent-encoding and all."""
    url: str | None = None
    """An absolute address in place of `path` and `query`."""
    query: str = ""
    headers: Pairs
    body: Any = None
    """None, bytes, or an async iterator of bytes. Bytes can be sent again; what is read once cannot."""
    length: int | None = None
    wait: float = 0.0
    """Seconds the caller is willing to wait where the provider says "not before"."""
    request_id: str
    approval: str = ""
    """The approval that this call has taken before it is made again, with a renewed token or after a wait."""

    @property
    def repeatable(self) -> bool:
        return self.body is None or isinstance(self.body, bytes)

    def __repr__(self) -> str:
        return f"Asked({self.method} {self.connection}, {self.request_id})"

    def bearing(self, body: bytes | AsyncIterator[bytes], length: int | None) -> "Asked":
        return msgspec.structs.replace(self, body=body, length=length)
