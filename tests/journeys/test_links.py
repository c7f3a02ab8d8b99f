"""One-time links at other people's OAuth servers, and the form and the verification in a real browser.

What a link connected is read at the WorkOS door, which knows nothing of links.
"""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from holdfast.access import change_environment
from holdfast.accounts import Account, Owner, Status
from holdfast.accounts import store as account_store
from holdfast.app import Holdfast
from holdfast.authorization import Link, LinkFor
from holdfast.cli.serve import running
from holdfast.config import Config
from holdfast.connections.changes import NewConnection
from holdfast.connections.clients import ClientInput
from holdfast.events import Actor
from holdfast.lab import sandbox_provider
from holdfast.lab.asking import Asked
from holdfast.lab.people import PEOPLE
from holdfast.lab.sandbox import Issued
from holdfast.oauth2.dialect import Dialect
from holdfast.providers.entry import Call, ConfigField, CredentialField, Provider
from holdfast.secret import Secret
from tests.journeys.journey import check_addresses
from tests.parts.browser import Browser, chromium
from tests.parts.emulate import Emulators
from tests.parts.oidc_provider import OidcProvider

APP = Actor("api_key", "key")
BACK = "http://localhost:3000/verified"
SCREENS = Path("build/screens")


async def define(holdfast: Holdfast, provider: Provider, **more: Any) -> None:
    new = NewConnection(provider_slug=provider.slug, enabled=True, definition=provider, **more)
    await holdfast.accounts.connections.create(holdfast.environment.id, new, APP)


async def link_for(holdfast: Holdfast, name: str, user: str, **more: Any) -> Link:
    ask = LinkFor(environment_id=holdfast.environment.id, actor=APP, name=name, owner=Owner.user(user), **more)
    return await holdfast.links.make(ask)


async def stored(holdfast: Holdfast, account: Account) -> Account | None:
    return await holdfast.database.transact(lambda tx: account_store.get(tx, account.environment_id, account.id))


async def read(holdfast: Holdfast, name: str, user: str, what: str = "token") -> Any:
    assert holdfast.first_key is not None
    headers = {"authorization": f"Bearer {holdfast.first_key.reveal()}"}
    async with httpx2.AsyncClient(base_url=holdfast.config.base_url, headers=headers, trust_env=False) as web:
        reply = await web.post(f"/data-integrations/{name}/{what}", json={"user_id": user})
        assert reply.status_code == 200, reply.text
        return reply.json()


def told(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


@pytest.mark.node
async def test_a_link_leads_through_a_certified_provider_to_a_verified_account_and_back_again(
    tmp_path: Path, oidc_provider: OidcProvider
) -> None:
    provider = Provider(
        slug="acme",
        name="Acme",
        auth="oauth2",
        custom=True,
        oauth2=Dialect(
            authorize_url=oidc_provider.authorize_url,
            token_url=oidc_provider.token_url,
            scopes=("openid", "offline_access", "read"),
        ),
    )
    async with running(Config(dev=True, data_dir=tmp_path, port=0)) as (holdfast, _):
        client = ClientInput(oidc_provider.client_id, Secret(oidc_provider.client_secret))
        await define(holdfast, provider, client_supply="custom", client=client)
        tokens = []
        for _ in range(2):  # the second time as a re-authorisation of an active account
            link = await link_for(holdfast, "acme", "ada", user_verify_url=BACK, state="of the app")
            with Browser() as browser:
                came = await browser.walk_async(link.url, stop_at=BACK)
                check_addresses(browser.visited, {oidc_provider.client_secret, *tokens})
            assert told(came)["state"] == "of the app"
            before = await read(holdfast, "acme", "ada")
            assert before["active"] is bool(tokens)
            if tokens:
                assert before["access_token"]["access_token"] == tokens[-1]
            request = told(came)["auth_request_id"]
            assert await holdfast.verify.verify(holdfast.environment.id, request, "ada", APP)
            token = (await read(holdfast, "acme", "ada"))["access_token"]["access_token"]
            who = httpx2.get(oidc_provider.userinfo_url, headers={"authorization": f"Bearer {token}"})
            assert who.json()["sub"] == "ada"
            tokens.append(token)
        assert len(set(tokens)) == 2


@pytest.mark.node
async def test_a_link_connects_a_user_of_an_emulated_vendor_by_the_catalogues_entry(
    tmp_path: Path, emulators: Emulators
) -> None:
    config = Config(dev=True, data_dir=tmp_path, port=0, provider_origins=emulators.provider_origins())
    async with running(config) as (holdfast, _):
        app = emulators["github"]
        new = NewConnection(
            provider_slug="github",
            client_supply="custom",
            client=ClientInput(app.client_id, Secret(app.client_secret)),
            enabled=True,
        )
        await holdfast.accounts.connections.create(holdfast.environment.id, new, APP)
        link = await link_for(holdfast, "github", "user_1")
        with Browser() as browser:
            end = await browser.walk_async(
                link.url, stop_at=holdfast.config.base_url + "/connect/success", choose=app.users[1]
            )
            page = await asyncio.to_thread(browser.get, end)
            assert (page.status, "is connected" in page.text) == (200, True)
        account = await stored(holdfast, link.account)
        assert account is not None
        assert (account.status, account.identifier) == (Status.ACTIVE, "hubot")
        token = (await read(holdfast, "github", "user_1"))["access_token"]["access_token"]
        origin = emulators.provider_origins()["https://api.github.com"]
        assert httpx2.get(f"{origin}/user", headers={"authorization": f"Bearer {token}"}).json()["login"] == "hubot"


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_user_types_a_key_in_is_told_what_is_wrong_and_comes_back_to_be_verified(
    tmp_path: Path, scheme: str
) -> None:
    SCREENS.mkdir(parents=True, exist_ok=True)
    config = Config(dev=True, data_dir=tmp_path, port=0, app_name="Acme Notes")
    async with running(config) as (holdfast, _), chromium() as browser:
        base = holdfast.config.base_url
        assert holdfast.sandbox is not None
        probe = sandbox_provider(base + "/lab/sandbox").probe
        assert isinstance(probe, Call)
        provider = Provider(
            slug="keyed",
            name="Keyed",
            auth="api_key",
            custom=True,
            config={"site": ConfigField(label="Site", description="The part before .keyed.test", required=True)},
            credential={
                "region": CredentialField(label="Region", input="select", options=("eu", "us")),
                "token": CredentialField(label="API token", hint="Settings, then API", input="password"),
            },
            probe=probe,
        )
        await define(holdfast, provider, method="api_key")
        await change_environment(
            holdfast.database, holdfast.clock, holdfast.environment.id, APP, user_verification="custom"
        )
        context = await browser.new_context(color_scheme=scheme, viewport={"width": 375, "height": 740})
        page = await context.new_page()
        complaints: list[str] = []

        def noted(message: Any) -> None:
            if message.type == "error" and not message.text.startswith("Failed to load resource"):  # it notes statuses
                complaints.append(message.text)

        page.on("console", noted)

        bare = await link_for(holdfast, "keyed", "user_ada")
        await page.goto(bare.url)
        assert "user_verify_url not configured for verification redirect" in await page.inner_text("main")

        back = f"{base}/healthz?app=1"
        link = await link_for(holdfast, "keyed", "user_ada", user_verify_url=back, state="s&t")
        await page.goto(link.url)
        assert "user_ada" in await page.inner_text("main")
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        await page.screenshot(path=SCREENS / f"form-{scheme}.png", full_page=True)
        await page.get_by_label("Site").fill("acme")
        await page.get_by_label("Region").select_option("us")
        await page.get_by_label("API token").fill("not-a-token")
        await page.keyboard.press("Enter")
        await page.wait_for_selector("#wrong-token")
        assert "does not accept this" in await page.inner_text("#wrong-token")
        assert await page.get_by_label("Site").input_value() == "acme"
        assert await page.get_by_label("Region").input_value() == "us"
        assert await page.get_by_label("API token").input_value() == ""
        assert await page.get_by_label("API token").get_attribute("aria-invalid") == "true"
        await page.screenshot(path=SCREENS / f"form-wrong-{scheme}.png", full_page=True)

        key = await _token_of_the_sandbox(holdfast)
        await page.get_by_label("API token").fill(key)
        await page.click("button[value=continue]")
        await page.wait_for_url("**/healthz**")
        came = told(page.url)
        assert (came["app"], came["state"]) == ("1", "s&t")
        assert key not in page.url
        assert (await read(holdfast, "keyed", "user_ada", "credentials"))["active"] is False
        onward = await holdfast.verify.verify(holdfast.environment.id, came["auth_request_id"], "user_ada", APP)
        await page.goto(onward)
        assert "is connected" in await page.inner_text("h1")
        await page.screenshot(path=SCREENS / f"success-{scheme}.png", full_page=True)
        credential = (await read(holdfast, "keyed", "user_ada", "credentials"))["credential"]
        assert (credential["value"], credential["config"]) == (key, {"site": "acme"})
        gone = await page.goto(link.url)
        assert gone is not None
        assert gone.status == 410
        assert complaints == []  # the content security policy forbids nothing that the pages do


async def _token_of_the_sandbox(holdfast: Holdfast) -> str:
    assert holdfast.sandbox is not None
    asked = Asked(redirect_uri=BACK, state=None, scopes=("read",), challenge=None)
    code = holdfast.sandbox.consent(asked, PEOPLE[0], asked.scopes)
    issued = holdfast.sandbox.redeem(code or "", BACK, None)
    assert isinstance(issued, Issued)
    return issued.access_token
