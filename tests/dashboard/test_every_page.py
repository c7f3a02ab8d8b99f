"""Every page that a router of ours answers, in Chromium, light and wide, dark and narrow: no serious fault of
accessibility, nothing wider than the screen, under 100 kB each, and all of it within reach of the keyboard."""

import re
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from starlette.routing import BaseRoute, Route

from holdfast.app import Holdfast
from holdfast.cli.serve import running
from holdfast.config import Config
from holdfast.dashboard import Dashboard
from holdfast.doors import dashboard_parts, user_pages
from tests.dashboard.furniture import BASE, Furnished, furnish
from tests.parts.browser import chromium

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Request

pytestmark = [pytest.mark.browser, pytest.mark.node]
SCREENS = Path("build/screens/pages")
MOST_BYTES = 100_000
LOOKS = [("light", 1280), ("dark", 375)]
NO_PAGES = {
    "/dashboard": "leads on",
    "/dashboard/{environment}/activity/export.csv": "a file",
    "/dashboard/{environment}/activity/export.jsonl": "a file",
    "/dashboard/{environment}/accounts/{id}/state": "a part of a page",
    "/widgets/holdfast-connections.js": "a script",
    "/connect/colours/{accent}.css": "a style sheet",
    "/connect/logos/{environment}/{digest}": "a picture",
}

_FOCUS = """() => {
  const at = document.activeElement;
  if (!at || at === document.body) return null;
  const shown = at.id === 'menu' ? at.nextElementSibling : at;
  const box = shown.getBoundingClientRect(), style = getComputedStyle(shown);
  return {what: at.outerHTML.slice(0, 120), number: [...document.querySelectorAll('*')].indexOf(at),
          seen: box.width > 1 && box.height > 1 && box.right > 0 && box.bottom > 0 && box.left < innerWidth,
          ringed: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2};
}"""
_REACHABLE = """() =>
  [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]')]
  .filter((one) => one.type !== 'hidden' && !one.disabled && one.checkVisibility({visibilityProperty: true})).length"""


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Holdfast, Furnished]]:
    config = Config(dev=True, data_dir=tmp_path_factory.mktemp("pages"), port=0, app_name="Acme Notes")
    async with running(config) as (holdfast, _):
        yield holdfast, await furnish(holdfast)


def _answering(routes: Iterable[BaseRoute]) -> set[str]:
    return {
        route.path for route in routes if isinstance(route, Route) and "GET" in (route.methods or ())
    } - NO_PAGES.keys()


def test_no_page_is_left_out(server: tuple[Holdfast, Furnished]) -> None:
    holdfast, furnished = server
    assert _answering(Dashboard(dashboard_parts(holdfast)).routes()) == furnished.dashboard.keys()
    assert _answering(user_pages(holdfast)) == furnished.connect.keys()


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
async def test_every_page_is_accessible_fits_and_weighs_little(
    server: tuple[Holdfast, Furnished], node_modules: Path, scheme: Any, width: int
) -> None:
    holdfast, furnished = server
    axe = (node_modules / "axe-core" / "axe.min.js").read_text()
    SCREENS.mkdir(parents=True, exist_ok=True)
    faults: list[str] = []
    async with chromium() as browser:
        context = await _context(browser, holdfast, furnished, color_scheme=scheme, width=width)
        await context.route(
            "**/*", lambda route: route.continue_()
        )  # which leaves the cache out: each visit is a first
        page, heaviest = await context.new_page(), (0, "")
        sent: list[Request] = []
        page.on("requestfinished", lambda request: sent.append(request))  # playwright marks what it calls
        page.on("pageerror", lambda error: faults.append(f"{page.url}: {error}"))
        for name, path in _all(furnished):
            sent.clear()
            await page.goto(holdfast.config.base_url + path)
            weight = sum([await _weight(one) for one in sent])
            heaviest = max(heaviest, (weight, path))
            if weight > MOST_BYTES:
                faults.append(f"{path}: {weight} bytes")
            if not await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"):
                faults.append(f"{path}: wider than the screen")
            await page.screenshot(path=SCREENS / f"{name}-{scheme}.png", full_page=True)
            await page.evaluate(f"{axe}; undefined")
            found = await page.evaluate("axe.run(document, {resultTypes: ['violations']}).then((r) => r.violations)")
            faults += [
                f"{path}: {one['id']}: {one['nodes'][0]['html'][:150]} {one['nodes'][0]['failureSummary'][:200]}"
                for one in found
                if one["impact"] in ("serious", "critical")
            ]
    print(f"heaviest, {scheme}: {heaviest[0]} bytes, {heaviest[1]}")
    assert heaviest[0] > 10_000, "nothing was weighed"
    assert faults == []


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
async def test_every_answer_to_a_form_is_accessible_and_fits(
    server: tuple[Holdfast, Furnished], node_modules: Path, scheme: Any, width: int
) -> None:
    """Pages that no address leads to: links and secrets that are shown once, questions, the wizard's steps, and forms
    that come back with what was wrong."""
    holdfast, furnished = server
    axe = (node_modules / "axe-core" / "axe.min.js").read_text()
    accounts = furnished.dashboard["/dashboard/{environment}/accounts/{id}"]
    [endpoint] = furnished.dashboard["/dashboard/{environment}/webhooks/{id}"]
    connection = furnished.dashboard["/dashboard/{environment}/connections/{id}"][0]
    new_connection = furnished.dashboard["/dashboard/{environment}/connections/new/{slug}"][0]
    answers: list[tuple[str, dict[str, str], str, str]] = [
        (accounts[4], {}, ".head form[action$='/link'] button", "[data-live]"),
        (accounts[0], {"#metadata": "no pair"}, "text=Save", "#metadata-problem"),
        (accounts[3], {}, "form[action$='/link'] button", "[data-live]"),
        (f"{BASE}/accounts", {}, "text=Suspend…", "#chosen-problem"),
        (f"{BASE}/accounts?q=user", {"[name=all]": "tick"}, "text=Delete…", "text=Delete them"),
        (connection, {}, "text=Test it", ".checks"),
        (connection, {"#client_id": "another"}, "text=Save", "#client_secret-problem"),
        (
            new_connection,
            {"#client_id": "x", "#more_scopes": 'a"b'},
            "text=Make the connection",
            "#client_secret-problem",
        ),
        (endpoint, {}, "text=Show it", "text=whsec_"),
        (f"{BASE}/webhooks/new", {"#url": "https://u@x.example"}, "text=Make the endpoint", "[id$=-problem]"),
        (f"{BASE}/keys", {"#name": scheme}, "text=Make a key", "text=Your new API key"),
        (f"{BASE}/keys", {"#client_name": scheme}, "text=Make a client", "text=Your new SDK client"),
        (f"{BASE}/people", {"#email": f"{scheme}@example.com"}, "text=Make a link", "text=A link for"),
        (f"{BASE}/settings", {"#unused_days": "30"}, "text=Show what it would take now", "text=would be deleted"),
        (f"{BASE}/settings", {"#unused_days": "x"}, "text=Show what it would take now", "#unused_days-problem"),
        (f"{BASE}/settings/branding", {"#accent": "blue"}, "form button.primary", "#accent-problem"),
        (
            f"{BASE}/me",
            {"#old_password": "x", "#password": "y" * 12},
            "form button.primary",
            "#old_password-problem",
        ),
    ]
    steps = (
        {},
        {"#authorization_url": "https://b.example/a", "#token_url": "https://b.example/t"},
        {},
        {"#scope_help": "two words = x"},
    )
    faults: list[str] = []
    async with chromium() as browser:
        context = await _context(browser, holdfast, furnished, color_scheme=scheme, width=width)
        context.set_default_timeout(15_000)
        page = await context.new_page()

        async def judge(name: str) -> None:
            if not await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"):
                faults.append(f"{name}: wider than the screen")
            await page.screenshot(path=SCREENS / f"answer-{re.sub('[^a-z]+', '-', name)}-{scheme}.png", full_page=True)
            await page.evaluate(f"{axe}; undefined")
            found = await page.evaluate("axe.run(document, {resultTypes: ['violations']}).then((r) => r.violations)")
            faults.extend(
                f"{name}: {one['id']}: {one['nodes'][0]['html'][:150]}"
                for one in found
                if one["impact"] in ("serious", "critical")
            )

        SCREENS.mkdir(parents=True, exist_ok=True)
        for number, (path, fields, press, appears) in enumerate(answers):
            await page.goto(holdfast.config.base_url + path)
            for field, value in fields.items():
                await (page.check(field) if value == "tick" else page.fill(field, value))
            await page.evaluate("document.querySelectorAll('form').forEach((one) => { one.noValidate = true; })")
            await page.click(f"main >> {press} >> nth=0")
            await page.wait_for_selector(appears)
            await judge(f"{chr(97 + number)} {appears}")
        await page.goto(f"{holdfast.config.base_url}{BASE}/providers/custom/new")
        await page.fill("#name", f"Beacon {scheme}")
        for number, filled in enumerate(steps):
            for field, value in filled.items():
                await page.fill(field, value)
            await page.click("main form button.primary")
            await page.wait_for_selector(f".steps li:nth-child({min(number + 2, 4)})[aria-current]")
            await judge(f"wizard {chr(97 + number)}")
        assert await page.is_visible("#scope_help-problem"), "the last step told what was wrong"
    assert faults == []


async def test_the_keyboard_reaches_everything_and_shows_where_it_is(server: tuple[Holdfast, Furnished]) -> None:
    holdfast, furnished = server
    faults: list[str] = []
    async with chromium() as browser:
        context = await _context(browser, holdfast, furnished, width=1280)
        page = await context.new_page()
        for _, path in _all(furnished):
            await page.goto(holdfast.config.base_url + path)
            reachable, reached = await page.evaluate(_REACHABLE), list[int]()
            for _ in range(reachable + 20):
                await page.keyboard.press("Tab")
                at = await page.evaluate(_FOCUS)
                if at is not None and at["number"] in reached[-1:]:
                    continue  # a part of the same field: a day's month, its year
                if at is None or at["number"] in reached:
                    break
                reached.append(at["number"])
                if not (at["seen"] and at["ringed"]):
                    faults.append(f"{path}: focus cannot be seen on {at['what']}")
            # Radio buttons of one name are one stop, and the arrow keys move among them.
            same = await page.evaluate(
                "[...document.querySelectorAll('input[type=radio]')].length"
                " - new Set([...document.querySelectorAll('input[type=radio]')].map((one) => one.name)).size"
            )
            if len(reached) < reachable - same:
                faults.append(f"{path}: {len(reached)} of {reachable} reached")
    assert faults == []


async def test_the_skip_link_and_the_menu_work_without_a_mouse(server: tuple[Holdfast, Furnished]) -> None:
    holdfast, furnished = server
    async with chromium() as browser:
        context = await _context(browser, holdfast, furnished, width=375)
        page = await context.new_page()
        await page.goto(f"{holdfast.config.base_url}/dashboard/default/accounts")
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.className") == "skip"
        assert (await page.evaluate(_FOCUS))["seen"]
        await page.keyboard.press("Enter")
        assert await page.evaluate("document.activeElement.id") == "main"
        await page.reload()
        assert not await page.is_visible("nav")
        await page.focus("#menu")
        await page.keyboard.press("Space")
        assert await page.is_visible("nav")
        await page.focus("nav a:has-text('Webhooks')")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/webhooks")


async def _context(
    browser: Any, holdfast: Holdfast, furnished: Furnished, *, width: int, **options: Any
) -> "BrowserContext":
    context: BrowserContext = await browser.new_context(viewport={"width": width, "height": 800}, **options)
    await context.add_cookies([{"name": "holdfast-admin", "value": furnished.session, "url": holdfast.config.base_url}])
    return context


def _all(furnished: Furnished) -> list[tuple[str, str]]:
    """Return each address with a name for its picture."""
    return [
        ("-".join([*re.findall(r"[a-z]+", route), str(number)]), path)
        for pages in (furnished.dashboard, furnished.connect)
        for route, paths in pages.items()
        for number, path in enumerate(paths)
    ]


async def _weight(request: "Request") -> int:
    sizes = await request.sizes()
    return int(sizes["responseBodySize"] + sizes["responseHeadersSize"])
