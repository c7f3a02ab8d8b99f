"""Links and verification as the app sees them, in both modes of an environment."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import pytest

from holdfast.access.administrators import Role
from holdfast.ids import opaque
from tests.api.scalekit.rest import ACCOUNTS, Rest, calling
from tests.api.scalekit.test_account_kinds import FIELDS
from tests.authorization.links import typed_connection, verified_users
from tests.authorization.test_fill import open_form, send
from tests.parts.browser import Browser
from tests.storage.engines import database_url  # noqa: F401
from tests.tokens.house import House, built_house, house  # noqa: F401

BACK = "http://localhost:3000/back?app=1"
GONE = "auth request not found or no longer valid"


@pytest.fixture
async def rest(house: House) -> AsyncIterator[Rest]:  # noqa: F811
    async with calling(house) as calls:
        yield calls


@pytest.fixture
async def name(house: House) -> str:  # noqa: F811
    return (await house.connection()).name


def _user() -> str:
    return "user_" + opaque(12)


async def _walk(link: str, stop_at: str = BACK) -> str:
    """Consent; return the auth request id that the app is told, if it is told one."""
    with Browser() as person:
        landed = await person.walk_async(link, stop_at=stop_at)
    return parse_qs(urlsplit(landed).query).get("auth_request_id", [""])[0]


async def test_without_verification_a_consent_connects(rest: Rest, name: str) -> None:
    user, base = _user(), rest.house.holdfast.config.base_url
    link = await rest.link(name, user)
    assert link["link"].startswith(f"{base}/connect/links/") and link["expiry"].endswith("Z")
    assert await _walk(link["link"], f"{base}/connect/success") == ""
    assert (await rest.read(name, user))["status"] == "ACTIVE"


async def test_the_last_page_names_what_this_browser_connected_once_and_never_the_wrong_one(
    rest: Rest, name: str
) -> None:
    user, base = _user(), rest.house.holdfast.config.base_url
    success, other = f"{base}/connect/success", await _second(rest)

    async def shown(person: Browser) -> str:
        return (await asyncio.to_thread(person.get, success)).text

    with Browser() as person, Browser() as stranger:
        await person.walk_async((await rest.link(name, user))["link"], stop_at=success)
        assert "Your account is connected" in await shown(stranger)
        assert "Sandbox is connected" in await shown(person)
        assert "Your account is connected" in await shown(person)

        waiting = (await rest.link(name, user, user_verify_url=BACK))["link"]
        await person.walk_async(waiting, stop_at=BACK)
        assert "Sandbox is connected" in await shown(person), "the app sends its user there once it has verified them"

        await person.walk_async((await rest.link(name, user, user_verify_url=BACK))["link"], stop_at=BACK)
        await person.walk_async((await rest.link(other, user, user_verify_url=BACK))["link"], stop_at=BACK)
        assert "Your account is connected" in await shown(person), "one of two, and nobody knows which"
        await person.walk_async((await rest.link(other, user))["link"], stop_at=success)
        assert "Ames &amp; Sons is connected" in await shown(person)


async def _second(rest: Rest) -> str:
    """Set up a connection to another provider; return its name."""
    lab, sandbox = rest.house.holdfast.config.base_url + "/lab/sandbox", rest.house.sandbox
    body = {
        "provider": "ames",
        "enabled": True,
        "custom_provider": {
            "name": "Ames & Sons",
            "authorization_url": f"{lab}/authorize",
            "token_url": f"{lab}/token",
            "authenticate_via": "basic_auth_header",
        },
        "scopes": ["read"],
        "credentials": {
            "type": "custom",
            "client_id": sandbox.client_id,
            "client_secret": sandbox.client_secret.reveal(),
        },
    }
    reply = await rest.client.post("/data-integrations", json=body)
    assert reply.status_code == 201, reply.text
    return "ames"


async def test_an_environment_that_verifies_needs_a_url_and_says_so_before_the_consent(rest: Rest, name: str) -> None:
    async with verified_users(rest.house):
        bare = await rest.link(name, user := _user())
        page = await rest.client.get(bare["link"])
        assert (page.status_code, "user_verify_url not configured for verification redirect" in page.text) == (
            400,
            True,
        )
        request = await _walk((await rest.link(name, user, user_verify_url=BACK))["link"])
        assert (await rest.read(name, user))["status"] == "PENDING_VERIFICATION"
        done = await rest.verify(request, user)
        assert done["post_user_verify_redirect_url"] == rest.house.holdfast.config.base_url + "/connect/success"
        assert (await rest.read(name, user))["status"] == "ACTIVE"


async def _administrator(rest: Rest) -> str:
    """Return the session of an administrator of the house."""
    people, email = rest.house.holdfast.people, f"{opaque(9).lower()}@example.com"
    _, link = await people.invite(email, Role.VIEWER, None)
    person = await people.accept(link.reveal(), email=email, name="Ada", password="correct horse battery staple")
    return (await rest.house.holdfast.signing_in.admit(person, "test")).reveal()


@pytest.mark.parametrize("kind", ["a consent", "a form"])
async def test_where_links_are_for_administrators_nobody_else_goes_on_from_one(
    rest: Rest, name: str, kind: str
) -> None:
    name = name if kind == "a consent" else (await typed_connection(rest.house, FIELDS)).name
    user, base = _user(), rest.house.holdfast.config.base_url
    typed = {"field-username": "ada", "field-password": "correct horse", "decision": "continue"}
    async with verified_users(rest.house, "administrators"):
        link = (await rest.link(name, user))["link"]
        with Browser() as person:
            page = await asyncio.to_thread(person.get, link)
            assert "by administrators of this server alone" in page.text
            sent = {**typed, "opening": dict(page.forms[0].sends())["opening"]}
            for session in ("", "made-up"):
                person.cookies.set("holdfast-admin", session)
                refused = await asyncio.to_thread(person.post_form, link, sent, from_page=page, follow=False)
                assert (refused.status, "correct horse" in refused.text) == (403, False)
            assert (await rest.read(name, user))["status"] == "PENDING_AUTH"

            person.cookies.clear()
            person.cookies.set("holdfast-admin", await _administrator(rest))
            again = await asyncio.to_thread(person.get, link)
            assert "by administrators of this server alone" not in again.text
            done = await asyncio.to_thread(person.post_form, link, sent, from_page=page, follow=False)
            if kind == "a consent":
                await person.walk_async(done.redirect or "", stop_at=f"{base}/connect/success")
            else:
                assert done.redirect == f"{base}/connect/success"
        assert (await rest.read(name, user))["status"] == "ACTIVE"


async def test_an_auth_request_serves_once_and_its_own_user_only(rest: Rest, name: str) -> None:
    user = _user()
    stolen = await _walk((await rest.link(name, user, user_verify_url=BACK))["link"])
    refused = await rest.verify(stolen, "somebody-else", status=403)
    assert refused["details"][0]["error_code"] == "PERMISSION_DENIED"
    assert GONE in (await rest.verify(stolen, user, status=404))["message"]
    assert (await rest.read(name, user))["status"] == "PENDING_VERIFICATION"
    used = await _walk((await rest.link(name, user, user_verify_url=BACK))["link"])
    await rest.verify(used, user)
    for request in (used, "made-up"):
        assert GONE in (await rest.verify(request, user, status=404))["message"]
    await rest.verify("", user, status=400)
    assert (await rest.read(name, user))["status"] == "ACTIVE"


async def test_an_active_account_keeps_its_token_until_a_new_consent_is_verified(rest: Rest, name: str) -> None:
    user, base = _user(), rest.house.holdfast.config.base_url
    await _walk((await rest.link(name, user))["link"], f"{base}/connect/success")
    before = (await rest.read(name, user))["authorization_details"]
    request = await _walk((await rest.link(name, user, user_verify_url=BACK, state="s"))["link"])
    assert (await rest.read(name, user))["authorization_details"] == before
    await rest.verify(request, user)
    assert (await rest.read(name, user))["authorization_details"] != before


async def test_a_form_is_typed_in_and_its_user_is_confirmed(rest: Rest) -> None:
    name, user = (await typed_connection(rest.house, FIELDS)).name, _user()
    link = await rest.link(name, user, state="s t", user_verify_url=BACK)
    with Browser() as person:
        page = await open_form(link["link"], person)
        done = await send(person, page, {"username": "ada", "password": "correct horse"})
    told = parse_qs(urlsplit(done.redirect or "").query)
    assert (told["app"], told["state"]) == (["1"], ["s t"])
    assert "authorization_details" not in await rest.read(name, user)
    await rest.verify(told["auth_request_id"][0], user)
    read = (await rest.read(name, user))["authorization_details"]
    assert read == {"static_auth": {"details": {"username": "ada", "password": "correct horse"}}}


async def test_what_a_link_is_not_made_for(rest: Rest, name: str) -> None:
    assert (await rest.link("nowhere", "ada", status=404))["details"][0]["error_code"] == "RESOURCE_NOT_FOUND"
    for wrong in ({"state": "x" * 513}, {"user_verify_url": "ftp://x"}, {"id": "conn_1"}):
        await rest.link(name, "ada", status=400, **wrong)
    body = {"id": "ca_01ARZ3NDEKTSV4RRFFQ69G5FAV"}
    await rest("POST", f"{ACCOUNTS}/magic_link", json=body, status=404)


async def test_a_disconnected_account_is_connected_again_by_a_link(rest: Rest, name: str) -> None:
    user, base = _user(), rest.house.holdfast.config.base_url
    await _walk((await rest.link(name, user))["link"], f"{base}/connect/success")
    account_id = (await rest.read(name, user))["id"]
    gone = await rest("POST", f"{ACCOUNTS}/{account_id}:disconnect", json={})
    assert gone["connected_account"]["status"] == "DISCONNECTED"
    shown = (await rest("GET", f"{ACCOUNTS}/{account_id}"))["connected_account"]
    assert (shown["status"], "authorization_details" in shown) == ("DISCONNECTED", False)
    await _walk((await rest.link(name, user))["link"], f"{base}/connect/success")
    assert (await rest.read(name, user))["status"] == "ACTIVE"
    never = await rest.create(name, _user())
    refused = await rest("POST", f"{ACCOUNTS}/{never['id']}:disconnect", json={}, status=400)
    assert refused["code"] == 9


async def test_an_account_without_a_required_scope_has_to_be_authorised_again(rest: Rest) -> None:
    connection, user = await rest.house.connection(scopes=["read", "write"], required_scopes=["write"]), _user()
    for scopes, status in ((["read"], "EXPIRED"), (["read", "write"], "ACTIVE")):
        given = {"oauth_token": {"access_token": "at_" + opaque(12), "scopes": scopes}}
        make = rest.update if status == "ACTIVE" else rest.create
        assert (await make(connection.name, user, authorization_details=given))["status"] == status
        read = await rest.read(connection.name, user)
        assert (read["status"], "authorization_details" in read) == (status, status == "ACTIVE")
        [listed] = (await rest("GET", ACCOUNTS, params={"identifier": user}))["connected_accounts"]
        assert listed["status"] == status


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{ACCOUNTS}/this"),
        ("POST", f"{ACCOUNTS}/this:disconnect"),
        ("POST", f"{ACCOUNTS}/-:disconnect"),
        ("GET", f"{ACCOUNTS}/portal/redirect_url"),
        ("POST", f"{ACCOUNTS}/portal/redirect_url"),
        ("GET", "/api/v1/my-app-connections"),
        ("POST", "/api/v1/my-connected-accounts/ca_1:disconnect"),
        ("POST", "/api/v1/my-app-connections/acme:magic-link"),
    ],
)
async def test_what_belongs_to_a_portal_session_is_refused_in_words(rest: Rest, method: str, path: str) -> None:
    refused = await rest(method, path, status=403, **({"json": {}} if method == "POST" else {}))
    assert refused["code"] == 7
    assert "portal or user session" in refused["message"]
