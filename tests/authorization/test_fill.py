"""Credentials that are typed in: the form, what is wrong told beside the field, and what is kept of it."""

import asyncio
import re

import httpx2
import pytest

from holdfast.accounts import Owner, Status, details_of
from holdfast.authorization.fill import is_refused
from holdfast.connections import Connection
from holdfast.http import Reply
from holdfast.oauth2.dialect import Dead
from holdfast.providers.entry import ConfigField, CredentialField, Provider
from holdfast.providers.forms import form_of, main_field, read_details, read_form
from tests.attacks.app import query_of
from tests.authorization.links import BACK, Linking, typed_connection
from tests.parts.browser import Browser, Page
from tests.tokens.house import House

LOGIN = {
    "username": CredentialField(label="User name", hint="The one you sign in with"),
    "region": CredentialField(label="Region", input="select", options=("eu", "us")),
    "note": CredentialField(label="Note", input="textarea", required=False),
    "password": CredentialField(label="Password", input="password"),
}
TYPED = {"username": "ada", "region": "eu", "password": "correct horse"}


async def open_form(link_url: str, browser: Browser) -> Page:
    page = await asyncio.to_thread(browser.get, link_url, follow=False)
    assert page.status == 200
    return page


async def send(browser: Browser, page: Page, typed: dict[str, str]) -> Page:
    opening = next(item.value for item in page.forms[0].fields if item.name == "opening")
    named = {f"field-{name}": value for name, value in typed.items()}
    fields = {**named, "opening": opening, "decision": "continue"}
    return await asyncio.to_thread(browser.post_form, page.url, fields, from_page=page, follow=False)


@pytest.fixture
async def login(house: House) -> Connection:
    return await typed_connection(house, LOGIN)


async def test_a_form_asks_for_an_entrys_fields_and_keeps_what_is_typed_sealed(house: House, login: Connection) -> None:
    linking = Linking(house, login)
    link = await linking.link()
    with Browser() as browser:
        page = await open_form(link.url, browser)
        assert re.findall(r'<label for="field-(\w+)"', page.text) == list(LOGIN)
        assert "The one you sign in with" in page.text
        assert "script" not in page.text.lower()
        done = await send(browser, page, TYPED)
        assert done.redirect == linking.success
        assert (await asyncio.to_thread(browser.get, done.redirect)).status == 200
    account = await house.stored(link.account)
    assert account.status is Status.ACTIVE
    assert house.access_of(account) == "correct horse"
    effective = await house.effective(login)
    assert await details_of(account, house.holdfast.vault, effective.provider) == TYPED
    assert b"correct horse" not in (account.details.data if account.details else b"correct horse")
    found = await house.read(account, login)
    assert found.secret.reveal() == "correct horse"


async def test_what_is_wrong_is_told_beside_the_field_and_what_was_typed_stays_but_no_secret(
    house: House, login: Connection
) -> None:
    link = await Linking(house, login).link()
    with Browser() as browser:
        page = await open_form(link.url, browser)
        again = await send(browser, page, {**TYPED, "region": "mars", "username": '"><script>ada'})
        assert again.status == 422
        assert 'id="wrong-region"' in again.text
        assert 'id="wrong-username"' not in again.text
        assert "&#34;&gt;&lt;script&gt;ada" in again.text
        assert "<script" not in again.text
        assert "correct horse" not in again.text
        empty = await send(browser, again, {})
        assert [f"wrong-{name}" in empty.text for name in LOGIN] == [True, True, False, True]
        house.clock.at += 120  # typing takes longer than a link lives
        assert (await send(browser, empty, TYPED)).status == 303
        assert (await send(browser, empty, TYPED)).status == 410
    assert (await house.stored(link.account)).status is Status.ACTIVE


async def test_a_key_is_tried_at_the_provider_where_the_entry_says_how(house: House) -> None:
    connection = await typed_connection(house, {}, probed=True)
    link = await Linking(house, connection).link()
    good = house.consent("read").access_token
    with Browser() as browser:
        page = await open_form(link.url, browser)
        assert 'type="password"' in page.text
        bad = await send(browser, page, {"api_key": "wrong-key"})
        assert bad.status == 422
        assert "does not accept this" in bad.text
        assert "wrong-key" not in bad.text
        assert (await house.stored(link.account)).status is Status.PENDING
        assert (await send(browser, bad, {"api_key": f"  {good}\n"})).status == 303
    assert house.access_of(await house.stored(link.account)) == good


async def test_an_account_in_use_keeps_its_key_until_a_new_one_is_accepted(house: House) -> None:
    connection = await typed_connection(house, {}, probed=True)
    linking = Linking(house, connection)
    first, second = house.consent("read").access_token, house.consent("read").access_token
    link = await linking.link()
    with Browser() as browser:
        await send(browser, await open_form(link.url, browser), {"api_key": first})
    link = await linking.again(link.account)
    with Browser() as browser:
        page = await open_form(link.url, browser)
        await send(browser, page, {"api_key": "wrong"})
        assert house.access_of(await house.stored(link.account)) == first
        await send(browser, page, {"api_key": second})
        assert house.access_of(await house.stored(link.account)) == second


async def test_what_was_typed_waits_for_the_user_to_be_verified_too(house: House, login: Connection) -> None:
    linking = Linking(house, login)
    link = await linking.link(Owner.user("ada"), user_verify_url=BACK, state="s")
    with Browser() as browser:
        came = (await send(browser, await open_form(link.url, browser), TYPED)).redirect or ""
    told = query_of(came)
    assert (came.startswith(BACK), told["state"]) == (True, "s")
    account = await house.stored(link.account)
    assert (account.status, account.access, account.details) == (Status.VERIFYING, None, None)
    await linking.verify(told["auth_request_id"], "ada")
    assert house.access_of(await house.stored(account)) == "correct horse"


async def test_fields_may_be_called_as_a_providers_entry_likes(house: House) -> None:
    names = {
        "decision": CredentialField(label="Decision"),
        "opening": CredentialField(label="Opening", input="password"),
        'a"><b>': CredentialField(label="<i>Odd</i>"),
    }
    connection = await typed_connection(house, names)
    link = await Linking(house, connection).link()
    with Browser() as browser:
        page = await open_form(link.url, browser)
        assert "<b>" not in page.text
        assert "<i>" not in page.text
        typed = {"decision": "cancel", "opening": "mine", 'a"><b>': "x"}
        assert (await send(browser, page, typed)).status == 303
    assert house.access_of(await house.stored(link.account)) == "mine"


async def test_the_database_holds_nothing_of_links_fields_and_requests_in_clear(
    house: House, login: Connection
) -> None:
    if house.holdfast.database.dialect == "postgresql":
        pytest.skip("its files are not ours to read; the columns are the same")
    linking = Linking(house, login)
    link = await linking.link(Owner.user("ada"), user_verify_url=BACK)
    typed = {**TYPED, "password": "canary-of-the-form"}
    with Browser() as browser:
        came = (await send(browser, await open_form(link.url, browser), typed)).redirect or ""
    request = query_of(came)["auth_request_id"]
    secrets = [link.url.rsplit("/", 1)[1], request, typed["password"]]
    kept = b"".join(path.read_bytes() for path in house.holdfast.config.data_dir.glob("holdfast.db*"))
    assert linking.connection.id.encode() in kept
    assert [secret for secret in secrets if secret.encode() in kept] == []
    await linking.verify(request, "ada")
    kept = b"".join(path.read_bytes() for path in house.holdfast.config.data_dir.glob("holdfast.db*"))
    assert [secret for secret in secrets if secret.encode() in kept] == []


async def test_another_site_cannot_send_the_form(house: House, login: Connection) -> None:
    link = await Linking(house, login).link()
    with Browser() as browser:
        page = await open_form(link.url, browser)
        sent = await asyncio.to_thread(
            browser.post_form, page.url, TYPED, headers={"sec-fetch-site": "cross-site"}, follow=False
        )
        assert sent.status == 400
    assert (await house.stored(link.account)).status is Status.PENDING


@pytest.mark.parametrize("body", [b"a" * 140_000, b"\xff=1", b"&".join(b"a%d=1" % n for n in range(200))])
async def test_no_form_of_ours_is_refused(house: House, login: Connection, body: bytes) -> None:
    link = await Linking(house, login).link()
    async with httpx2.AsyncClient(trust_env=False) as web:
        headers = {"content-type": "application/x-www-form-urlencoded"}
        assert (await web.post(link.url, content=body, headers=headers)).status_code == 400


async def test_client_credentials_are_tried_by_asking_for_a_token(house: House) -> None:
    connection = await typed_connection(house, {}, method="client_credentials")
    link = await Linking(house, connection).link()
    client = {"client_id": house.sandbox.client_id, "client_secret": house.sandbox.client_secret.reveal()}
    with Browser() as browser:
        page = await open_form(link.url, browser)
        bad = await send(browser, page, {**client, "client_secret": "wrong"})
        assert bad.status == 422
        assert client["client_id"] in bad.text
        assert (await send(browser, bad, client)).status == 303
    account = await house.stored(link.account)
    assert (account.oauth_client_id, house.grant_of(account)) == (client["client_id"], client["client_secret"])


# The rules, without a house

ENTRY = Provider(
    slug="x",
    name="X",
    auth="basic",
    config={
        "shop": ConfigField(label="Shop", required=True, pattern="[a-z]+"),
        "key2": ConfigField(label="Second key", secret=True),
        "site": ConfigField(scope="integration"),
    },
    credential=LOGIN,
)


def test_settings_come_first_and_what_the_connection_has_fixed_is_not_asked_for() -> None:
    names = [item.name for item in form_of(ENTRY, {})]
    assert names == ["shop", "key2", *LOGIN]
    assert [item.name for item in form_of(ENTRY, {"shop": "acme"})] == ["key2", *LOGIN]
    assert [item.name for item in form_of(Provider(slug="x", name="X", auth="api_key"), {})] == ["api_key"]
    assert main_field(ENTRY) == "password"


def test_a_secret_setting_is_kept_with_the_credential_and_not_in_clear() -> None:
    read = read_form(ENTRY, {}, {**TYPED, "shop": "acme", "key2": "second secret"})
    assert read.config == {"shop": "acme"}
    assert '"key2":"second secret"' in read.details.reveal()
    assert read.key.reveal() == "correct horse"


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"api_key": "k"}, "k"),
        ({"token": "t"}, "t"),
        ({"anything": "a"}, "a"),
        ({"domain": "d", "token": "t"}, "t"),
        ({"username": "u", "password": "p", "domain": "d"}, "p"),
    ],
)
def test_what_an_app_brings_along_is_taken_by_its_usual_names(given: dict[str, str], key: str) -> None:
    read = read_details(Provider(slug="x", name="X", auth="api_key"), {}, given)
    assert read.key.reveal() == key


@pytest.mark.parametrize(
    ("dead", "status", "body", "refused"),
    [
        ((), 401, b"", True),
        ((), 403, b"", True),
        ((), 200, b"", False),
        ((), 404, b"", False),
        ((Dead(at="api", status=401),), 403, b"", False),
        ((Dead(at="api", status=401, field="name", values=("bad_key",)),), 401, b'{"name":"restricted"}', False),
        ((Dead(at="api", status=401, field="name", values=("bad_key",)),), 401, b'{"name":"bad_key"}', True),
        ((Dead(at="token", status=401),), 401, b"", True),
    ],
)
def test_an_entrys_own_rules_say_what_a_refusal_is(
    dead: tuple[Dead, ...], status: int, body: bytes, refused: bool
) -> None:
    provider = Provider(slug="x", name="X", auth="api_key", dead=dead)
    assert is_refused(provider, Reply(status, {}, body)) is refused
