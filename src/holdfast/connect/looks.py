"""How the pages look and sound in an environment: the app's name, logo, colour, way home; the browser's language."""

import re
from dataclasses import dataclass

import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from holdfast.access import store as access_store
from holdfast.access.branding import NO_BRANDING, Branding, shades_of
from holdfast.access.branding import store as branding_store
from holdfast.connect.words import Languages, Words
from holdfast.errors import HoldfastError
from holdfast.ids import is_id
from holdfast.storage import Connection as Tx
from holdfast.storage import Database

_log = structlog.get_logger("holdfast.connect")

_ACCENT = re.compile(r"[0-9a-f]{6}")
_STATIC = {
    # Another logo has another address, so has another colour.
    "cache-control": "public, max-age=31536000, immutable",
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
}
_COLOURS = """\
{scope} {{ --accent: {accent}; --accent-text: {on}; --accent-edge: {edge}; --accent-link: {link}; }}
"""


@dataclass(frozen=True, slots=True)
class Look:
    """What every page is drawn with."""

    app: str
    words: Words
    accent: str = ""
    """Six hexadecimal digits, "" for our own colour."""
    home_url: str = ""
    logo: str = ""
    """The address that the logo is served under."""


class Looks:
    def __init__(self, database: Database, languages: Languages, *, app_name: str) -> None:
        self._database, self._languages, self._app_name = database, languages, app_name

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/connect/colours/{accent}.css", self.colours, methods=["GET", "HEAD"]),
            Route("/connect/logos/{environment}/{digest}", self.logo, methods=["GET", "HEAD"]),
        ]

    async def look(self, request: Request, environment_id: str | None) -> Look:
        """Return the look of an environment; of the only one, where none is known. Raises nothing: a page that tells
        of a database that is away is drawn without it."""
        try:
            environment_id, branding = await self._database.transact(lambda tx: _branding(tx, environment_id))
        except HoldfastError as error:
            _log.warning("branding_unavailable", code=error.code)
            environment_id, branding = None, NO_BRANDING
        words = self._languages.choose(request.headers.get("accept-language", ""), branding.language)
        return Look(
            app=branding.name or self._app_name,
            words=words,
            accent=branding.accent.removeprefix("#"),
            home_url=branding.home_url,
            logo=f"/connect/logos/{environment_id}/{branding.logo}" if branding.logo else "",
        )

    async def colours(self, request: Request) -> Response:
        """A colour's style sheet: the same for everybody who asks, so there is nothing to look up."""
        accent = request.path_params["accent"]
        if _ACCENT.fullmatch(accent) is None:
            return _nothing()
        return Response(style_of(f"#{accent}"), media_type="text/css", headers=_STATIC)

    async def logo(self, request: Request) -> Response:
        """The environment's logo, under its digest only."""
        environment_id, digest = request.path_params["environment"], request.path_params["digest"]
        if not is_id(environment_id):
            return _nothing()
        found = await self._database.transact(lambda tx: branding_store.logo_of(tx, environment_id))
        if found is None or found.digest != digest:
            return _nothing()
        return Response(found.data, media_type=found.media_type, headers=_STATIC)


def style_of(accent: str) -> str:
    """Return the style sheet that makes the pages wear an accent, readable in light and in dark."""
    sheets = []
    for theme in ("light", "dark"):
        shades = shades_of(accent, theme)
        sheet = _COLOURS.format(
            scope=":root", accent=shades.accent, on=shades.on_accent, edge=shades.edge, link=shades.link
        )
        sheets.append(sheet if theme == "light" else f"@media (prefers-color-scheme: dark) {{\n{sheet}}}\n")
    return "".join(sheets)


def _branding(tx: Tx, environment_id: str | None) -> tuple[str | None, Branding]:
    if environment_id is None:
        known = access_store.list_environments(tx)
        environment_id = known[0].id if len(known) == 1 else None
    return environment_id, branding_store.branding_of(tx, environment_id) if environment_id else NO_BRANDING


def _nothing() -> Response:
    return PlainTextResponse("not found\n", 404, {"x-content-type-options": "nosniff", "cache-control": "no-store"})
