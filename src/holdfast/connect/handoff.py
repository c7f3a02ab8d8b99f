"""The window that a widget has opened: the page it waits in, and the page that hears from its opener.

A link's own page asks whose account is being connected, as links get sent around. Where the page that opened the window
shows that it did (see `access.widgets.handoff`), that is known, and the browser goes straight on to the provider.
"""

from importlib.resources import files

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from holdfast.access.widgets import WidgetTokens, check_origin
from holdfast.access.widgets.handoff import is_handed_off
from holdfast.connect.pages import PAGE_HEADERS, ConnectPages, read_typed
from holdfast.connect.words import Languages
from holdfast.errors import HoldfastError, Invalid

# No Cross-Origin-Opener-Policy: it would cut the window off from the page that opened it.
_HEADERS = {
    **{name: value for name, value in PAGE_HEADERS.items() if name != "cross-origin-opener-policy"},
    "content-security-policy": PAGE_HEADERS["content-security-policy"] + "; script-src 'self'",
}
_WORDS = "const TEXTS = {};"
"""Where the component's script has its words."""
_PUBLIC = {
    "access-control-allow-origin": "*",
    "cross-origin-resource-policy": "cross-origin",
    "cache-control": "public, max-age=300",
    "x-content-type-options": "nosniff",
}
"""The component is the same for everybody, so any page may load it, also as a module or with `integrity`."""


class HandoffPages:
    def __init__(self, connect: ConnectPages, tokens: WidgetTokens, languages: Languages) -> None:
        self._connect, self._tokens = connect, tokens
        self._component = component_of(languages)

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/pipes/redirecting", self.redirecting, methods=["GET"]),
            Route("/pipes/authorize/{link}", self.wait, methods=["GET", "HEAD"]),
            Route("/pipes/authorize/{link}", self.go, methods=["POST"]),
            Route("/widgets/holdfast-connections.js", self.component, methods=["GET", "HEAD"]),
        ]

    async def component(self, _request: Request) -> Response:
        return Response(self._component, media_type="text/javascript; charset=utf-8", headers=_PUBLIC)

    async def redirecting(self, request: Request) -> Response:
        """Where a new window rests until its opener knows the address to send it to."""
        return await self._connect.page(request, "redirecting.html", 200, {"link": "", "opener": ""}, _HEADERS)

    async def wait(self, request: Request) -> Response:
        """Wait for the opener's word. Without script, without an opener, or without a word: the link's own page."""
        link, opener = request.path_params["link"], request.query_params.get("opener", "")
        try:
            if check_origin(opener) != opener:
                return _own_page(link)
        except Invalid:
            return _own_page(link)
        try:
            opened = await self._connect.start.open(link, request.cookies.get(self._connect.cookie))
        except HoldfastError as error:
            return await self._connect.problem(request, error)
        facts, at = {"link": link, "opener": opener}, opened.attempt.environment_id
        return await self._connect.page(request, "redirecting.html", 200, facts, _HEADERS, environment_id=at)

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
            return await self._connect.problem(request, error)


def component_of(languages: Languages) -> bytes:
    """Return the component's script with every language's words in it."""
    script = files("holdfast.connect").joinpath("static", "holdfast-connections.js").read_text("utf-8")
    before, marker, after = script.partition(_WORDS)
    if not marker:
        raise AssertionError("the component's script has no place for its words")
    return b"".join(
        (before.encode(), b"const TEXTS = ", msgspec.json.encode(languages.component()), b";", after.encode())
    )


def _own_page(link: str) -> Response:
    return RedirectResponse(f"/data-integrations/{link}/authorize-redirect", 303, _HEADERS)
