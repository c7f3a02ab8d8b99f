"""A request that may be answered at once, and the head it may have in common with many others.

Callers who keep connections send the same head again and again. What a head means follows from its bytes alone, so one
that was parsed and answered at once is known when it comes again, whole and between two requests. Where it comes on
many connections it is one object for all of them: the processor's caches hold it, and not sixty copies in turn.
"""

from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary, WeakValueDictionary

import msgspec
from starlette.types import ASGIApp, Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle
from uvicorn.server import ServerState

from holdfast.api.dispatch import WHOLE

if TYPE_CHECKING:
    from holdfast.cli.http_protocol import BoundedHttpProtocol


class Head:
    """A head that was parsed: its bytes, the scope it makes, how many bytes of body follow it, and what the app keeps
    with it. The connections that know it share it, and it goes with the last of them."""

    __slots__ = ("__weakref__", "_scope", "kept", "length", "raw")

    def __init__(self, raw: bytes, scope: Scope, length: int, kept: dict[str, Any]) -> None:
        self._scope = {name: value for name, value in scope.items() if not name.startswith("holdfast.")}
        self._scope["headers"] = scope["headers"].copy()  # the request's own is the app's to change
        self.raw, self.length, self.kept = raw, length, kept

    def scope(self, line: "BoundedHttpProtocol") -> Scope:
        scope = self._scope.copy()
        scope["headers"], scope["state"] = self._scope["headers"].copy(), line.app_state.copy()
        scope["server"], scope["client"], scope["scheme"] = line.server, line.client, line.scheme
        scope[WHOLE] = line.send_whole_of
        return scope


class Shared:
    """What the connections of one server share: the heads they know, and the lines with which each reply begins."""

    def __init__(self) -> None:
        self.heads: WeakValueDictionary[bytes, Head] = WeakValueDictionary()
        self._default: tuple[object, bytes, bytes] = (None, b"", b"")

    def beginning(self, status: int, default: list[tuple[bytes, bytes]]) -> bytes:
        """Return the status line and the server's own headers: a new list each second, for the date in it."""
        if self._default[0] is not default:
            lines = b"".join(name + b": " + value + b"\r\n" for name, value in default)
            self._default = default, STATUS_LINE[200] + lines, lines
        return self._default[1] if status == 200 else STATUS_LINE[status] + self._default[2]


_shared: WeakKeyDictionary[ServerState, Shared] = WeakKeyDictionary()


def shared_by(server: ServerState) -> Shared:
    """Return what a server's connections share."""
    found = _shared.get(server)
    if found is None:
        found = _shared[server] = Shared()
    return found


class Exchange:
    """As `dispatch.Exchange`, of a request that was parsed: uvicorn has a cycle for it."""

    __slots__ = ("_cycle", "_is_over", "_line", "kept")

    def __init__(self, line: "BoundedHttpProtocol", cycle: RequestResponseCycle) -> None:
        self._line, self._cycle = line, cycle
        self._is_over = False
        self.kept: dict[str, Any] = {}

    @property
    def scope(self) -> Scope:
        return self._cycle.scope  # type: ignore[return-value]

    def whole(self, headers: bytes, body: bytes, status: int = 200) -> bool:
        if self._is_over:
            return False
        self._is_over = self._line.send_whole(self._cycle, headers, body, status)
        return self._is_over

    def otherwise(self, app: ASGIApp) -> None:
        self._is_over = True
        self._line.start_otherwise(self._cycle, app)


class _Unheard:
    """The event of a cycle that no task waits for."""

    def set(self) -> None:
        """Do nothing."""


class Again(msgspec.Struct):
    """As `dispatch.Exchange`, of a request whose head was known. It stands where uvicorn has its cycle, with what is
    asked of one there, and makes a cycle, as it makes a scope, only for whoever needs it."""

    _line: "BoundedHttpProtocol"
    _head: Head
    _body: bytes
    kept: dict[str, Any]
    _scope: Scope | None = None
    response_started: bool = False
    response_complete: bool = False
    disconnected: bool = False
    keep_alive: bool = True
    waiting_for_100_continue: bool = False
    message_event: ClassVar[_Unheard] = _Unheard()

    def __repr__(self) -> str:
        return "<Again>"  # its head has a key in it

    @property
    def scope(self) -> Scope:
        if self._scope is None:
            self._scope = self._head.scope(self._line)
        return self._scope

    def whole(self, headers: bytes, body: bytes, status: int = 200) -> bool:
        return self._line.send_whole(self, headers, body, status)

    def otherwise(self, app: ASGIApp) -> None:
        """As `dispatch.Exchange.otherwise`. From then on a cycle stands in the place of this, if it still has that: the
        next request, whose body may be yet to come, takes it as soon as its head is read."""
        line = self._line
        standing: object = line.cycle
        cycle = line.cycle_of(self.scope, self._body)
        cycle.disconnected, cycle.keep_alive = self.disconnected, self.keep_alive
        if standing is self:
            line.cycle = cycle
        line.start_otherwise(cycle, app)
