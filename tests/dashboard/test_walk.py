"""In Chromium: from first start to a connected account by clicking, at the sandbox, with scripts and without.
Screenshots are kept in build/screens. The tour at another's emulator is tests/journeys/test_tour.py."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.cli.serve import running
from holdfast.config import Config
from tests.dashboard.person import PASSWORD
from tests.parts.browser import chromium

if TYPE_CHECKING:
    from playwright.async_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.node]
SCREENS = Path("build/screens")


async def _shot(page: "Page", name: str) -> None:
    SCREENS.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=SCREENS / f"dashboard-{name}.png", full_page=True)


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
async def test_from_first_start_to_a_connected_account_by_clicking(tmp_path: Path, scripts: bool) -> None:
    config = Config(dev=True, data_dir=tmp_path, port=0, app_name="Acme Notes")
    async with running(config) as (holdfast, _), chromium() as browser:
        first = await holdfast.people.first_link()
        assert first is not None
        assert holdfast.sandbox is not None
        context = await browser.new_context(java_script_enabled=scripts, viewport={"width": 1280, "height": 860})
        context.set_default_timeout(10_000)
        page = await context.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        await page.goto(f"{holdfast.config.base_url}/dashboard/welcome/{first.reveal()}")
        await page.fill("#email", "ada@example.com")
        await page.fill("#name", "Ada Lovelace")
        await page.fill("#password", PASSWORD)
        await page.click("text=Continue")
        assert await page.inner_text("h1") == "Overview"
        await _shot(page, "1-first-steps")
        await page.click("a.button:has-text('Choose a provider')")
        await page.fill("#q", "sandbox")
        await page.click("button:has-text('Search')")
        await page.click(".tile:has-text('Sandbox')")
        await page.click("a.button:has-text('Set up a connection')")
        await page.fill("#client_id", holdfast.sandbox.client_id)
        await page.fill("#client_secret", holdfast.sandbox.client_secret.reveal())
        await _shot(page, "2-new-connection")
        await page.click("button:has-text('Make the connection')")
        assert "/connections/" in page.url
        await page.click("nav >> text=Overview")
        await page.click("a.button:has-text('Make a link')")
        await page.fill("#identifier", "user_ada")
        await page.click("button:has-text('Make a link')")
        await _shot(page, "3-link")
        async with context.expect_page() as opening:
            await page.click("text=Open it here")
        user = await opening.value
        await user.click("button[value=continue]")
        await user.wait_for_url("**/lab/sandbox/authorize**")
        await user.click("button[value=allow]")
        await user.wait_for_selector("h1:has-text('is connected')")
        await user.close()
        if scripts:
            await page.wait_for_selector("h2:has-text('Connected')", timeout=15_000)
            await _shot(page, "4-connected")
        await page.click("a.button:has-text('To the account')")
        assert "Active" in await page.inner_text(".head")
        assert "gave consent at the provider" in await page.inner_text(".line >> nth=0")
        await page.click("button:has-text('Refresh now')")
        assert "has a new token" in await page.inner_text(".flash")
        assert "Ada Lovelace refreshed the token" in await page.inner_text(".line > li >> nth=0")
        await _shot(page, "5-account")
        await page.click("nav >> text=Overview")
        assert await page.locator(".checks .ticked").count() == 2
        assert not complaints
