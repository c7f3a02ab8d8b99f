"""Changing what end users see: by a form with a file in it, judged field by field, looked at before it is kept."""

import asyncio

import httpx2
import pytest

from holdfast.access.administrators import Role
from holdfast.access.branding import Branding, Logo, change_branding
from holdfast.access.branding import store as branding_store
from holdfast.events import Action, Actor
from tests.connect import pictures
from tests.dashboard.desk import Desk, desk, token_of, words
from tests.parts.browser import Page

__all__ = ["desk"]
PATH = "settings/branding"
GOOD = {"name": "Northwind", "accent": "#0A7F4F", "home_url": "https://northwind.example", "language": "de"}


async def _send(desk: Desk, logo: bytes | None = None, **fields: str) -> httpx2.Response:
    """Send the form as a browser does, file and all."""
    page = await desk.get(PATH)
    cookies = dict(desk.browser.cookies)
    async with httpx2.AsyncClient(cookies=cookies, trust_env=False, timeout=30) as web:
        return await web.post(
            f"{desk.base}/{PATH}",
            data={"csrf": token_of(page), "go": "save", **fields},
            files={"logo": ("../../logo.svg", logo, "image/svg+xml") if logo is not None else ("", b"", "")},
            headers={"sec-fetch-site": "same-origin"},
        )


async def _kept(desk: Desk) -> tuple[Branding, Logo | None]:
    at = desk.holdfast.environment.id
    return await desk.holdfast.database.transact(
        lambda tx: (branding_store.branding_of(tx, at), branding_store.logo_of(tx, at))
    )


@pytest.fixture(autouse=True)
async def _plain(desk: Desk) -> None:
    holdfast = desk.holdfast
    await change_branding(
        holdfast.database, holdfast.clock, holdfast.environment.id, Actor.system(), Branding(), logo=None
    )


async def test_what_is_typed_and_chosen_is_kept_and_shown(desk: Desk) -> None:
    picture = pictures.png()
    reply = await _send(desk, picture, **GOOD)
    assert (reply.status_code, reply.headers["location"]) == (303, "/dashboard/default/settings/branding?did=saved")
    branding, logo = await _kept(desk)
    assert logo is not None
    assert (logo.data, logo.media_type) == (picture, "image/png")  # by its bytes, not by what it was said to be
    assert branding == Branding("Northwind", "#0a7f4f", "https://northwind.example", "de", logo.digest)
    page = await desk.get(PATH)
    assert 'value="Northwind"' in page.text
    assert "#0a7f4f" in page.text
    assert "data:image/png;base64," in page.text
    entry = (await desk.entries(Action.ENVIRONMENT_CHANGED))[-1]
    assert entry.data["branding"]["name"] == "Northwind"
    seen = await asyncio.to_thread(desk.browser.get, f"{desk.holdfast.config.base_url}/connect/success")
    assert "Northwind" in seen.text


async def test_a_logo_stays_until_another_is_chosen_or_it_is_taken_away(desk: Desk) -> None:
    await _send(desk, pictures.png(), **GOOD)
    await _send(desk, None, **{**GOOD, "name": "Southwind"})
    branding, logo = await _kept(desk)
    assert branding.name == "Southwind"
    assert logo is not None
    assert branding.logo == logo.digest
    await _send(desk, pictures.webp_lossy(), **GOOD)
    other = (await _kept(desk))[1]
    assert other is not None
    assert other.media_type == "image/webp"
    await _send(desk, None, no_logo="1", **GOOD)
    assert await _kept(desk) == (Branding("Northwind", "#0a7f4f", "https://northwind.example", "de"), None)


async def test_every_mistake_is_told_beside_its_field_and_what_was_typed_stays(desk: Desk) -> None:
    wrong = {"name": "x" * 61, "accent": "reddish", "home_url": "javascript:alert(1)", "language": "xx"}
    reply = await _send(desk, pictures.SVG, **wrong)
    assert reply.status_code == 422
    for field in (*wrong, "logo"):
        assert f'id="{field}-problem"' in reply.text, field
    assert 'value="reddish"' in reply.text
    assert "not a PNG, JPEG or WebP" in reply.text
    assert await _kept(desk) == (Branding(), None)


async def test_a_picture_that_is_too_heavy_is_told_beside_its_field(desk: Desk) -> None:
    reply = await _send(desk, pictures.png() + b"\r\n" * 200_000, **GOOD)
    assert reply.status_code == 422
    assert 'id="logo-problem"' in reply.text
    assert 'value="Northwind"' in reply.text
    much = await _send(desk, b"\0" * 2_000_000, **GOOD)
    assert much.status_code == 422
    assert "too large" in much.text


async def test_a_look_shows_it_and_keeps_nothing(desk: Desk) -> None:
    reply = await _send(desk, pictures.png(), **{**GOOD, "go": "look"})
    assert reply.status_code == 200
    shown = words(Page("POST", PATH, 200, reply.headers, reply.text, ()))
    assert "Nothing was saved" in shown
    assert "Connect Calendar to Northwind" in shown
    assert reply.text.count('fill="#0a7f4f"') >= 2
    assert "data:image/png;base64," in reply.text
    assert await _kept(desk) == (Branding(), None)


async def test_who_may_not_configure_may_look_and_is_refused_to_change(desk: Desk) -> None:
    viewer = await desk.as_role(Role.VIEWER)
    page = await viewer.get(PATH)
    assert page.status == 200
    assert '<button class="primary"' not in page.text
    reply = await _send(viewer, pictures.png(), **GOOD)
    assert reply.status_code == 403
    assert await _kept(desk) == (Branding(), None)


async def test_a_form_without_the_sessions_token_changes_nothing(desk: Desk) -> None:
    reply = await _send(desk, pictures.png(), **{**GOOD, "csrf": "another"})
    assert reply.status_code == 403
    assert await _kept(desk) == (Branding(), None)
