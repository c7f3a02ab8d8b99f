"""What an environment's end users see: name, logo, colour, way home and language, with a picture of the outcome."""

import base64
from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, UnsetType
from starlette.responses import Response
from starlette.routing import BaseRoute

from holdfast.access.administrators import Right
from holdfast.access.branding import Branding, Logo, change_branding, read_branding, read_logo, shades_of
from holdfast.access.branding import store as branding_store
from holdfast.access.branding.colours import GROUNDS, Theme, contrast
from holdfast.dashboard.frame import Frame, Visit
from holdfast.errors import HoldfastError, Unprocessable
from holdfast.storage import Connection as Tx
from holdfast.storage import Database

_OURS = {"light": "#1b5bd7", "dark": "#7aa7ff"}
"""The accents of connect.css, where an environment has none."""
_ON = {"light": "#ffffff", "dark": "#0b1220"}
_TEXT = {"light": ("#16191f", "#596273", "#dfe3ea"), "dark": ("#e8ebf0", "#9aa4b5", "#2c323d")}


class BrandingPages:
    def __init__(self, frame: Frame, database: Database, languages: Mapping[str, str]) -> None:
        self._frame, self._database, self._languages = frame, database, languages

    def routes(self) -> list[BaseRoute]:
        frame = self._frame
        return [
            frame.get("settings/branding", self.show),
            frame.post("settings/branding", self.save, Right.CONFIGURE),
        ]

    async def show(self, visit: Visit) -> Response:
        branding, logo = await self._kept(visit)
        return self._frame.page(visit, "branding.html", **self._facts(branding, branding, logo))

    async def save(self, visit: Visit) -> Response:
        """Keep what was typed; or, asked to look first, draw it and keep nothing."""
        kept, kept_logo = await self._kept(visit)
        try:
            wanted, logo = await self._read(visit)
        except HoldfastError as error:
            return self._frame.mistakes(visit, "branding.html", error, **self._facts(kept, kept, kept_logo))
        if visit.text("go") == "look":
            shown = kept_logo if isinstance(logo, UnsetType) else logo
            typed = {name: visit.text(name) for name in ("name", "accent", "home_url", "language")}
            facts = self._facts(kept, wanted, shown)
            return self._frame.page(visit, "branding.html", **{**facts, "typed": typed, "looked": True})
        actor = visit.signed_in.administrator.actor()
        await change_branding(self._database, self._frame.clock, visit.environment_id, actor, wanted, logo=logo)
        return self._frame.done(visit, "settings/branding", "saved")

    async def _read(self, visit: Visit) -> tuple[Branding, Logo | None | UnsetType]:
        """Return what was typed, and the logo as it is to be: UNSET = as it is. Raises with every field's fault."""
        faults: list[dict[str, str]] = []
        wanted = Branding()
        picture: Logo | None | UnsetType = UNSET
        try:
            wanted = read_branding(
                name=visit.text("name"),
                accent=visit.text("accent"),
                home_url=visit.text("home_url"),
                language=visit.text("language"),
                languages=self._languages,
                dev=self._frame.dev,
            )
        except HoldfastError as error:
            faults += error.fields
        uploaded = await visit.upload("logo")
        try:
            if uploaded:
                picture = read_logo(uploaded)
            elif visit.text("no_logo"):
                picture = None
        except HoldfastError as error:
            faults += error.fields
        if faults:
            raise Unprocessable(faults[0]["message"], fields=faults)
        return wanted, picture

    async def _kept(self, visit: Visit) -> tuple[Branding, Logo | None]:
        def work(tx: Tx) -> tuple[Branding, Logo | None]:
            at = visit.environment_id
            return branding_store.branding_of(tx, at), branding_store.logo_of(tx, at)

        return await self._database.transact(work)

    def _facts(self, kept: Branding, shown: Branding, logo: Logo | None) -> dict[str, Any]:
        app = shown.name or self._frame.app_name
        return {
            "kept": kept,
            "default_name": self._frame.app_name,
            "languages": [("", "The one their browser asks for, else English"), *self._languages.items()],
            "looked": False,
            "app": app,
            "picture": _inline(logo),
            "wide": min(2.6, logo.width / logo.height) if logo is not None else 1.0,
            "themes": [_theme("light", shown.accent), _theme("dark", shown.accent)],
        }


def _theme(theme: Theme, accent: str) -> dict[str, str]:
    card, ground = GROUNDS[theme]
    text, quiet, line = _TEXT[theme]
    chosen = accent or _OURS[theme]
    shades = shades_of(chosen, theme)
    on, fill = (shades.on_accent, shades.accent) if accent else (_ON[theme], chosen)
    return {
        "name": theme,
        "card": card,
        "ground": ground,
        "text": text,
        "quiet": quiet,
        "line": line,
        "accent": fill,
        "on": on,
        "edge": shades.edge,
        "link": shades.link,
        "ratio": f"{contrast(on, fill):.1f}",
    }


def _inline(logo: Logo | None) -> str:
    """Return the picture as an address of its own: one that is not kept yet has no other."""
    return f"data:{logo.media_type};base64,{base64.b64encode(logo.data).decode()}" if logo is not None else ""
