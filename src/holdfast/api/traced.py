"""Every call that comes in, as a span. It stands in front of the doors only while telemetry is on."""

from typing import Any

from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holdfast import telemetry
from holdfast.api.dispatch import WHOLE

UNTRACED = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by machines; nobody looks for one of these."""
_DOORS = (
    (("/relay", "/proxy"), "proxy"),
    (("/_widgets", "/widgets/"), "widgets"),
    (("/scalekit.", "/api/v1/", "/oauth/token", "/keys"), "scalekit"),
)


class Traced:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in UNTRACED:
            await self._app(scope, receive, send)
            return
        said = _Said(scope, send)
        with telemetry.incoming(_traceparent(scope)) as note:
            try:
                await self._app(scope, receive, said.send)
            finally:
                said.tell(note)


class _Said:
    """What the answer was, seen as it passes."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope, self._send = scope, send
        self.status: int | None = None
        self.grpc_status: int | None = None
        self._request = ""
        self._whole = scope.get(WHOLE)
        if self._whole is not None:
            scope[WHOLE] = self._send_whole

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._note(message["headers"])
        elif message["type"] == "http.response.trailers":
            self._note(message["headers"])
        await self._send(message)

    def _send_whole(self, scope: Scope, headers: bytes, body: bytes, status: int = 200) -> bool:
        sent: bool = self._whole is not None and self._whole(scope, headers, body, status)
        if sent:
            self.status = status
            self._note(line.split(b": ", 1) for line in headers.split(b"\r\n") if b": " in line)
        return sent

    def _note(self, headers: Any) -> None:
        for name, value in headers:
            if name == b"grpc-status" and value.isdigit():
                self.grpc_status = int(value)
            elif name in (b"x-request-id", b"x-holdfast-request-id"):
                self._request = value.decode("latin-1")

    def tell(self, note: telemetry.Note) -> None:
        template = _template(self._scope)
        note.call(self._scope["method"], template)
        note.set(status=self.status, grpc_status=self.grpc_status, request=self._request)
        if template is not None:
            note.set(door=_door(template, self._scope))
        if self.status is not None and self.status >= 500:
            note.fail("server_error")


def _traceparent(scope: Scope) -> str | None:
    found = [value for name, value in scope["headers"] if name == b"traceparent"]
    return found[0].decode("latin-1") if len(found) == 1 else None  # of several none counts: W3C Trace Context 3.2


def _template(scope: Scope) -> str | None:
    """Return the path's template, as the door that served it, or the pages' router, has left it."""
    template: str | None = scope.get(telemetry.ROUTE)
    route: BaseRoute | None = scope.get("route")
    if template is None and isinstance(route, Route):
        template = route.path_format
    return None if template is None else scope.get("root_path", "") + template


def _door(template: str, scope: Scope) -> str:
    for prefixes, door in _DOORS:
        if template.startswith(prefixes):
            return door
    return "workos" if telemetry.ROUTE in scope else "pages"
