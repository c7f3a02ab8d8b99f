"""The pages in a real browser: what an end user sees and presses. Screenshots are kept in build/screens."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from workos import AsyncWorkOSClient
from workos.common.models import DataIntegrationCredentialType
from workos.pipes.models import DataIntegrationCredentialsInput

from holdfast.app import Holdfast
from holdfast.cli.serve import running
from holdfast.config import Config
from tests.parts.browser import chromium

pytestmark = pytest.mark.browser
SCREENS = Path("build/screens")


def _sdk(holdfast: Holdfast) -> AsyncWorkOSClient:
    assert holdfast.first_key is not None
    return AsyncWorkOSClient(
        api_key=holdfast.first_key.reveal(), client_id="x", base_url=holdfast.config.base_url, max_retries=0
    )


async def _set_up(holdfast: Holdfast) -> AsyncWorkOSClient:
    sdk, sandbox = _sdk(holdfast), holdfast.sandbox
    assert sandbox is not None
    await sdk.pipes.create_data_integration(
        provider="sandbox",
        enabled=True,
        credentials=DataIntegrationCredentialsInput(
            type=DataIntegrationCredentialType("custom"),
            client_id=sandbox.client_id,
            client_secret=sandbox.client_secret.reveal(),
        ),
    )
    return sdk


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_user_connects_reads_whose_account_it_is_and_can_refuse(tmp_path: Path, scheme: str) -> None:
    SCREENS.mkdir(parents=True, exist_ok=True)
    config = Config(dev=True, data_dir=tmp_path, port=0, app_name="Acme Notes")
    async with running(config) as (holdfast, _), chromium() as browser:
        sdk = await _set_up(holdfast)
        context = await browser.new_context(color_scheme=scheme, viewport={"width": 375, "height": 740})
        page = await context.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)

        link = await sdk.pipes.authorize_data_integration("sandbox", user_id="user_ada")
        await page.goto(link.url)
        assert "user_ada" in await page.inner_text("main")
        assert "Acme Notes" in await page.inner_text("h1")
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        await page.screenshot(path=SCREENS / f"confirm-{scheme}.png", full_page=True)
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/lab/sandbox/authorize**")
        await page.screenshot(path=SCREENS / f"sandbox-consent-{scheme}.png", full_page=True)
        await page.click("button[value=allow]")
        await page.wait_for_url("**/callback**")
        assert "is connected" in await page.inner_text("h1")
        await page.screenshot(path=SCREENS / f"done-{scheme}.png", full_page=True)
        assert not complaints  # neither the policy nor a missing file
        token = await sdk.pipes.get_access_token("sandbox", user_id="user_ada")
        assert token.active

        cookie = next(item for item in await context.cookies() if item["name"] == "holdfast")
        assert cookie["httpOnly"]
        assert cookie["sameSite"] == "Lax"

        link = await sdk.pipes.authorize_data_integration("sandbox", user_id="user_grace")
        await page.goto(link.url)
        await page.click("button")
        await page.wait_for_url("**/lab/sandbox/authorize**")
        await page.click("button[value=deny]")
        await page.wait_for_url("**/callback**")
        assert await page.inner_text("h1") == "Not connected"
        await page.screenshot(path=SCREENS / f"denied-{scheme}.png", full_page=True)
        refused = await sdk.pipes.get_access_token("sandbox", user_id="user_grace")
        assert not refused.active


async def test_after_denial_the_browser_goes_back_to_the_app_with_the_error(tmp_path: Path) -> None:
    config = Config(dev=True, data_dir=tmp_path, port=0)
    async with running(config) as (holdfast, _), chromium() as browser:
        sdk = await _set_up(holdfast)
        page = await (await browser.new_context()).new_page()
        back = f"{holdfast.config.base_url}/healthz"
        link = await sdk.pipes.authorize_data_integration("sandbox", user_id="user_ada", return_to=back)
        await page.goto(link.url)
        await page.click("button")
        await page.wait_for_url("**/lab/sandbox/authorize**")
        await page.click("button[value=deny]")
        await page.wait_for_url("**/healthz**")
        told = parse_qs(urlsplit(page.url).query)
        assert told["error"] == ["access_denied"]
        assert told["state"] == [link.state]
        assert told["error_description"][0]


async def test_cancelling_before_the_provider_goes_back_to_the_app_and_ends_the_link(tmp_path: Path) -> None:
    config = Config(dev=True, data_dir=tmp_path, port=0)
    async with running(config) as (holdfast, _), chromium() as browser:
        sdk = await _set_up(holdfast)
        page = await (await browser.new_context()).new_page()
        back = f"{holdfast.config.base_url}/healthz"
        link = await sdk.pipes.authorize_data_integration("sandbox", user_id="user_ada", return_to=back)
        await page.goto(link.url)
        await page.click("button[value=cancel]")
        await page.wait_for_url("**/healthz**")
        assert parse_qs(urlsplit(page.url).query)["error"] == ["access_denied"]
        reply = await page.goto(link.url)
        assert reply is not None
        assert reply.status == 410
        names = ["pipes.connected_account.connection_failed"]
        failures = [event.data.error_code for event in (await sdk.events.list_events(events=names)).data]
        assert failures == ["provider_error"]
