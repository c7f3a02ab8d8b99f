"""A user's browser at emulated vendors' own consent pages: connect, come back as another person, disconnect. Nobody can
refuse there: that is in test_browser, at the sandbox."""

from pathlib import Path

import pytest
from workos import AsyncWorkOSClient
from workos.common.models import DataIntegrationCredentialType
from workos.pipes.models import DataIntegrationCredentialsInput

from holdfast.cli.serve import running
from holdfast.config import Config
from tests.parts.browser import chromium
from tests.parts.emulate import Emulators

pytestmark = [pytest.mark.browser, pytest.mark.node]
SCREENS = Path("build/screens")


@pytest.mark.parametrize("vendor", ["github", "google"])
async def test_a_user_connects_cannot_come_back_as_somebody_else_and_disconnects(
    tmp_path: Path, emulators: Emulators, vendor: str
) -> None:
    SCREENS.mkdir(parents=True, exist_ok=True)
    app = emulators[vendor]
    other, mine = app.users
    config = Config(dev=True, data_dir=tmp_path, port=0, provider_origins=emulators.provider_origins())
    async with running(config) as (holdfast, _), chromium() as browser:
        assert holdfast.first_key is not None
        base, key = holdfast.config.base_url, holdfast.first_key.reveal()
        sdk = AsyncWorkOSClient(api_key=key, client_id="any", base_url=base)
        await sdk.pipes.create_data_integration(
            provider=vendor,
            enabled=True,
            credentials=DataIntegrationCredentialsInput(
                type=DataIntegrationCredentialType("custom"), client_id=app.client_id, client_secret=app.client_secret
            ),
        )
        context = await browser.new_context(viewport={"width": 375, "height": 740})
        context.set_default_timeout(20_000)
        page = await context.new_page()
        for person, heading in ((mine, "is connected"), (other, "This did not work"), (mine, "is connected")):
            link = await sdk.pipes.authorize_data_integration(vendor, user_id="user_1")
            await page.goto(link.url)
            await page.click("button[value=continue]")
            await page.wait_for_url(f"{app.origin}/**")
            await page.click(f"text={person}")
            await page.wait_for_url(f"{base}/**")
            assert heading in await page.inner_text("h1")
            if person == other:
                told = await page.inner_text("main")
                assert "another account than the one that was connected before" in told
                assert f"\n\nThis connection belongs to '{mine}', and the provider says you are '{other}'" in told
                await page.screenshot(path=SCREENS / f"another-person-{vendor}.png", full_page=True)
            held = await sdk.pipes.get_user_connected_account("user_1", vendor)
            assert (held.account_identifier, held.state) == (mine, "connected")

        asked = await page.request.post(
            f"{base}/widgets/token", data={"user_id": "user_1"}, headers={"authorization": f"Bearer {key}"}
        )
        token = (await asked.json())["token"]
        await context.add_cookies([{"name": "holdfast-mine", "value": token, "url": base}])
        await page.goto(f"{base}/connections/mine")
        assert mine in await page.inner_text("main")
        await page.get_by_role("button", name="Disconnect").click()
        await page.get_by_role("button", name="Disconnect").click()
        await page.wait_for_url("**/connections/mine")
        assert mine not in await page.inner_text("main")
        assert not (await sdk.pipes.get_access_token(vendor, user_id="user_1")).active
