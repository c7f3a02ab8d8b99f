"""Widget tokens and the hand-off under attack: another user's, another environment's, ended, altered; other origins."""

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from holdfast.access import ensure_environment
from holdfast.access.widgets import Origins, check_origin
from holdfast.app import Holdfast
from holdfast.cli.serve import running
from holdfast.config import Config
from holdfast.errors import Invalid
from holdfast.events import Actor

ORIGIN = "http://localhost:4321"
MINE = "/_widgets/DataIntegrations/mine"
OWN = "/widgets/api/connections"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Holdfast]:
    async with running(Config(dev=True, data_dir=tmp_path, port=0)) as (holdfast, _):
        yield holdfast


@pytest.fixture
async def web(house: Holdfast) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=house.config.base_url, trust_env=False) as client:
        key = house.first_key
        assert key is not None
        client.headers["authorization"] = f"Bearer {key.reveal()}"
        sandbox = house.sandbox
        assert sandbox is not None
        credentials = {
            "type": "custom",
            "client_id": sandbox.client_id,
            "client_secret": sandbox.client_secret.reveal(),
        }
        made = {"provider": "sandbox", "enabled": True, "credentials": credentials}
        assert (await client.post("/data-integrations", json=made)).status_code == 201
        yield client


async def _token(web: httpx2.AsyncClient, user_id: str = "user_ada", **asked: Any) -> str:
    reply = await web.post("/widgets/token", json={"user_id": user_id, **asked})
    assert reply.status_code == 201, reply.text
    return str(reply.json()["token"])


async def _ask(web: httpx2.AsyncClient, token: str, path: str = MINE, method: str = "GET", **more: Any) -> Any:
    headers = {"authorization": f"Bearer {token}", "origin": more.pop("origin", ORIGIN)}
    return await web.request(method, path, headers=headers, **more)


async def _account(web: httpx2.AsyncClient, user_id: str) -> str:
    path = f"/user_management/users/{user_id}/connected_accounts/sandbox"
    reply = await web.post(path, json={"access_token": "imported"})
    assert reply.status_code == 201, reply.text
    return str(reply.json()["id"])


def _claims(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    return dict(json.loads(base64.b64decode(payload + "=" * (-len(payload) % 4), validate=True)))


async def test_the_token_is_read_by_plain_atob_whatever_the_user_is_called(web: httpx2.AsyncClient) -> None:
    for user in ("user_ada", "a?b>c~d\x7f", "ü?>~?>~?>~", "ä" * 256):
        token = await _token(web, user)
        assert not set("-_") & set(token.split(".")[1])
        assert _claims(token)["sub"] == user
        assert (await _ask(web, token)).status_code == 200
    assert _claims(token)["permissions"] == []
    assert _claims(token)["exp"] - _claims(token)["iat"] == 3600


async def test_a_widget_token_opens_nothing_else_and_nothing_else_opens_widgets(
    house: Holdfast, web: httpx2.AsyncClient
) -> None:
    token = await _token(web)
    for path in ("/data-integrations", "/events", "/user_management/redirect_uris"):
        assert (await web.get(path, headers={"authorization": f"Bearer {token}"})).status_code in (401, 403)
    assert house.first_key is not None
    assert house.firsts.client is not None
    client_id, secret = house.firsts.client
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret.reveal()}
    issued = (await web.post("/oauth/token", data=form)).json()["access_token"]
    for other in (house.first_key.reveal(), issued):
        reply = await _ask(web, other)
        assert (reply.status_code, set(reply.json())) == (403, {"message", "code"})


async def test_another_users_accounts_are_neither_shown_nor_touched(web: httpx2.AsyncClient) -> None:
    account, eve = await _account(web, "user_ada"), await _token(web, "user_eve")
    assert (await _ask(web, eve)).json()["data"][0]["connected_accounts"] == []
    gone = await _ask(web, eve, f"/_widgets/DataIntegrations/installations/{account}", "DELETE")
    bare = account.removeprefix("data_installation_")
    own = await _ask(web, eve, f"/widgets/api/accounts/{bare}", "DELETE")
    again = await _ask(web, eve, f"{OWN}/sandbox/authorize", "POST", json={"account_id": bare})
    assert [gone.status_code, own.status_code, again.status_code] == [404, 404, 404]
    in_organization = await _token(web, "user_ada", organization_id="org_1")
    assert (await _ask(web, in_organization, f"/widgets/api/accounts/{bare}", "DELETE")).status_code == 404
    elsewhere = await _token(web, "user_ada", connections=[])
    assert (await _ask(web, elsewhere)).json() == {"data": []}
    assert (await _ask(web, elsewhere, f"/widgets/api/accounts/{bare}", "DELETE")).status_code == 404
    ada = await _token(web, "user_ada")
    done = await _ask(web, ada, f"/_widgets/DataIntegrations/installations/{account}", "DELETE")
    assert (done.status_code, done.json()) == (200, {"success": True})


async def test_another_environments_token_sees_its_own_environment_only(
    house: Holdfast, web: httpx2.AsyncClient
) -> None:
    account = await _account(web, "user_ada")
    other, _ = await ensure_environment(house.database, house.vault, house.clock, "other")
    key, _ = await house.keys.create(other.id, "other", Actor("operator"))
    token = (await house.widgets.issue(other.id, key.id, "user_ada")).reveal()
    assert (await _ask(web, token)).json() == {"data": []}
    gone = await _ask(web, token, f"/_widgets/DataIntegrations/installations/{account}", "DELETE")
    assert gone.status_code == 404


async def test_an_altered_or_ended_token_or_one_of_a_revoked_key_is_403(
    house: Holdfast, web: httpx2.AsyncClient
) -> None:
    key, _ = await house.keys.create(house.environment.id, "soon gone", Actor("operator"))
    token = (await house.widgets.issue(house.environment.id, key.id, "user_ada")).reveal()
    head, _, signature = token.split(".")
    claims = {**_claims(token), "sub": "user_eve"}
    altered = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    unsigned = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).decode().rstrip("=")
    for path in (MINE, OWN, "/_widgets/settings"):
        assert (await _ask(web, token, path)).status_code == 200
        for wrong in (f"{head}.{altered}.{signature}", f"{unsigned}.{altered}.", "x", "sk_x"):
            reply = await _ask(web, wrong, path)
            assert reply.status_code == 403
            assert "user_" not in reply.text
    session = await house.widgets.authenticate(token)
    assert session.ends_at - house.clock.now() <= 3600
    await house.keys.revoke(house.environment.id, key.id, Actor("operator"))
    assert (await _ask(web, token)).status_code == 403


async def test_only_registered_origins_may_ask_and_only_in_their_environment(
    house: Holdfast, web: httpx2.AsyncClient
) -> None:
    token = await _token(web)
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    for origin in ("https://evil.example", "null", "https://app.example.evil.example", "HTTPS://APP.EXAMPLE"):
        refused = await _ask(web, token, origin=origin)
        preflight = await web.options(MINE, headers={"origin": origin, **asks})
        for reply in (refused, preflight):
            assert reply.status_code == 403
            assert "access-control-allow-origin" not in reply.headers
    made = await web.post("/user_management/cors_origins", json={"origin": "https://app.example"})
    assert made.status_code == 201
    allowed = await _ask(web, token, origin="https://app.example")
    preflight = await web.options(MINE, headers={"origin": "https://app.example", **asks})
    assert (allowed.status_code, preflight.status_code) == (200, 204)
    for reply in (allowed, preflight):
        assert reply.headers["access-control-allow-origin"] == "https://app.example"
        assert "access-control-allow-credentials" not in reply.headers
        assert "origin" in reply.headers["vary"]
    assert "workos-widgets-version" in preflight.headers["access-control-allow-headers"]
    other, _ = await ensure_environment(house.database, house.vault, house.clock, "other")
    key, _ = await house.keys.create(other.id, "other", Actor("operator"))
    foreign = (await house.widgets.issue(other.id, key.id, "user_ada")).reveal()
    refused = await _ask(web, foreign, origin="https://app.example")
    assert refused.status_code == 403
    assert "access-control-allow-origin" not in refused.headers
    production = Origins(house.database, base_url="https://holdfast.example", dev=False)
    assert not await production.allows(ORIGIN, None)
    assert await production.allows("https://holdfast.example", other.id)


@pytest.mark.parametrize(
    "text", ["https://a.example/x", "http://a.example", "https://u@a.example", "https://a.example?", "*", "null", "a"]
)
def test_what_is_no_origin_cannot_be_registered(text: str) -> None:
    with pytest.raises(Invalid):
        check_origin(text)


async def test_a_stolen_link_without_its_opener_asks_whose_account_it_is(web: httpx2.AsyncClient) -> None:
    token = await _token(web)
    path = "/_widgets/DataIntegrations/sandbox/authorize"
    handed = (await _ask(web, token, path, "POST", json={"requireHandoff": True, "config": {}})).json()
    url, good = handed["url"].partition("?")[0], handed["handoffToken"]
    same = {"sec-fetch-site": "same-origin"}
    wrong = [
        ({"opener": ORIGIN, "handoff": "0" * 64}, same),
        ({"opener": "https://evil.example", "handoff": good}, same),
        ({"opener": ORIGIN, "handoff": good}, {"sec-fetch-site": "cross-site"}),
        ({"opener": ORIGIN, "handoff": good}, {}),
    ]
    for form, headers in wrong:
        reply = await web.post(url, data=form, headers=headers)
        assert reply.status_code == 303
        assert reply.headers["location"].endswith("/authorize-redirect")
        assert "set-cookie" not in reply.headers
    reply = await web.post(url, data={"opener": ORIGIN, "handoff": good}, headers=same)
    assert "/lab/sandbox/authorize" in reply.headers["location"]
    assert good not in reply.headers["location"]
    assert token not in handed["url"] and good not in handed["url"]
    none = await web.post(path, headers={"authorization": f"Bearer {token}"}, json={})
    assert "handoffToken" not in none.json()


async def test_no_page_of_a_user_may_be_framed_and_the_opening_form_comes_from_the_app_only(
    house: Holdfast, web: httpx2.AsyncClient
) -> None:
    token = await _token(web)
    opened = await web.post("/connections/mine", data={"token": token}, headers={"origin": ORIGIN})
    assert (opened.status_code, opened.headers["location"]) == (303, "/connections/mine")
    for origin in ("https://evil.example", "null"):
        refused = await web.post("/connections/mine", data={"token": token}, headers={"origin": origin})
        assert refused.status_code == 400
        assert "set-cookie" not in refused.headers
    by_address = await web.get("/connections/mine", params={"token": token}, headers={"cookie": ""})
    assert by_address.status_code == 403
    cookie = opened.headers["set-cookie"].split(";")[0]
    shown = await web.get("/connections/mine", headers={"cookie": cookie})
    assert shown.status_code == 200
    for forged in ({"account": "x", "sure": "yes"}, {"account": "x", "proof": "0" * 64}):
        reply = await web.post("/connections/mine/disconnect", data=forged, headers={"cookie": cookie})
        assert reply.status_code == 400
    for path in ("/connections/mine", "/pipes/redirecting"):
        page = await web.get(path, headers={"cookie": cookie})
        policy = page.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["x-frame-options"] == "DENY"
