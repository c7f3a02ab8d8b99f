"""What the pages are dressed with is served by us, safely, and only as it is."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from holdfast.access import ensure_environment
from holdfast.access.branding import Branding, change_branding, read_logo
from holdfast.app import Holdfast
from holdfast.cli.serve import running
from holdfast.config import Config
from holdfast.events import Actor
from tests.connect import pictures

APP = Actor("api_key", "key")


@dataclass(frozen=True)
class Place:
    holdfast: Holdfast
    web: httpx2.AsyncClient

    async def wear(self, branding: Branding, logo: bytes | None = None, environment_id: str = "") -> Branding:
        holdfast, picture = self.holdfast, read_logo(logo) if logo else None
        at = environment_id or holdfast.environment.id
        return await change_branding(holdfast.database, holdfast.clock, at, APP, branding, logo=picture)

    async def page(self, **headers: str) -> httpx2.Response:
        return await self.web.get("/connect/success", headers=headers)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with running(Config(dev=True, data_dir=tmp_path, port=0, app_name="Plain")) as (holdfast, _):
        async with httpx2.AsyncClient(base_url=holdfast.config.base_url, trust_env=False) as web:
            yield Place(holdfast, web)


async def test_a_logo_is_served_as_what_it_is_and_as_nothing_else(place: Place) -> None:
    picture = pictures.png()
    kept = await place.wear(Branding("Northwind"), picture)
    address = f"/connect/logos/{place.holdfast.environment.id}/{kept.logo}"
    assert f'src="{address}"' in (await place.page()).text
    reply = await place.web.get(address)
    assert (reply.status_code, reply.content, reply.headers["content-type"]) == (200, picture, "image/png")
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in reply.headers["content-security-policy"]
    assert "immutable" in reply.headers["cache-control"]
    changed = await place.wear(Branding("Northwind"), pictures.png(50, 50))
    assert changed.logo != kept.logo
    assert (await place.web.get(address)).status_code == 404
    await place.wear(Branding("Northwind"))
    assert "<img" not in (await place.page()).text


@pytest.mark.parametrize("path", ["nothing/x", "00000000000000000000000000/x", "..%2f..%2fetc/passwd", "x%00/y"])
async def test_no_other_address_serves_a_logo(place: Place, path: str) -> None:
    assert (await place.web.get(f"/connect/logos/{path}")).status_code == 404


async def test_a_colour_is_a_style_sheet_and_nothing_else_can_be_asked_for(place: Place) -> None:
    await place.wear(Branding("Northwind", accent="#0a7f4f"))
    assert 'href="/connect/colours/0a7f4f.css"' in (await place.page()).text
    reply = await place.web.get("/connect/colours/0a7f4f.css")
    assert reply.headers["content-type"].startswith("text/css")
    assert "--accent: #0a7f4f" in reply.text
    assert "prefers-color-scheme: dark" in reply.text
    for wrong in ("red", "0A7F4F", "0a7f4f}body{x", "12345", "1234567", "%0a12345"):
        assert (await place.web.get(f"/connect/colours/{wrong}.css")).status_code == 404


async def test_a_name_is_text_wherever_it_stands(place: Place) -> None:
    await place.wear(Branding('<b>"x"</b>', home_url='https://a.example/?q="x"'))
    text = (await place.page()).text
    assert "<b>" not in text
    assert "&lt;b&gt;" in text
    assert '?q="' not in text


async def test_the_page_says_which_language_it_is_in(place: Place) -> None:
    await place.wear(Branding(language="es"))
    german, other = await place.page(**{"accept-language": "de"}), await place.page(**{"accept-language": "fr"})
    assert (german.headers["content-language"], other.headers["content-language"]) == ("de", "es")
    assert '<html lang="de" dir="ltr">' in german.text
    assert "accept-language" in german.headers["vary"]


async def test_of_several_environments_the_one_that_the_browser_was_in_gives_the_look(place: Place) -> None:
    holdfast = place.holdfast
    second, _ = await ensure_environment(holdfast.database, holdfast.vault, holdfast.clock, "second", APP)
    await place.wear(Branding("First"))
    await place.wear(Branding("Second"), environment_id=second.id)
    assert "Plain can use it" in (await place.page()).text
    assert "Second can use it" in (await place.page(cookie=f"holdfast-at={second.id}")).text
    assert "Plain can use it" in (await place.page(cookie="holdfast-at=../../x")).text


async def test_the_component_has_every_languages_words(place: Place) -> None:
    script = (await place.web.get("/widgets/holdfast-connections.js")).text
    for word in ("Reconnect", "Neu verbinden", "Volver a conectar"):
        assert f'"{word}"' in script


async def test_a_translation_of_the_operators_is_served(tmp_path: Path) -> None:
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "fr.toml").write_text('[meta]\nname = "Français"\n[done]\nheading_any = "C’est fait"\n')
    config = Config(dev=True, data_dir=tmp_path, port=0, translations_dir=tmp_path / "words")
    async with running(config) as (holdfast, _):
        async with httpx2.AsyncClient(base_url=holdfast.config.base_url, trust_env=False) as web:
            reply = await web.get("/connect/success", headers={"accept-language": "fr-CA"})
    assert "C’est fait" in reply.text
    assert '<html lang="fr"' in reply.text
