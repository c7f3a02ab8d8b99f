"""`<holdfast-connections>` in a plain page of another origin, and the page that needs no script."""

import json
import secrets
from pathlib import Path
from typing import Any

import pytest
from workos.pipes.models import CustomProviderDefinition

from tests.widgets.conftest import App
from tests.widgets.site import site
from tests.widgets.test_pipes_widget import axe

pytestmark = [pytest.mark.browser, pytest.mark.node]
SCREENS = Path("build/screens")
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Acme Notes</title>
<link rel="icon" href="data:,">
<meta http-equiv="content-security-policy"
 content="default-src 'none'; script-src 'self' {home}; connect-src {home}; img-src data:">
<script src="{home}/widgets/holdfast-connections.js"></script></head>
<body><main><h1>Settings</h1><holdfast-connections></holdfast-connections></main>
<script src="app.js"></script></body></html>"""
SCRIPT = """
window.told = []; window.asked = 0;
const widget = document.querySelector('holdfast-connections');
for (const name of ['connected', 'disconnected', 'error'])
  widget.addEventListener(name, (event) => told.push([name, event.detail.name ?? null]));
widget.token = () => { window.asked += 1; return TOKENS.length > 1 ? TOKENS.shift() : TOKENS[0]; };
"""


async def _open(chrome: Any, app: App, folder: Path, origin: str, tokens: list[str], **options: Any) -> Any:
    (folder / "index.html").write_text(PAGE.format(home=app.server.base_url))
    (folder / "app.js").write_text(f"const TOKENS = {json.dumps(tokens)};{SCRIPT}")
    context = await chrome.new_context(**{"viewport": {"width": 375, "height": 640}, **options})
    page = await context.new_page()
    await page.goto(origin)
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_user_connects_reconnects_and_disconnects(chrome: Any, app: App, tmp_path: Path, scheme: str) -> None:
    SCREENS.mkdir(parents=True, exist_ok=True)
    user = app.user()
    with site(tmp_path) as origin:
        page = await _open(chrome, app, tmp_path, origin, [app.token(user)], color_scheme=scheme)
        complaints: list[str] = []
        page.on("console", lambda told: complaints.append(told.text) if told.type == "error" else None)
        await page.get_by_role("button", name="Connect Sandbox", exact=True).wait_for()
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert await axe(page) == []
        await page.screenshot(path=SCREENS / f"component-{scheme}.png")

        async with page.context.expect_page() as opening:
            await page.get_by_role("button", name="Connect Sandbox", exact=True).press("Enter")
        popup = await opening.value
        await popup.wait_for_url("**/lab/sandbox/authorize**", timeout=8000)
        await page.get_by_text("Waiting for you").last.wait_for()
        await popup.click("button[value=allow]")
        await popup.wait_for_url("**/callback**")
        await popup.close()
        await page.get_by_text("Connected", exact=True).wait_for(timeout=8000)
        assert app.sdk.pipes.get_access_token("sandbox", user_id=user).active
        assert await page.evaluate("told") == [["connected", "sandbox"]]

        app.lose("sandbox", user)
        app.sdk.pipes.update_data_integration("sandbox", scopes=["read", "offline", "profile"])
        await page.evaluate("document.querySelector('holdfast-connections').refresh()")
        await page.get_by_text("Needs to be connected again").wait_for()
        await page.get_by_text("More is asked for than was granted").wait_for()
        assert await axe(page) == []
        await page.screenshot(path=SCREENS / f"component-reconnect-{scheme}.png")
        async with page.context.expect_page() as opening:
            await page.get_by_role("button", name="Reconnect Sandbox").click()
        popup = await opening.value
        await popup.wait_for_url("**/lab/sandbox/authorize**", timeout=8000)
        await popup.click("button[value=allow]")
        await popup.wait_for_url("**/callback**")
        await popup.close()
        await page.get_by_text("Connected", exact=True).wait_for(timeout=8000)
        assert await page.get_by_text("More is asked for").count() == 0
        app.sdk.pipes.update_data_integration("sandbox", scopes=["read", "offline"])

        await page.get_by_role("button", name="Disconnect Sandbox").click()
        await page.get_by_text("Disconnect Sandbox?").wait_for()
        await page.get_by_role("button", name="Disconnect Sandbox").click()
        await page.get_by_role("button", name="Connect Sandbox", exact=True).wait_for()
        assert [name for name, _ in await page.evaluate("told")] == ["connected", "connected", "disconnected"]
        assert not app.sdk.pipes.get_access_token("sandbox", user_id=user).active
        assert not complaints, complaints


async def test_a_key_is_typed_in_by_keyboard_and_what_is_wrong_is_told_beside_the_field(
    chrome: Any, app: App, tmp_path: Path
) -> None:
    user = app.user()
    with site(tmp_path) as origin:
        page = await _open(chrome, app, tmp_path, origin, [app.token(user, connections=["ledger"])])
        await page.get_by_role("button", name="Connect Ledger").press("Enter")
        await page.get_by_label("API key").press("Enter")  # the field has the focus, and is empty
        await page.get_by_text("This is needed.").first.wait_for()
        assert await page.get_by_label("API key").get_attribute("aria-invalid") == "true"
        assert await axe(page) == []
        await page.screenshot(path=SCREENS / "component-form.png")
        await page.keyboard.type("lk_live_87654321")
        await page.keyboard.press("Enter")
        await page.get_by_text("····4321").wait_for()
        found = app.sdk.pipes.create_data_integration_credential("ledger", user_id=user)
        assert found.credential.value == "lk_live_87654321"
        assert "87654321" not in await page.content()


async def test_what_goes_wrong_is_told_in_the_pages_language(chrome: Any, app: App, tmp_path: Path) -> None:
    slug = f"told-{secrets.token_hex(4)}"
    app.sdk.pipes.create_data_integration(
        provider=slug, enabled=True, auth_methods=["api_key"], custom_provider=CustomProviderDefinition(name="Vault")
    )
    with site(tmp_path) as origin:
        page = await _open(chrome, app, tmp_path, origin, [app.token(app.user(), connections=[slug])])
        await page.evaluate(
            "window.codes = []; window.it = document.querySelector('holdfast-connections'); it.lang = 'de';"
            "it.addEventListener('error', (event) => codes.push(event.detail.code))"
        )
        await page.get_by_role("button", name="Verbinden Vault").click()
        field = page.locator("input")
        await field.fill("a\x01b")
        await field.press("Enter")
        await page.get_by_text("API key: Das hat nicht die erwartete Form.").last.wait_for()

        app.sdk.pipes.update_data_integration(slug, enabled=False)
        await field.fill("good")
        await field.press("Enter")
        await page.get_by_text("Acme Notes hat diese Verbindung zurzeit ausgeschaltet.").last.wait_for()
        assert await axe(page) == []
        await page.evaluate("it.texts = {'failure.entity_not_found': 'Weg!'}")
        await field.press("Enter")
        await page.get_by_text("Weg!").last.wait_for()
        assert await page.evaluate("codes") == ["invalid_credential_fields", "entity_not_found", "entity_not_found"]


async def test_an_ended_token_is_asked_for_anew_and_an_altered_one_shows_nothing(
    chrome: Any, app: App, tmp_path: Path
) -> None:
    good = app.token(app.user())
    head, body, signature = good.split(".")
    bad = ".".join((head, body, signature[::-1]))
    with site(tmp_path) as origin:
        page = await _open(chrome, app, tmp_path, origin, [bad, good])
        await page.get_by_role("button", name="Connect Sandbox", exact=True).wait_for()
        assert await page.evaluate("asked") == 2
        page = await _open(chrome, app, tmp_path, origin, [bad])
        await page.get_by_role("alert").wait_for()
        assert await page.get_by_text("Sandbox").count() == 0
        assert (await page.evaluate("told"))[0][0] == "error"


async def test_the_page_without_script_connects_and_disconnects(chrome: Any, app: App, tmp_path: Path) -> None:
    user = app.user()
    with site(tmp_path) as origin:
        (tmp_path / "index.html").write_text(
            f'<form method="post" action="{app.server.base_url}/connections/mine">'
            f'<input type="hidden" name="token" value="{app.token(user)}"><button>My connections</button></form>'
        )
        context = await chrome.new_context(java_script_enabled=False, viewport={"width": 375, "height": 640})
        page = await context.new_page()
        await page.goto(origin)
        await page.get_by_role("button").click()
        assert page.url == f"{app.server.base_url}/connections/mine"
        assert user in await page.inner_text("main")
        await page.screenshot(path=SCREENS / "mine.png", full_page=True)

        await page.get_by_role("button", name="Connect Sandbox", exact=True).click()
        assert user in await page.inner_text("main")  # the link's page names whose account it will be
        await page.click("button[value=continue]")
        await page.click("button[value=allow]")
        await page.wait_for_url("**/connections/mine**")
        assert "Connected" in await page.inner_text("main")
        assert app.sdk.pipes.get_access_token("sandbox", user_id=user).active

        await page.get_by_role("button", name="Connect Ledger").click()
        await page.get_by_label("API key").fill("lk_live_11112222")
        await page.get_by_role("button", name="Connect Ledger").click()
        assert "····2222" in await page.inner_text("main")
        await page.screenshot(path=SCREENS / "mine-connected.png", full_page=True)

        await page.get_by_role("button", name="Disconnect Sandbox").click()
        await page.get_by_role("button", name="Disconnect").click()
        await page.wait_for_url("**/connections/mine")
        assert not app.sdk.pipes.get_access_token("sandbox", user_id=user).active
        cookie = next(item for item in await context.cookies() if item["name"].endswith("-mine"))
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")
