"""What end users see, in a browser, where an environment has a look of its own: in each language, light and dark, on a
phone, without script. Screenshots are kept in build/screens."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import msgspec
import pytest

from holdfast.access.branding import change_branding, read_branding, read_logo
from holdfast.accounts import Owner
from holdfast.app import Holdfast
from holdfast.authorization import LinkFor
from holdfast.cli.serve import running
from holdfast.config import Config
from holdfast.connect.words import read_languages
from holdfast.connections.changes import NewConnection
from holdfast.connections.clients import ClientInput
from holdfast.events import Actor
from holdfast.lab import sandbox_provider
from holdfast.providers.entry import CredentialField
from tests.connect import pictures
from tests.parts.browser import chromium
from tests.parts.node import ensure_modules

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.node]
SCREENS = Path("build/screens")
APP = Actor("api_key", "key")
LOOKS = [("en-GB", "en", "light", 375), ("de-AT", "de", "dark", 375), ("es-MX", "es", "light", 1000)]
ACCENT, NAME, HOME = "#ffd400", "Northwind Planner", "https://northwind.example/home"
"""Yellow: nothing white can be read on it, and on white it is hardly seen."""
_numbers = count(1)


@dataclass(frozen=True)
class Shop:
    holdfast: Holdfast
    browser: "Browser"

    @property
    def base(self) -> str:
        return self.holdfast.config.base_url

    async def link(self, name: str) -> str:
        owner = Owner.user(f"ada+{next(_numbers)}@example.com")
        ask = LinkFor(environment_id=self.holdfast.environment.id, actor=APP, name=name, owner=owner, lifetime=600)
        return (await self.holdfast.links.make(ask)).url


@pytest.fixture(scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    config = Config(dev=True, data_dir=tmp_path_factory.mktemp("shop"), port=0, app_name="Plain")
    async with running(config) as (holdfast, _), chromium() as browser:
        wanted = read_branding(name=NAME, accent=ACCENT, home_url=HOME, language="", languages=(), dev=True)
        at = holdfast.environment.id
        logo = read_logo(pictures.png(96, 48))
        await change_branding(holdfast.database, holdfast.clock, at, APP, wanted, logo=logo)
        sandbox = holdfast.sandbox
        assert sandbox is not None
        client = ClientInput(sandbox.client_id, sandbox.client_secret)
        oauth = NewConnection(
            provider_slug="sandbox", client_supply="custom", enabled=True, client=client, scopes=["read", "profile"]
        )
        await holdfast.connections.create(at, oauth, APP)
        fields = {
            "account": CredentialField(label="Account", hint="The name in your ledger's address."),
            "api_key": CredentialField(label="API key", input="password"),
        }
        entry = msgspec.structs.replace(
            sandbox_provider(holdfast.config.base_url + "/lab/sandbox"),
            slug="ledger",
            name="Ledger",
            custom=True,
            methods=("api_key",),
            credential=fields,
        )
        typed = NewConnection(provider_slug="ledger", method="api_key", enabled=True, definition=entry)
        await holdfast.connections.create(at, typed, APP)
        yield Shop(holdfast, browser)


async def _judged(page: "Page", name: str, language: str) -> str:
    """Keep a picture of the page, and return its words, once nothing serious is found in it."""
    SCREENS.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=SCREENS / f"connect-{name}-{language}.png", full_page=True)
    assert await page.get_attribute("html", "lang") == language
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    await page.evaluate((ensure_modules() / "axe-core" / "axe.min.js").read_text() + "; undefined")
    found = await page.evaluate("axe.run()")
    assert [(item["id"], item["nodes"][0]["html"]) for item in found["violations"]] == [], name
    text: str = await page.inner_text("body")
    assert NAME in text
    assert "Plain" not in text
    return text


@pytest.mark.parametrize(("locale", "language", "scheme", "width"), LOOKS)
async def test_a_user_reads_every_step_in_the_apps_look_and_in_their_language(
    shop: Shop, locale: str, language: str, scheme: Any, width: int
) -> None:
    words = read_languages().words(language)
    context = await shop.browser.new_context(
        locale=locale, color_scheme=scheme, viewport={"width": width, "height": 780}
    )
    page = await context.new_page()
    complaints: list[str] = []

    def noted(message: Any) -> None:
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            complaints.append(message.text)

    page.on("console", noted)

    link = await shop.link("sandbox")
    await page.goto(link)
    shown = await _judged(page, "link", language)
    for part in (
        words("link.heading", provider="Sandbox", app=NAME),
        words("link.scopes", app=NAME),
        "Read what you keep",
    ):
        assert str(part) in shown
    assert "ada+" in shown
    loaded = "[...document.images].length == 1 && document.images[0].naturalWidth == 96"
    assert await page.evaluate(loaded)
    assert (
        await page.evaluate("getComputedStyle(document.querySelector('button')).backgroundColor") == "rgb(255, 212, 0)"
    )
    await page.click("button[value=continue]")
    await page.click("button[value=allow]")
    await page.wait_for_url("**/connect/success**")
    assert str(words("done.heading", provider="Sandbox")) in await _judged(page, "done", language)
    assert await page.get_attribute(".way a", "href") == HOME

    await page.goto(await shop.link("sandbox"))
    await page.click("button[value=continue]")
    await page.click("button[value=deny]")
    await page.wait_for_selector("h1")
    denied = await _judged(page, "denied", language)
    assert str(words("failed.denied_title")) in denied
    assert str(words("failure.access_denied", app=NAME)) in denied
    assert await page.get_attribute(".way a", "href") == HOME

    await page.goto(link)
    assert str(words("failure.authorization_state_expired")) in await _judged(page, "over", language)

    await page.goto(await shop.link("ledger"))
    await page.fill("#field-account", "northwind")
    await page.fill("#field-api_key", "none of theirs")
    await page.click("button[value=continue]")
    refused = await _judged(page, "form", language)
    assert str(words("wrong.refused", provider="Ledger")) in refused
    assert str(words("form.api_key")) in refused
    assert await page.input_value("#field-account") == "northwind"
    assert await page.input_value("#field-api_key") == ""
    assert await page.get_attribute("#field-api_key", "aria-invalid") == "true"
    hint = await page.get_attribute("#hint-account", "lang")
    assert hint == (None if language == "en" else "en")

    await page.goto(f"{shop.base}/connect/links/unknown")
    assert str(words("failure.entity_not_found")) in await _judged(page, "failed", language)
    assert not complaints
    await context.close()


@pytest.mark.parametrize(("locale", "language", "scheme", "width"), LOOKS)
async def test_a_user_looks_after_their_accounts_in_the_apps_look_and_in_their_language(
    shop: Shop, locale: str, language: str, scheme: Any, width: int
) -> None:
    words = read_languages().words(language)
    key, user = shop.holdfast.first_key, f"mine+{next(_numbers)}@example.com"
    assert key is not None
    async with httpx2.AsyncClient(base_url=shop.base, trust_env=False) as web:
        asked = await web.post(
            "/widgets/token", json={"user_id": user}, headers={"authorization": f"Bearer {key.reveal()}"}
        )
    context = await shop.browser.new_context(
        locale=locale, color_scheme=scheme, viewport={"width": width, "height": 780}
    )
    cookie: Any = {"name": "holdfast-mine", "value": asked.json()["token"], "url": shop.base}
    await context.add_cookies([cookie])
    page = await context.new_page()
    await page.goto(f"{shop.base}/connections/mine")
    shown = await _judged(page, "mine", language)
    assert str(words("mine.title")) in shown
    assert shown.count(str(words("mine.none"))) == 2

    await page.get_by_role("button", name=str(words("mine.connect_it", provider="Ledger"))).click()
    await page.fill("#field-account", "northwind")
    await page.fill("#field-api_key", "none of theirs")
    await page.get_by_role("button", name=str(words("link.connect", provider="Ledger"))).click()
    assert str(words("wrong.refused", provider="Ledger")) in await _judged(page, "mine-form", language)
    await page.click(".way a")

    await page.get_by_role("button", name=str(words("mine.connect_it", provider="Sandbox"))).click()
    await page.click("button[value=continue]")
    await page.click("button[value=deny]")
    assert str(words("mine.nothing_done")) in await page.inner_text("main")
    await page.get_by_role("button", name=str(words("mine.connect_it", provider="Sandbox"))).click()
    await page.click("button[value=continue]")
    await page.click("button[value=allow]")
    await page.wait_for_url("**/connections/mine**")
    assert str(words("mine.connected")) in await _judged(page, "mine-connected", language)
    await page.get_by_role("button", name=str(words("mine.disconnect_it", provider="Sandbox"))).click()
    assert str(words("disconnect.heading", provider="Sandbox")) in await _judged(page, "mine-disconnect", language)
    await page.click("button.grave")
    assert (await page.inner_text("main")).count(str(words("mine.none"))) == 2

    await context.clear_cookies()
    await page.goto(f"{shop.base}/connections/mine")
    assert str(words("over.heading")) in await _judged(page, "mine-over", language)
    await context.close()


async def test_without_script_or_a_look_of_its_own_the_pages_are_plain_and_whole(tmp_path: Path) -> None:
    config = Config(dev=True, data_dir=tmp_path, port=0, app_name="Plain")
    async with running(config) as (holdfast, _), chromium() as browser:
        context = await browser.new_context(java_script_enabled=False, viewport={"width": 375, "height": 700})
        page = await context.new_page()
        await page.goto(f"{holdfast.config.base_url}/connect/success")
        shown = await page.inner_text("body")
        assert "Plain can use it from now on. You can close this page." in shown
        assert await page.locator(".way").count() == 0
        assert await page.locator("link[rel=stylesheet]").count() == 1
