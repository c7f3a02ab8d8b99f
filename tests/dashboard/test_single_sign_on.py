"""Signing in at an OpenID Connect issuer: who gets in, and everything that must not."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from holdfast.access.administrators import Administrator, Role
from holdfast.access.administrators import store as people_store
from holdfast.app import Holdfast
from holdfast.cli.serve import running
from holdfast.config import Config
from holdfast.events import Action, Entry
from holdfast.events import store as log
from tests.dashboard.desk import words
from tests.dashboard.person import owner_of
from tests.parts.browser import Browser, Page, chromium
from tests.parts.oidc_provider import OidcProvider
from tests.parts.postgres import Postgres
from tests.storage.engines import ENGINES

if TYPE_CHECKING:
    from playwright.async_api import Page as Tab

pytestmark = pytest.mark.node
CALLBACK = "/dashboard/sign-in/callback"


@dataclass(frozen=True)
class House:
    holdfast: Holdfast
    owner: Administrator
    provider: OidcProvider

    @property
    def base(self) -> str:
        return self.holdfast.config.base_url

    async def invite(self, name: str, role: Role = Role.DEVELOPER) -> None:
        await self.holdfast.people.invite(f"{name}@example.com", role, self.owner)

    async def person(self, name: str) -> Administrator | None:
        return await self.holdfast.database.transact(lambda tx: people_store.by_email(tx, f"{name}@example.com"))

    async def refusals(self) -> list[Entry]:
        kinds = [log.Kind(Action.ADMINISTRATOR_REFUSED)]
        return await self.holdfast.database.transact(
            lambda tx: log.list_entries(tx, people_store.SYSTEM, kinds=kinds, limit=100)
        )

    async def enter(self, name: str, browser: Browser | None = None) -> Page:
        """Sign in as that account of the issuer's, up to where it ends."""
        self.provider.set_account(name)
        return await asyncio.to_thread(self.get, browser or Browser(), f"{self.base}/dashboard/sign-in/begin")

    async def answer_for(self, name: str, browser: Browser, *, begin: str = "/dashboard/sign-in/begin") -> str:
        """Sign in at the issuer and return the address that it sends the browser to, without asking for it."""
        self.provider.set_account(name)
        return await asyncio.to_thread(browser.walk, self.base + begin, stop_at=self.base + CALLBACK)

    async def follow(self, browser: Browser, url: str) -> Page:
        return await asyncio.to_thread(self.get, browser, url)

    @staticmethod
    def get(browser: Browser, url: str) -> Page:
        return browser.get(url, headers={"sec-fetch-site": "same-origin"})


@pytest.fixture(scope="module", params=ENGINES)
async def house(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, oidc_provider: OidcProvider
) -> AsyncIterator[House]:
    database = ""
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        database = server.fresh_database()
    async with _house(tmp_path_factory.mktemp("sso"), oidc_provider, database=database) as made:
        yield made


class _house:  # noqa: N801 - a context manager with a function's name
    def __init__(self, data_dir: Path, provider: OidcProvider, **settings: object) -> None:
        given = {
            "oidc_issuer": provider.base_url,
            "oidc_client_id": provider.client_id,
            "oidc_client_secret": provider.client_secret,
            "oidc_name": "Acme Login",
            "oidc_domains": {"friends.example": "viewer"},
            **settings,
        }
        self._provider = provider
        self._running = running(Config(dev=True, data_dir=data_dir, port=0, **given))  # type: ignore[arg-type]

    async def __aenter__(self) -> House:
        holdfast, _ = await self._running.__aenter__()
        return House(holdfast, await owner_of(holdfast), self._provider)

    async def __aexit__(self, *error: object) -> None:
        await self._running.__aexit__(*error)  # type: ignore[arg-type]


async def _refused(house: House, page: Page, status: int, sentence: str, why: str | None) -> None:
    """The page says it in words, on a sign-in page that still works; the log has it, if there is a `why`."""
    assert page.status == status, page.shown()
    assert sentence in words(page)
    assert 'role="alert"' in page.text
    assert 'name="password"' in page.text
    assert "Traceback" not in page.text
    if why is not None:
        assert (await house.refusals())[-1].data["why"] == why


async def test_an_invited_address_signs_in_and_is_its_subject_from_then_on(house: House) -> None:
    await house.invite("grace")
    browser = Browser()
    page = await house.enter("grace", browser)
    assert page.status == 200, page.shown()
    assert page.url == f"{house.base}/dashboard/default"
    person = await house.person("grace")
    assert person is not None
    assert person.role is Role.DEVELOPER
    assert person.subject == f"{house.provider.base_url} grace"
    assert person.password is None
    assert not any(cookie.name == "holdfast-sign-in" and cookie.value for cookie in browser.cookies.jar)
    again = await house.enter("grace")
    assert again.url == f"{house.base}/dashboard/default"
    left = await house.holdfast.database.transact(people_store.open_invitations)
    assert not [one for one in left if one.email == "grace@example.com"]


async def test_the_page_that_was_asked_for_is_where_it_leads(house: House) -> None:
    await house.invite("edsger")
    browser = Browser()
    page = await house.follow(browser, f"{house.base}/dashboard/default/accounts")
    assert "Acme Login" in words(page)
    [begin] = re.findall(r'href="(/dashboard/sign-in/begin[^"]*)"', page.text)
    landed = await house.follow(browser, await house.answer_for("edsger", browser, begin=begin))
    assert landed.url == f"{house.base}/dashboard/default/accounts"
    for where in (
        "https://evil.example/",
        "//evil.example/dashboard/",
        "/dashboard\\..\\x",
        "/dashboard/" + "a" * 3000,
    ):
        begin = "/dashboard/sign-in/begin?" + urlencode({"next": where})
        landed = await house.follow(other := Browser(), await house.answer_for("edsger", other, begin=begin))
        assert landed.url == f"{house.base}/dashboard/default", where


async def test_an_administrators_verified_address_pins_the_subject_and_nobody_elses_fits_after(house: House) -> None:
    assert (await house.enter("ada")).url == f"{house.base}/dashboard/default"
    owner = await house.person("ada")
    assert owner is not None
    assert owner.role is Role.OWNER
    assert owner.password is not None
    assert owner.subject == f"{house.provider.base_url} ada"
    await house.invite("pinned")
    await house.enter("pinned")
    person = await house.person("pinned")
    assert person is not None
    other = replace(person, subject=f"{house.provider.base_url} somebody-else")
    await house.holdfast.database.transact(lambda tx: people_store.save(tx, other))
    await _refused(house, await house.enter("pinned"), 403, "as another identity before", "subject_mismatch")


async def test_without_an_invitation_nobody_gets_in(house: House) -> None:
    await _refused(
        house, await house.enter("mallory"), 403, "There is no access for mallory@example.com", "not_invited"
    )
    assert await house.person("mallory") is None
    told = (await house.refusals())[-1]
    assert (told.data["by"], told.data["email"]) == ("single sign-on", "mallory@example.com")


async def test_an_address_that_is_not_verified_opens_nothing(house: House) -> None:
    await house.invite("barbara")
    house.provider.set_email_verified(False)
    await _refused(house, await house.enter("barbara"), 403, "is not verified", "email_unverified")
    assert await house.person("barbara") is None


async def test_a_disabled_administrator_stays_out(house: House) -> None:
    await house.invite("former")
    await house.enter("former")
    person = await house.person("former")
    assert person is not None
    await house.holdfast.people.set_disabled(person.id, True, house.owner)
    await _refused(house, await house.enter("former"), 403, "Your access was switched off", "policy_denied")


async def test_an_answer_counts_once_and_in_the_browser_that_asked(house: House) -> None:
    await house.invite("once")
    browser, other = Browser(), Browser()
    answer = await house.answer_for("once", browser)
    bound = {cookie.name: cookie.value or "" for cookie in browser.cookies.jar}
    await _refused(house, await house.follow(other, answer), 403, "begun in another browser", None)
    # Another browser with a sign-in of its own, which is not this one.
    await house.answer_for("once", other)
    await _refused(house, await house.follow(other, answer), 403, "begun in another browser", None)
    assert (await house.follow(browser, answer)).url == f"{house.base}/dashboard/default"
    thief = Browser()
    for name, value in bound.items():
        if name == "holdfast-sign-in":
            thief.cookies.set(name, value, domain="localhost.local")
    before = len(await house.refusals())
    page = await asyncio.to_thread(
        thief.get, answer, headers={"cookie": f"holdfast-sign-in={bound['holdfast-sign-in']}"}
    )
    await _refused(house, page, 403, "finished before", "state_spent")
    assert len(await house.refusals()) == before + 1


@pytest.mark.parametrize(
    ("change", "sentence", "why"),
    [
        ({"iss": "https://evil.example"}, "another issuer", "answer_forged"),
        ({"iss": None}, "issuer (iss) is missing", "answer_forged"),
        ({"code": "made-up"}, "did not confirm the sign-in (invalid_grant)", "issuer_refused"),
        ({"code": None, "error": "access_denied"}, "did not let you in (access_denied)", "issuer_refused"),
        ({"state": "0" * 64}, "begun in another browser", None),
        ({"state": None}, "begun in another browser", None),
    ],
    ids=["mixed up", "no iss", "another code", "denied", "another state", "no state"],
)
async def test_an_answer_that_is_not_the_issuers_is_refused(
    house: House, change: dict[str, str | None], sentence: str, why: str | None
) -> None:
    await house.invite("answered")
    browser = Browser()
    answer = urlsplit(await house.answer_for("answered", browser))
    given = {name: values[0] for name, values in parse_qs(answer.query).items()} | change
    query = urlencode({name: value for name, value in given.items() if value is not None})
    page = await house.follow(browser, answer._replace(query=query).geturl())
    await _refused(house, page, 403, sentence, why)
    assert not any(cookie.name == "holdfast-admin" for cookie in browser.cookies.jar)


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("payload", "fits none of the issuer's keys"),
        ("none", "not signed with a public-key algorithm"),
        ("former", "made for another sign-in (nonce)"),
        ("absent", "sent no ID token"),
    ],
)
async def test_an_id_token_that_was_tampered_with_is_not_believed(house: House, how: str, sentence: str) -> None:
    await house.invite("edith")
    assert (await house.enter("edith")).status == 200  # there is a former token now
    house.provider.tamper(how)
    page = await house.enter("edith")
    assert sentence in words(page)
    assert page.status == 403
    assert (await house.refusals())[-1].data["why"] == "id_token_refused"


async def test_a_binding_of_ones_own_making_is_none(house: House) -> None:
    for made in ("", "x", "..", "a.b.c.d", "0" * 64 + ".9999999999.text.", "é" * 50):
        url = f"{house.base}{CALLBACK}?" + urlencode({"state": "0" * 64, "code": "x"})
        page = await asyncio.to_thread(
            Browser().get, url, headers={"cookie": f"holdfast-sign-in={made.encode().hex() if 'é' in made else made}"}
        )
        await _refused(house, page, 403, "begun in another browser", None)


async def test_another_site_cannot_begin_a_sign_in(house: House) -> None:
    page = await asyncio.to_thread(
        Browser().get,
        f"{house.base}/dashboard/sign-in/begin",
        headers={"sec-fetch-site": "cross-site"},
        follow=False,
    )
    assert page.headers["location"] == "/dashboard/sign-in"


async def test_a_wrong_password_is_on_record_beside_them(house: House) -> None:
    fields = {"email": "ada@example.com", "password": "not this one at all"}
    page = await asyncio.to_thread(Browser().post_form, f"{house.base}/dashboard/sign-in", fields)
    assert page.status == 401
    told = (await house.refusals())[-1]
    assert told.data == {"by": "password", "why": "wrong_password", "email": "ada@example.com"}
    assert told.actor.id == house.owner.id


async def test_an_issuer_that_is_away_is_said_so_and_passwords_still_work(
    tmp_path: Path, oidc_provider: OidcProvider
) -> None:
    async with _house(tmp_path, oidc_provider, oidc_issuer="http://127.0.0.1:1025") as house:
        page = await house.enter("ada")
        assert page.status == 503
        assert "Acme Login cannot be asked just now" in words(page)
        fields = {"email": "ada@example.com", "password": "correct horse battery"}
        entered = await asyncio.to_thread(Browser().post_form, f"{house.base}/dashboard/sign-in", fields)
        assert entered.status == 200
        assert entered.url == f"{house.base}/dashboard/default"


async def test_metadata_of_another_issuer_is_not_believed(tmp_path: Path, oidc_provider: OidcProvider) -> None:
    other = oidc_provider.base_url.replace("127.0.0.1", "localhost")
    async with _house(tmp_path, oidc_provider, oidc_issuer=other) as house:
        page = await house.enter("ada")
        assert page.status == 503
        assert "names another issuer" in words(page)


async def test_a_domain_with_a_role_lets_its_people_in_uninvited(tmp_path: Path, oidc_provider: OidcProvider) -> None:
    async with _house(tmp_path, oidc_provider, oidc_domains={"EXAMPLE.com": "viewer"}) as house:
        assert (await house.enter("friend")).status == 200
        person = await house.person("friend")
        assert person is not None
        assert person.role is Role.VIEWER


async def test_without_an_issuer_there_is_no_button_and_no_way_in(tmp_path: Path) -> None:
    async with running(Config(dev=True, data_dir=tmp_path, port=0)) as (holdfast, _):
        base = holdfast.config.base_url
        page = await asyncio.to_thread(Browser().get, f"{base}/dashboard/sign-in")
        assert "sign-in/begin" not in page.text
        for path in ("/dashboard/sign-in/begin", CALLBACK):
            page = await asyncio.to_thread(Browser().get, base + path)
            assert "Sign in with" not in words(page)
            assert page.url.startswith(f"{base}/dashboard/sign-in?")


async def test_by_its_domain_nobody_becomes_the_first(tmp_path: Path, oidc_provider: OidcProvider) -> None:
    config = Config(
        dev=True,
        data_dir=tmp_path,
        port=0,
        oidc_issuer=oidc_provider.base_url,
        oidc_client_id=oidc_provider.client_id,
        oidc_client_secret=oidc_provider.client_secret,
        oidc_domains={"example.com": "admin"},
    )
    async with running(config) as (holdfast, _):
        page = await asyncio.to_thread(Browser().get, f"{holdfast.config.base_url}/dashboard/sign-in/begin")
        assert page.status == 403
        assert "There is no access for" in words(page)


@pytest.mark.browser
async def test_the_button_is_clicked_in_chromium_and_what_fails_is_told_there(
    tmp_path: Path, oidc_provider: OidcProvider
) -> None:
    async with _house(tmp_path, oidc_provider) as house, chromium() as browser:
        await house.invite("grace", Role.VIEWER)
        context = await browser.new_context(viewport={"width": 375, "height": 720})
        context.set_default_timeout(15_000)
        tab: Tab = await context.new_page()
        complaints: list[str] = []
        tab.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        oidc_provider.set_account("mallory")
        await tab.goto(f"{house.base}/dashboard/default/accounts")
        await tab.click("text=Sign in with Acme Login")
        await tab.wait_for_selector("[role=alert]")
        assert "There is no access for mallory@example.com" in await tab.inner_text("[role=alert]")
        await _shot(tab, "sign-in-refused")
        assert not [text for text in complaints if "403" not in text]
        await context.clear_cookies()  # the issuer's session too
        oidc_provider.set_account("grace")
        await tab.goto(f"{house.base}/dashboard/default/accounts")
        await tab.click("text=Sign in with Acme Login")
        await tab.wait_for_url(f"{house.base}/dashboard/default/accounts")
        assert await tab.inner_text("h1") == "Accounts"
        names: Sequence[str] = [cookie["name"] for cookie in await context.cookies(house.base)]
        assert "holdfast-admin" in names
        assert "holdfast-sign-in" not in names
        await context.close()


async def _shot(tab: "Tab", name: str) -> None:
    where = Path("build/screens")
    where.mkdir(parents=True, exist_ok=True)
    await tab.screenshot(path=where / f"dashboard-{name}.png", full_page=True)
