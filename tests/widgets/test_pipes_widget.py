"""The vendor's `<Pipes>` widget (@workos-inc/widgets 1.18.0), unmodified, bundled by Vite, in a real browser."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.parts.node import ensure_modules
from tests.widgets.conftest import App
from tests.widgets.site import site

pytestmark = [pytest.mark.browser, pytest.mark.node]
SCREENS = Path("build/screens")


async def _open(chrome: Any, app: App, origin: str, token: str, scheme: str = "light") -> Any:
    context = await chrome.new_context(color_scheme=scheme, viewport={"width": 720, "height": 560})
    page = await context.new_page()
    facts = {"port": app.server.port, "token": token}
    await page.add_init_script(f"window.TEST = {json.dumps(facts)};")
    await page.goto(origin)
    return page


async def axe(page: Any) -> list[str]:
    """Return the serious findings of axe-core in a page."""
    script = (ensure_modules() / "axe-core" / "axe.min.js").read_text()
    await page.evaluate(f"{script}; undefined")  # by the debugger, as the page's policy allows no stranger's script
    found = await page.evaluate("axe.run()")
    return [item["id"] for item in found["violations"] if item["impact"] in ("serious", "critical")]


async def test_the_widget_lists_connects_reconnects_and_disconnects(chrome: Any, app: App, built_page: Path) -> None:
    SCREENS.mkdir(parents=True, exist_ok=True)
    user = app.user()
    with site(built_page) as origin:
        page = await _open(chrome, app, origin, app.token(user))
        complaints: list[str] = []
        # The widget draws providers with pictures from its vendor's host, which a test does not reach.
        page.on(
            "console",
            lambda told: complaints.append(told.text) if told.type == "error" and "NAME_NOT" not in told.text else None,
        )
        await page.get_by_text("Ledger").wait_for()
        row = page.locator(".rt-Card, li, div").filter(has_text="Sandbox").filter(has=page.get_by_role("button"))
        assert await page.get_by_text("Not connected").count() == 2
        await page.screenshot(path=SCREENS / "pipes-listed.png")

        await row.last.get_by_role("button", name="Connect").first.click()
        dialog = page.get_by_role("dialog")
        async with page.context.expect_page() as opening:
            await dialog.get_by_role("button", name="Connect").click()
        popup = await opening.value
        # The hand-off shows whose window it is: the provider is next, no page of ours asks in between.
        await popup.wait_for_url("**/lab/sandbox/authorize**", timeout=8000)
        await popup.click("button[value=allow]")
        await popup.wait_for_url("**/callback**")
        assert "is connected" in await popup.inner_text("h1")
        await popup.close()
        await page.reload()
        await page.get_by_text("Connected", exact=True).wait_for()
        assert app.sdk.pipes.get_access_token("sandbox", user_id=user).active
        await page.screenshot(path=SCREENS / "pipes-connected.png")

        app.lose("sandbox", user)
        await page.reload()
        await page.get_by_text("Requires reauthorization").wait_for()
        await page.screenshot(path=SCREENS / "pipes-reauthorization.png")
        await (
            page.get_by_role("button", name="Pipe actions")
            .or_(page.locator("button[title='Pipe actions']"))
            .first.click()
        )
        async with page.context.expect_page() as opening:
            await page.get_by_role("menuitem", name="Reauthorize").click()
        popup = await opening.value
        await popup.wait_for_url("**/lab/sandbox/authorize**", timeout=8000)
        await popup.click("button[value=allow]")
        await popup.wait_for_url("**/callback**")
        await popup.close()
        await page.reload()
        await page.get_by_text("Connected", exact=True).wait_for()

        await page.get_by_role("button", name="Disconnect").click()
        await page.get_by_role("alertdialog").get_by_role("button", name="Disconnect").click()
        await page.get_by_role("alertdialog").wait_for(state="detached")
        await page.get_by_text("Not connected").nth(1).wait_for()
        assert not app.sdk.pipes.get_access_token("sandbox", user_id=user).active
        assert not complaints, complaints


async def test_the_widget_takes_an_api_key(chrome: Any, app: App, built_page: Path) -> None:
    user = app.user()
    with site(built_page) as origin:
        page = await _open(chrome, app, origin, app.token(user, connections=["ledger"]))
        await page.get_by_text("Ledger").wait_for()
        assert await page.get_by_text("Sandbox").count() == 0  # the token is for the other one
        await page.get_by_role("button", name="Connect").click()
        await page.get_by_placeholder("Enter your API key").fill("lk_live_12345678")
        await page.get_by_role("dialog").get_by_role("button", name="Connect").click()
        await page.get_by_text("Connected", exact=True).wait_for()
        found = app.sdk.pipes.create_data_integration_credential("ledger", user_id=user)
        assert found.credential.value == "lk_live_12345678"
        assert await axe(page) == []


async def test_the_widget_shows_nothing_to_a_token_that_is_not_believed(
    chrome: Any, app: App, built_page: Path
) -> None:
    head, body, signature = app.token(app.user()).split(".")
    with site(built_page) as origin:
        page = await _open(chrome, app, origin, ".".join((head, body, signature[::-1])))
        await (
            page.get_by_text("error", exact=False)
            .or_(page.get_by_role("alert"))
            .or_(page.get_by_text("session", exact=False))
            .or_(page.get_by_text("permission", exact=False))
            .first.wait_for()
        )
        assert await page.get_by_text("Ledger").count() == 0
