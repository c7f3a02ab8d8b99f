"""In Chromium: from first start to a connected account by clicking, and every page under axe-core, light and dark.
Screenshots are kept in build/screens."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.accounts import Given, OAuthCredential, Owner
from holdfast.app import Holdfast
from holdfast.cli.serve import running
from holdfast.config import Config
from holdfast.secret import Secret
from tests.dashboard.conftest import connect_sandbox
from tests.dashboard.person import PASSWORD, owner_of
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
        await _shot(page, "5-account")
        await page.click("nav >> text=Overview")
        assert await page.locator(".checks .ticked").count() == 2
        assert not complaints


async def _some(holdfast: Holdfast) -> dict[str, str]:
    """Make what fills the pages; return their addresses by name."""
    owner = await owner_of(holdfast)
    connection = await connect_sandbox(holdfast, owner)
    session = await holdfast.signing_in.admit(owner, "test")
    environment, now, ids = holdfast.environment.id, holdfast.clock.now(), []
    for number, name in enumerate(("ada", "grace", "edsger", "barbara")):
        tokens = OAuthCredential(Secret(f"at{name}"), Secret(f"rt{name}"), expires_at=now + 3600, scopes=("read",))
        whose = Owner.user(f"user_{name}", "org_1" if number % 2 else None)
        given = Given(credential=tokens, metadata={"plan": "pro"}, api_config={"version": "2"})
        ids.append((await holdfast.keeping.create(environment, "sandbox", whose, given, owner.actor())).id)
    await holdfast.keeping.suspend(environment, ids[1], owner.actor(), why="An audit")
    await holdfast.keeping.revoke(environment, ids[2], owner.actor())
    stale, _ = await holdfast.keeping.get(environment, ids[3])
    await holdfast.refresher.refresh(stale, force=True)
    waiting = await holdfast.keeping.create(environment, "sandbox", Owner.user("user_new"), Given(), owner.actor())
    base = "/dashboard/default"
    return {
        "session": session.reveal(),
        "overview": base,
        "accounts": f"{base}/accounts",
        "nothing-found": f"{base}/accounts?q=zzz",
        "active": f"{base}/accounts/{ids[0]}",
        "suspended": f"{base}/accounts/{ids[1]}",
        "disconnected": f"{base}/accounts/{ids[2]}",
        "expired": f"{base}/accounts/{ids[3]}",
        "pending": f"{base}/accounts/{waiting.id}",
        "delete": f"{base}/accounts/{ids[0]}/delete",
        "choose": f"{base}/accounts/new",
        "new": f"{base}/accounts/new/{connection.id}",
        "activity": f"{base}/activity",
        "environments": "/dashboard/environments",
        "connections": f"{base}/connections",
        "connection": f"{base}/connections/{connection.id}",
        "new-connection": f"{base}/connections/new/sandbox",
        "delete-connection": f"{base}/connections/{connection.id}/delete",
        "provider": f"{base}/providers/sandbox",
        "keys": f"{base}/keys",
        "people": f"{base}/people",
        "me": f"{base}/me",
        "branding": f"{base}/settings/branding",
        "missing": f"{base}/accounts/nothing",
    }


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 375)])
async def test_no_page_has_a_serious_fault_of_accessibility_or_is_wider_than_the_screen(
    tmp_path: Path, node_modules: Path, scheme: Any, width: int
) -> None:
    axe = (node_modules / "axe-core" / "axe.min.js").read_text()
    async with running(Config(dev=True, data_dir=tmp_path, port=0)) as (holdfast, _), chromium() as browser:
        pages = await _some(holdfast)
        context = await browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})
        cookie = {"name": "holdfast-admin", "value": pages.pop("session"), "url": holdfast.config.base_url}
        await context.add_cookies([cookie])  # type: ignore[list-item]
        page, faults = await context.new_page(), list[str]()
        for name, path in pages.items():
            await page.goto(holdfast.config.base_url + path)
            await _shot(page, f"{name}-{scheme}")
            if not await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"):
                faults.append(f"{name}: wider than the screen")
            await page.evaluate(axe)
            found = await page.evaluate("axe.run(document, {resultTypes: ['violations']}).then((r) => r.violations)")
            faults += [
                f"{name}: {one['id']}: {one['nodes'][0]['html'][:150]} {one['nodes'][0]['failureSummary'][:200]}"
                for one in found
                if one["impact"] in ("serious", "critical")
            ]
        await context.clear_cookies()
        for path in ("/dashboard/sign-in", "/dashboard/welcome/nothing"):
            await page.goto(holdfast.config.base_url + path)
            await page.evaluate(axe)
            found = await page.evaluate("axe.run().then((r) => r.violations.map((v) => [v.impact, v.id]))")
            faults += [f"{path}: {name}" for impact, name in found if impact in ("serious", "critical")]
        assert faults == []
