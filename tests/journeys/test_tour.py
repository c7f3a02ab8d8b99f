"""The tour: a new operator goes from the first start to a connected account by clicking alone, at another's emulator of
Google. HOLDFAST_TOUR=1 (`make tour`) takes the pictures of docs/tour.md anew."""

import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.parts.browser import chromium
from tests.parts.emulate import Emulators
from tests.parts.picture import smaller
from tests.parts.server import HoldfastProcess

if TYPE_CHECKING:
    from playwright.async_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.node]
DOCS = Path(__file__).parents[2] / "docs"
PICTURES = DOCS / "tour"
MOST_BYTES = 80_000
TAKING = os.environ.get("HOLDFAST_TOUR") == "1"
WIDE, NARROW = {"width": 1180, "height": 760}, {"width": 375, "height": 760}
NAMES = (
    "01-welcome",
    "02-first-steps",
    "03-catalogue",
    "04-new-connection",
    "05-redirect-uri",
    "06-link",
    "07-confirm",
    "08-consent",
    "09-connected",
    "10-account",
    "11-overview-dark",
    "12-account-narrow",
)


async def _picture(page: "Page", name: str) -> None:
    """Take a picture of what is on the screen: into docs/tour if asked to, else into build/screens."""
    assert name in NAMES
    shot = await page.screenshot(animations="disabled", caret="hide")
    where = PICTURES if TAKING else Path("build/screens/tour")
    where.mkdir(parents=True, exist_ok=True)
    (where / f"{name}.png").write_bytes(smaller(shot))


@pytest.fixture
def server(tmp_path: Path, emulators: Emulators) -> Iterator[HoldfastProcess]:
    running = HoldfastProcess(
        tmp_path / "data",
        provider_origins=emulators.provider_origins(),
        env={"HOLDFAST_APP_NAME": "Acme Notes"},
        port=int(os.environ.get("HOLDFAST_TOUR_PORT", "0")),
    )
    yield running
    running.stop()


async def test_from_the_printed_link_to_a_connected_account_by_clicking(
    server: HoldfastProcess, emulators: Emulators
) -> None:
    google = emulators.google
    async with chromium() as browser:
        context = await browser.new_context(viewport=WIDE)  # type: ignore[arg-type]
        context.set_default_timeout(30_000)
        await context.grant_permissions(["clipboard-read", "clipboard-write"], origin=server.base_url)
        page = await context.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)

        await page.goto(server.announced["Dashboard"])
        await page.fill("#email", "ada@example.com")
        await page.fill("#name", "Ada Lovelace")
        await page.fill("#password", "correct horse battery")
        await _picture(page, "01-welcome")
        await page.click("text=Continue")
        assert await page.inner_text("h1") == "Overview"
        await _picture(page, "02-first-steps")

        await page.click("a.button:has-text('Choose a provider')")
        await page.fill("#q", "google")
        await page.click("button:has-text('Search')")
        assert await page.locator(".tile").count() < 15, "the search narrows"
        await _picture(page, "03-catalogue")
        await page.click(".tile:has(strong:text-is('Google'))")
        await page.click("a.button:has-text('Set up a connection')")
        await page.fill("#client_id", google.client_id)
        await page.fill("#client_secret", google.client_secret)
        await page.get_by_label("email").select_option("required")
        assert await page.is_checked("[name=enabled]")
        await _picture(page, "04-new-connection")
        await page.click("button:has-text('Make the connection')")
        assert "Enabled" in await page.inner_text(".head")
        await page.click("[data-copy]")
        await page.wait_for_selector("button:has-text('Copied')")
        copied = await page.evaluate("navigator.clipboard.readText()")
        assert re.fullmatch(rf"{server.base_url}/data-integrations/\S+/callback", copied)
        await _picture(page, "05-redirect-uri")

        await page.click("nav >> text=Accounts")
        await page.click("a.button:has-text('Connect an account') >> nth=0")
        await page.click("main a:has-text('Google')")
        await page.fill("#identifier", "user_grace")
        await page.click("button:has-text('Make a link')")
        assert "Waiting for its owner" in await page.inner_text("main")
        await _picture(page, "06-link")

        # Somebody else, elsewhere: the end user.
        theirs = await browser.new_context(viewport={"width": 600, "height": 640})
        theirs.set_default_timeout(30_000)
        user = await theirs.new_page()
        await user.goto(await page.locator("[data-copy]").get_attribute("data-copy") or "")
        assert "user_grace" in await user.inner_text("main")
        await _picture(user, "07-confirm")
        await user.click("button[value=continue]")
        await user.wait_for_url(f"{google.origin}/**")
        await _picture(user, "08-consent")
        await user.click("text=grace@example.com")
        await user.wait_for_selector("h1:has-text('is connected')")
        await theirs.close()

        await page.wait_for_selector("h2:has-text('Connected')")  # by itself: nobody has touched this page
        await _picture(page, "09-connected")
        await page.click("a.button:has-text('To the account')")
        assert await page.inner_text("h1") == "grace@example.com"
        assert "Active" in await page.inner_text(".head")
        assert "gave consent at the provider" in await page.inner_text(".line >> nth=0")
        await page.click("button:has-text('Refresh now')")
        assert "has a new token" in await page.inner_text(".flash")
        await _picture(page, "10-account")
        account = page.url.partition("?")[0]

        await page.emulate_media(color_scheme="dark")
        await page.click("nav >> text=Overview")
        assert await page.locator(".checks .ticked").count() == 2
        await _picture(page, "11-overview-dark")
        await page.set_viewport_size(NARROW)  # type: ignore[arg-type]
        await page.goto(account)
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        await _picture(page, "12-account-narrow")
        assert not complaints


def test_the_tour_shows_and_describes_each_picture_and_none_is_heavy() -> None:
    text = (DOCS / "tour.md").read_text()
    shown = re.findall(r"!\[([^\]]+)\]\(tour/([\w-]+)\.png\)", text)
    assert [name for _, name in shown] == list(NAMES)
    assert all(len(words) > 10 for words, _ in shown), "each has words for those who do not see it"
    assert sorted(path.stem for path in PICTURES.glob("*")) == list(NAMES)
    for path in PICTURES.glob("*.png"):
        data = path.read_bytes()
        assert len(data) < MOST_BYTES, path.name
        assert data.startswith(b"\x89PNG"), path.name
        assert int.from_bytes(data[29:33], "big") == zlib.crc32(data[12:29]), path.name


def test_the_readme_leads_to_the_tour() -> None:
    assert "(docs/tour.md)" in (DOCS.parent / "README.md").read_text()
