"""The window that a widget has opened: the page it waits in, and the page that hears from its opener.

A link's own page asks whose account is being connected, as links get sent around. Where the page that opened the window
shows that it did (see `access.widgets.handoff`), that is known, and the browser goes straight on to the provider.
"""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from holdfast.access.widgets import WidgetTokens, check_origin
from holdfast.access.widgets.handoff import is_handed_off
from holdfast.connect.pages import PAGE_HEADERS, ConnectPages, read_typed
from holdfast.errors import HoldfastError, Invalid

# No Cross-Origin-Opener-Policy: it would cut the window off from the page that opened it.
_HEADERS = {
    **{name: value for name, value in PAGE_HEADERS.items() if name != "cross-origin-opener-policy"},
    "content-security-policy": PAGE_HEADERS["content-security-policy"] + "; script-src 'self'",
}
_COMPONENT = Path(__file__).parent / "static" / "holdfast-connections.js"
_PUBLIC = {
    "access-control-allow-origin": "*",
    "cross-origin-resource-policy": "cross-origin",
    "cache-control": "public, max-age=300",
    "x-content-type-options": "nosniff",
}
"""The component is the same for everybody, so any page may load it, also as a module or with `integrity`."""


class HandoffPages:
    def __init__(self, connect: ConnectPages, tokens: WidgetTokens) -> None:
        self._connect, self._tokens = connect, tokens

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/pipes/redirecting", self.redirecting, methods=["GET"]),
            Route("/pipes/authorize/{link}", self.wait, methods=["GET", "HEAD"]),
            Route("/pipes/authorize/{link}", self.go, methods=["POST"]),
            Route("/widgets/holdfast-connections.js", self.component, methods=["GET", "HEAD"]),
        ]

    async def component(self, _request: Request) -> Response:
        return FileResponse(_COMPONENT, media_type="text/javascript; charset=utf-8", headers=_PUBLIC)

    async def redirecting(self, _request: Request) -> Response:
        """Where a new window rests until its opener knows the address to send it to."""
        return self._connect.page("redirecting.html", 200, {"link": "", "opener": ""}, _HEADERS)

    async def wait(self, request: Request) -> Response:
        """Wait for the opener's word. Without script, without an opener, or without a word: the link's own page."""
        link, opener = request.path_params["link"], request.query_params.get("opener", "")
        try:
            if check_origin(opener) != opener:
                return _own_page(link)
        except Invalid:
            return _own_page(link)
        try:
            await self._connect.start.open(link, request.cookies.get(self._connect.cookie))
        except HoldfastError as error:
            return self._connect.problem(error)
        return self._connect.page("redirecting.html", 200, {"link": link, "opener": opener}, _HEADERS)

    async def go(self, request: Request) -> Response:
        """Start, if the hand-off is the one that was given to the opener's page; else ask on the link's own page."""
        link = request.path_params["link"]
        if request.headers.get("sec-fetch-site") != "same-origin":
            return _own_page(link)
        try:
            sent = await read_typed(request)
            if not is_handed_off(self._tokens, link, sent.get("opener", ""), sent.get("handoff", "")):
                return _own_page(link)
            return await self._connect.to_provider(request, request.cookies.get(self._connect.cookie))
        except HoldfastError as error:
            return self._connect.problem(error)


def _own_page(link: str) -> Response:
    return RedirectResponse(f"/data-integrations/{link}/authorize-redirect", 303, _HEADERS)
