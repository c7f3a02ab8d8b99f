"""The control endpoints, and what each switch does."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urljoin

import aiohttp
import pytest
import uvicorn

from holdfast.lab import sandbox_provider

from .sandbox_driver import ADA, BASE, Lab, landed


@pytest.fixture
def lab() -> Lab:
    return Lab()


def test_expire_ends_access_tokens_and_leaves_refresh_tokens(lab: Lab) -> None:
    tokens = lab.connect()
    other = lab.connect()
    assert lab.control("expire", {"access_token": other["access_token"]}).json() == {"expired": 1}
    assert lab.api(tokens["access_token"]).status_code == 200
    assert lab.control("expire", {"subject": "grace@sandbox.test"}).json() == {"expired": 0}
    assert lab.control("expire", {}).json() == {"expired": 1}
    assert lab.api(tokens["access_token"]).status_code == 401
    assert lab.refresh(tokens["refresh_token"]).status_code == 200


def test_a_person_takes_access_back(lab: Lab) -> None:
    tokens = lab.connect()
    assert lab.control("revoke", {"subject": "grace@sandbox.test"}).json() == {"revoked": 0}
    assert lab.api(tokens["access_token"]).status_code == 200
    assert lab.control("revoke", {"subject": ADA}).json() == {"revoked": 1}
    assert lab.api(tokens["access_token"]).status_code == 401
    assert lab.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "body",
    [
        {"no_such_switch": 1},
        {"rotation": "sometimes"},
        {"access_lifetime": -1},
        {"fail_next": {"status": 200}},
        {"fail_next": {"status": 503, "moon": "full"}},
        {"auto_consent_as": "nobody@sandbox.test"},
    ],
)
def test_an_unknown_switch_or_value_changes_nothing(lab: Lab, body: dict[str, Any]) -> None:
    before = lab.sandbox.switches
    assert lab.control("switches", {"omit_expires_in": True, **body}).status_code == 400
    assert lab.sandbox.switches == before


def test_switches_change_one_by_one_and_reset_puts_all_back(lab: Lab) -> None:
    assert lab.control("switches", {"access_lifetime": 5}).json()["access_lifetime"] == 5
    assert lab.control("switches", {"omit_expires_in": True}).json()["access_lifetime"] == 5
    token = lab.connect()
    assert "expires_in" not in token
    assert lab.control("reset", {}).status_code == 200
    state = lab.http.get(f"{BASE}/control/state").json()
    assert (state["switches"]["access_lifetime"], state["grants"]) == (3600, [])
    assert lab.api(token["access_token"]).status_code == 401
    assert sum(lab.sandbox.counters().values()) == 0


def test_the_state_shows_grants_and_no_token(lab: Lab) -> None:
    tokens = lab.connect()
    state = lab.http.get(f"{BASE}/control/state")
    assert len(state.json()["grants"]) == 1
    page = lab.http.get(f"{BASE}/control")
    assert page.status_code == 200
    for text in (state.text, page.text):
        assert tokens["access_token"] not in text
        assert tokens["refresh_token"] not in text


def test_the_control_page_works_as_a_form(lab: Lab) -> None:
    reply = lab.http.post(f"{BASE}/control/switches", data={"access_lifetime": "7", "rotation": "none"})
    assert reply.status_code == 303
    assert urljoin(str(reply.url), reply.headers["location"]) == f"{BASE}/control"
    assert (lab.sandbox.switches.access_lifetime, lab.sandbox.switches.rotation) == (7, "none")
    elsewhere = lab.http.post(
        f"{BASE}/control/switches", data={"access_lifetime": "9"}, headers={"sec-fetch-site": "cross-site"}
    )
    assert elsewhere.status_code == 403
    assert lab.sandbox.switches.access_lifetime == 7


def test_a_short_life_is_told_and_kept(lab: Lab) -> None:
    lab.control("switches", {"access_lifetime": 2})
    token = lab.connect()
    assert token["expires_in"] == 2
    lab.clock.advance(2)
    assert lab.api(token["access_token"]).status_code == 401


def test_an_omitted_refresh_token_leaves_the_old_one_good(lab: Lab) -> None:
    token = lab.connect()["refresh_token"]
    lab.control("switches", {"omit_refresh_token": True})
    for _ in range(2):
        reply = lab.refresh(token)
        assert reply.status_code == 200
        assert "refresh_token" not in reply.json()


def test_the_next_consent_is_denied_and_the_one_after_is_not(lab: Lab) -> None:
    lab.control("switches", {"deny_next": True})
    assert landed(lab.press(lab.ask()))["error"] == "access_denied"
    assert "code" in landed(lab.press(lab.ask()))


def test_so_many_token_requests_fail_and_change_nothing(lab: Lab) -> None:
    token = lab.connect()["refresh_token"]
    lab.control("switches", {"fail_next": {"status": 429, "count": 2, "retry_after": 17}})
    for _ in range(2):
        reply = lab.refresh(token)
        assert (reply.status_code, reply.headers["retry-after"]) == (429, "17")
    assert lab.refresh(token).status_code == 200
    assert lab.sandbox.counters()["refresh_replays"] == 0


def test_dropped_scopes_are_not_granted(lab: Lab) -> None:
    lab.control("switches", {"drop_scopes": ["write"]})
    assert "write" not in lab.connect()["scope"].split()


def test_a_person_can_consent_without_a_page(lab: Lab) -> None:
    lab.control("switches", {"auto_consent_as": "linus@sandbox.test"})
    token = lab.redeem(landed(lab.ask())["code"]).json()["access_token"]
    assert lab.api(token, "/userinfo").json()["email"] == "linus@sandbox.test"


def test_the_metadata_says_where_everything_is(lab: Lab) -> None:
    document = lab.http.get(f"{BASE}/.well-known/oauth-authorization-server").json()
    provider = sandbox_provider(BASE)
    assert provider.oauth2 is not None
    assert document["issuer"] == provider.oauth2.issuer == BASE
    assert document["token_endpoint"] == provider.oauth2.token_url
    assert document["authorization_endpoint"] == provider.oauth2.authorize_url
    assert set(document["scopes_supported"]) == set(provider.scope_help) == set(provider.oauth2.scopes)
    assert document["authorization_response_iss_parameter_supported"] is True


@asynccontextmanager
async def _served(lab: Lab) -> AsyncIterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(lab.app, lifespan="off", ws="none", log_config=None))
    task = asyncio.ensure_future(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/lab/sandbox"
    finally:
        server.should_exit = True
        await task


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_lost_reply_ends_the_connection_before_or_after_the_rotation(lab: Lab, when: str) -> None:
    token = lab.connect()["refresh_token"]
    lab.control("switches", {"lose_reply": {"count": 1, "when": when}})
    form = {"grant_type": "refresh_token", "refresh_token": token}
    async with _served(lab) as base, aiohttp.ClientSession() as web:
        with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError)):
            async with web.post(f"{base}/token", data=form, headers={"authorization": lab.basic()}) as reply:
                await reply.read()
        async with web.post(f"{base}/token", data=form, headers={"authorization": lab.basic()}) as reply:
            body = await reply.json()
    if when == "before":
        assert reply.status == 200
        assert lab.sandbox.counters()["refresh_replays"] == 0
    else:
        assert (reply.status, body["error"]) == (400, "invalid_grant")
        assert lab.sandbox.counters()["refresh_replays"] == 1


async def test_a_slow_token_request_keeps_the_client_waiting(lab: Lab) -> None:
    token = lab.connect()["refresh_token"]
    lab.control("switches", {"slow_seconds": 0.6})
    form = {"grant_type": "refresh_token", "refresh_token": token}
    async with _served(lab) as base, aiohttp.ClientSession() as web:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await web.post(f"{base}/token", data=form, headers={"authorization": lab.basic()})
        lab.control("switches", {"slow_seconds": 0})
        assert lab.sandbox.counters()["refresh_token"] == 1
