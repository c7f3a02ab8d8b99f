"""The pages in a real browser, light and wide, dark and narrow: nothing overflows, nothing is refused by the policy."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.dashboard.desk import PASSWORD, Desk, desk_on
from tests.parts.browser import chromium

if TYPE_CHECKING:
    from playwright.async_api import Page

pytestmark = pytest.mark.browser
SCREENS = Path("build/screens")
LOOKS = {"light": 1280, "dark": 375}
MOST_BYTES = 100_000


async def _signed_in(desk: Desk, browser: Any, scheme: str) -> "Page":
    context = await browser.new_context(color_scheme=scheme, viewport={"width": LOOKS[scheme], "height": 800})
    page: Page = await context.new_page()
    await page.goto(f"{desk.holdfast.config.base_url}/dashboard/sign-in")
    await page.fill("#email", "owner@example.com")
    await page.fill("#password", PASSWORD)
    await page.click("button.primary")
    await page.wait_for_url("**/dashboard/default")
    return page


@pytest.fixture(scope="module")
async def furnished(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    async with desk_on(tmp_path_factory.mktemp("desk")) as desk:
        yield desk


@pytest.mark.parametrize("scheme", list(LOOKS))
async def test_the_pages_fit_weigh_little_and_break_no_policy(furnished: Desk, scheme: str) -> None:
    SCREENS.mkdir(parents=True, exist_ok=True)
    connection = await furnished.sandbox_connection(
        owner_kind="user" if scheme == "light" else "organization", scopes=["read", "offline"]
    )
    paths = [
        *("webhooks", "webhooks/new", "keys", "settings", "usage", "providers/custom/new", "connections/new/sandbox"),
        f"connections/{connection.id}",
    ]
    async with chromium() as browser:
        page = await _signed_in(furnished, browser, scheme)
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        for path in paths:
            reply = await page.goto(f"{furnished.base}/{path}")
            assert reply is not None
            assert reply.status == 200, path
            assert len(await reply.body()) < MOST_BYTES
            assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
            name = path.replace("/", "-").replace(connection.id, "one")
            await page.screenshot(path=SCREENS / f"dashboard-{name}-{scheme}.png", full_page=True)
        assert not complaints


async def test_a_connection_is_tested_and_a_provider_added_by_keyboard_and_click(furnished: Desk) -> None:
    async with chromium() as browser:
        page = await _signed_in(furnished, browser, "light")
        await page.goto(f"{furnished.base}/providers")
        await page.click("text=Add a custom provider")
        await page.fill("#name", "Beacon")
        await page.press("#name", "Enter")
        await page.wait_for_selector("#token_url")
        await page.fill("#authorization_url", "https://beacon.example/auth")
        await page.fill("#token_url", "https://beacon.example/token")
        await page.click("text=Continue")
        await page.click("text=Continue")
        await page.fill("#scope_help", "read = See your lights\nwrite = Switch them")
        await page.click("text=Back")
        await page.click("text=Continue")
        assert await page.input_value("#scope_help") == "read = See your lights\nwrite = Switch them"
        await page.click("text=Add the provider")
        await page.wait_for_url("**/providers/beacon?did=made")
        assert "See your lights" in await page.inner_text("main")
        await page.click("text=Set up a connection")
        await page.fill("#client_id", "someone")
        await page.fill("#client_secret", "something")
        await page.click("text=Make the connection")
        await page.click('button:has-text("Test it")')
        await page.wait_for_selector(".checks")
        said = await page.inner_text(".checks")
        assert "cannot be reached" in said
        assert "what to do" not in said
