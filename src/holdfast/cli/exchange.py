"""A request that may be answered at once, and the head it may have in common with many others.

Callers who keep connections send the same head again and again. What a head means follows from its bytes alone, so one
that was parsed and answered at once is known when it comes again, whole and between two requests. Where it comes on
many connections it is one object for all of them: the processor's caches hold it, and not sixty copies in turn.
"""

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakValueDictionary

from starlette.types import ASGIApp, Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle
from uvicorn.server import ServerState

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


NO_SCOPE: Any = {}
"""Of a cycle whose request has none yet."""


class Exchange:
    """As `dispatch.Exchange`. With `head`, of a request whose head was known; its cycle has no scope or body yet."""

    __slots__ = ("_body", "_cycle", "_head", "_is_over", "_line", "kept")

    def __init__(
        self, line: "BoundedHttpProtocol", cycle: RequestResponseCycle, head: Head | None = None, body: bytes = b""
    ) -> None:
        self._line, self._cycle, self._head, self._body = line, cycle, head, body
        self._is_over = False
        self.kept: dict[str, Any] = {} if head is None else head.kept

    @property
    def scope(self) -> Scope:
        self._fill()
        return self._cycle.scope  # type: ignore[return-value]

    def whole(self, headers: bytes, body: bytes, status: int = 200) -> bool:
        if self._is_over:  # its cycle may be another's by now
            return False
        self._is_over = self._line.send_whole(self._cycle, headers, body, status)
        return self._is_over

    def otherwise(self, app: ASGIApp) -> None:
        self._fill()
        self._is_over = True
        self._line.start_otherwise(self._cycle, app)

    def _fill(self) -> None:
        if self._head is not None:
            head, self._head = self._head, None
            self._line.fill(self._cycle, head.scope(self._line), self._body)
