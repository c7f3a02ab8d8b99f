"""The sandbox provider, seen through its endpoints as any client sees it."""

import asyncio
import base64
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlsplit

import aiohttp
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from holdfast.clock import FrozenClock
from holdfast.lab import Sandbox, sandbox_provider, sandbox_routes
from holdfast.oauth2 import pkce

BASE = "http://localhost:8787/lab/sandbox"
CALLBACK = "http://localhost:8787/data-integrations/sandbox/dik_1/callback"
ADA = "ada@sandbox.test"


class Lab:
    """A sandbox with its clock, and what an app and a person do with it."""

    def __init__(self) -> None:
        self.clock = FrozenClock()
        self.sandbox = Sandbox(self.clock)
        self.app = Starlette(routes=[Mount("/lab/sandbox", routes=sandbox_routes(self.sandbox, BASE))])
        self.http = TestClient(self.app, base_url="http://localhost:8787", follow_redirects=False)
        self.verifier = pkce.new_verifier().reveal()

    def ask(self, **changes: str | None) -> Any:
        """Open the consent page. A change to None leaves the parameter out."""
        params = {
            "response_type": "code",
            "client_id": self.sandbox.client_id,
            "redirect_uri": CALLBACK,
            "scope": "profile read write offline",
            "state": "st-1&=",
            "code_challenge": pkce.s256(self.verifier),
            "code_challenge_method": "S256",
            **changes,
        }
        return self.http.get(
            f"{BASE}/authorize", params={name: value for name, value in params.items() if value is not None}
        )

    def press(self, page: Any, decision: str = "allow", person: str | None = None, untick: str = "") -> Any:
        """Fill in the page's form as a browser does, and press a button."""
        fields: dict[str, Any] = {"decision": decision}
        for tag in re.findall(r"<input[^>]*>", page.text):
            name, value = _attribute(tag, "name"), _attribute(tag, "value")
            if 'type="radio"' in tag and (person is not None or " checked" not in tag):
                continue
            if not (untick and value == untick):
                fields.setdefault(name, []).append(value)
        if person is not None:
            fields["person"] = person
        assert '<form method="post"' in page.text
        return self.http.post(str(page.url), data=fields)

    def code(self, **changes: str | None) -> str:
        return _landed(self.press(self.ask(**changes)))["code"]

    def token(self, **form: str) -> Any:
        return self.http.post(f"{BASE}/token", data=form, headers={"authorization": self.basic()})

    def redeem(self, code: str, **changes: str) -> Any:
        form = {"code": code, "redirect_uri": CALLBACK, "code_verifier": self.verifier, **changes}
        return self.token(grant_type="authorization_code", **form)

    def connect(self, **changes: str | None) -> dict[str, Any]:
        reply = self.redeem(self.code(**changes))
        assert reply.status_code == 200, reply.text
        return dict(reply.json())

    def refresh(self, token: str, **more: str) -> Any:
        return self.token(grant_type="refresh_token", refresh_token=token, **more)

    def basic(self) -> str:
        pair = f"{quote_plus(self.sandbox.client_id)}:{quote_plus(self.sandbox.client_secret.reveal())}"
        return "Basic " + base64.b64encode(pair.encode()).decode()

    def api(self, token: str, path: str = "/api/me", method: str = "GET", **more: Any) -> Any:
        return self.http.request(method, f"{BASE}{path}", headers={"authorization": f"Bearer {token}"}, **more)

    def control(self, path: str, body: dict[str, Any]) -> Any:
        return self.http.post(f"{BASE}/control/{path}", json=body)


@pytest.fixture
def lab() -> Iterator[Lab]:
    yield Lab()


def _attribute(tag: str, name: str) -> str:
    found = re.search(rf'{name}="([^"]*)"', tag)
    return found.group(1) if found else ""


def _landed(reply: Any) -> dict[str, str]:
    assert reply.status_code == 303, reply.text
    assert reply.headers["location"].startswith(CALLBACK + "?")
    return {name: values[0] for name, values in parse_qs(urlsplit(reply.headers["location"]).query).items()}


# the code flow


def test_consent_ends_in_a_code_with_state_and_issuer_and_the_code_in_tokens(lab: Lab) -> None:
    landed = _landed(lab.press(lab.ask()))
    assert landed["state"] == "st-1&="
    assert landed["iss"] == BASE
    reply = lab.redeem(landed["code"])
    body = reply.json()
    assert reply.headers["cache-control"] == "no-store"
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 3600)
    assert set(body["scope"].split()) == {"profile", "read", "write", "offline"}
    me = lab.api(body["access_token"], "/userinfo").json()
    assert me["email"] == ADA


def test_the_page_offers_three_people_and_every_one_keeps_their_sub(lab: Lab) -> None:
    page = lab.ask()
    people = re.findall(r'type="radio" name="person" value="([^"]+)"', page.text)
    assert len(people) == len(set(people)) == 3
    again = [re.findall(r'name="person" value="([^"]+)"', Lab().ask().text), people]
    assert again[0] == again[1]
    landed = _landed(lab.press(page, person=people[2]))
    token = lab.redeem(landed["code"]).json()["access_token"]
    assert lab.api(token, "/userinfo").json()["sub"] == people[2]


def test_the_first_button_allows(lab: Lab) -> None:
    assert re.findall(r'<button[^>]*name="decision" value="(\w+)"', lab.ask().text) == ["allow", "deny"]


def test_the_consent_form_may_lead_anywhere_and_the_page_runs_no_script(lab: Lab) -> None:
    policy = lab.ask().headers["content-security-policy"]
    assert "form-action" not in policy
    assert "default-src 'none'" in policy
    assert "script" not in policy


def test_who_says_no_goes_back_with_access_denied(lab: Lab) -> None:
    landed = _landed(lab.press(lab.ask(), "deny"))
    assert (landed["error"], landed["state"], landed["iss"]) == ("access_denied", "st-1&=", BASE)
    assert "code" not in landed


def test_an_unticked_scope_is_not_granted(lab: Lab) -> None:
    landed = _landed(lab.press(lab.ask(), untick="write"))
    body = lab.redeem(landed["code"]).json()
    assert set(body["scope"].split()) == {"profile", "read", "offline"}
    assert lab.api(body["access_token"], "/api/echo").status_code == 200
    refused = lab.api(body["access_token"], "/api/echo", "POST")
    assert refused.status_code == 403
    assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]


def test_without_the_offline_scope_there_is_no_refresh_token(lab: Lab) -> None:
    assert "refresh_token" not in lab.connect(scope="profile read")


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "somebody"},
        {"client_id": None},
        {"redirect_uri": None},
        {"redirect_uri": "https://elsewhere.example/callback"},
        {"redirect_uri": "http://localhost.elsewhere.example/"},
        {"redirect_uri": "http://localhost@elsewhere.example/"},
        {"redirect_uri": "http://localhost/#fragment"},
        {"redirect_uri": "javascript:alert(1)"},
    ],
)
def test_a_request_of_doubtful_origin_is_explained_and_not_redirected(lab: Lab, changes: dict[str, str | None]) -> None:
    reply = lab.ask(**changes)
    assert reply.status_code == 400
    assert "location" not in reply.headers


@pytest.mark.parametrize("uri", ["http://127.0.0.1:1/cb", "http://[::1]:2/cb", "https://localhost/cb?x=1"])
def test_every_port_of_the_loopback_may_be_redirected_to(lab: Lab, uri: str) -> None:
    reply = lab.press(lab.ask(redirect_uri=uri))
    assert reply.headers["location"].startswith(uri + ("&" if "?" in uri else "?"))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "read everything"}, "invalid_scope"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
    ],
)
def test_a_faulty_request_goes_back_to_the_app(lab: Lab, changes: dict[str, str], error: str) -> None:
    landed = _landed(lab.ask(**changes))
    assert (landed["error"], landed["iss"], landed["state"]) == (error, BASE, "st-1&=")


# codes and PKCE


def test_a_wrong_or_missing_verifier_is_refused(lab: Lab) -> None:
    code = lab.code()
    wrong = lab.redeem(code, code_verifier=pkce.new_verifier().reveal())
    missing = lab.token(grant_type="authorization_code", code=code, redirect_uri=CALLBACK)
    assert [wrong.json()["error"], missing.json()["error"]] == ["invalid_grant"] * 2
    assert lab.redeem(code).status_code == 200


def test_a_verifier_for_a_code_without_challenge_is_refused(lab: Lab) -> None:
    code = lab.code(code_challenge=None, code_challenge_method=None)
    assert lab.redeem(code).json()["error"] == "invalid_grant"
    plain = lab.token(grant_type="authorization_code", code=code, redirect_uri=CALLBACK)
    assert plain.status_code == 200


def test_a_code_used_twice_ends_what_it_gave(lab: Lab) -> None:
    code = lab.code()
    tokens = lab.redeem(code).json()
    assert lab.redeem(code).json()["error"] == "invalid_grant"
    assert lab.api(tokens["access_token"]).status_code == 401
    assert lab.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_code_is_refused_late_and_for_another_redirect_uri(lab: Lab) -> None:
    code = lab.code()
    assert lab.redeem(code, redirect_uri=CALLBACK + "2").json()["error"] == "invalid_grant"
    lab.clock.advance(61)
    assert lab.redeem(code).json()["error"] == "invalid_grant"


# client authentication


def test_a_secret_that_was_not_form_encoded_is_refused(lab: Lab) -> None:
    secret = lab.sandbox.client_secret.reveal()
    assert set("+/=&%:") <= set(secret)
    raw = base64.b64encode(f"{lab.sandbox.client_id}:{secret}".encode()).decode()
    reply = lab.http.post(
        f"{BASE}/token", data={"grant_type": "client_credentials"}, headers={"authorization": f"Basic {raw}"}
    )
    assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client")
    assert reply.headers["www-authenticate"].startswith("Basic")


def test_the_client_may_authenticate_in_the_body_and_not_twice(lab: Lab) -> None:
    form = {
        "grant_type": "client_credentials",
        "client_id": lab.sandbox.client_id,
        "client_secret": lab.sandbox.client_secret.reveal(),
    }
    assert lab.http.post(f"{BASE}/token", data=form).status_code == 200
    twice = lab.token(**form)
    assert (twice.status_code, twice.json()["error"]) == (400, "invalid_request")


def test_no_client_and_an_unknown_grant_type_are_refused(lab: Lab) -> None:
    assert lab.http.post(f"{BASE}/token", data={"grant_type": "refresh_token"}).status_code == 401
    assert lab.token(grant_type="password").json()["error"] == "unsupported_grant_type"


def test_an_added_client_gets_tokens_in_its_own_name_alone(lab: Lab) -> None:
    own = {"client_id": "robot", "client_secret": "r0b0t-secret"}
    assert lab.http.post(f"{BASE}/token", data={**own, "grant_type": "client_credentials"}).status_code == 401
    assert lab.control("clients", own).status_code == 200
    reply = lab.http.post(f"{BASE}/token", data={**own, "grant_type": "client_credentials", "scope": "read"}).json()
    assert "refresh_token" not in reply
    assert lab.api(reply["access_token"], "/api/echo").status_code == 200
    stolen = lab.connect()["refresh_token"]
    refused = lab.http.post(f"{BASE}/token", data={**own, "grant_type": "refresh_token", "refresh_token": stolen})
    assert refused.json()["error"] == "unauthorized_client"
    lab.http.post(f"{BASE}/revoke", data={**own, "token": stolen})
    assert lab.refresh(stolen).status_code == 200


# refreshing


def test_a_refresh_gives_a_new_pair(lab: Lab) -> None:
    first = lab.connect()
    second = lab.refresh(first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert lab.api(second["access_token"]).status_code == 200
    assert lab.refresh(second["refresh_token"]).status_code == 200
    assert lab.sandbox.counters()["refresh_token"] == 2
    assert lab.sandbox.counters()["authorization_code"] == 1
    assert lab.sandbox.counters()["refresh_replays"] == 0


def test_reuse_of_a_refresh_token_ends_the_whole_family(lab: Lab) -> None:
    first = lab.connect()
    second = lab.refresh(first["refresh_token"]).json()
    assert lab.refresh(first["refresh_token"]).json()["error"] == "invalid_grant"
    assert lab.refresh(second["refresh_token"]).json()["error"] == "invalid_grant"
    assert lab.api(second["access_token"]).status_code == 401
    assert lab.sandbox.counters()["refresh_replays"] == 1


def test_within_the_grace_a_used_refresh_token_works_and_after_it_kills(lab: Lab) -> None:
    lab.control("switches", {"reuse_grace": 30})
    first = lab.connect()
    assert lab.refresh(first["refresh_token"]).status_code == 200
    lab.clock.advance(29)
    again = lab.refresh(first["refresh_token"])
    assert again.status_code == 200
    assert lab.sandbox.counters()["refresh_replays"] == 1
    lab.clock.advance(2)
    assert lab.refresh(first["refresh_token"]).json()["error"] == "invalid_grant"
    assert lab.refresh(again.json()["refresh_token"]).json()["error"] == "invalid_grant"


def test_without_rotation_the_refresh_token_stays_good(lab: Lab) -> None:
    lab.control("switches", {"rotation": "none"})
    token = lab.connect()["refresh_token"]
    for _ in range(3):
        reply = lab.refresh(token)
        assert reply.status_code == 200
        assert reply.json().get("refresh_token", token) == token


def test_a_refresh_can_narrow_the_scopes_and_not_widen_them(lab: Lab) -> None:
    first = lab.connect(scope="read offline")
    assert lab.refresh(first["refresh_token"], scope="read write").json()["error"] == "invalid_scope"
    assert lab.refresh(first["refresh_token"], scope="read").json()["scope"] == "read"


# the api and revocation


def test_an_access_token_ends_after_its_hour(lab: Lab) -> None:
    token = lab.connect()["access_token"]
    lab.clock.advance(3599)
    assert lab.api(token).status_code == 200
    lab.clock.advance(1)
    reply = lab.api(token)
    assert reply.status_code == 401
    assert 'error="invalid_token"' in reply.headers["www-authenticate"]


def test_a_call_without_a_token_is_challenged_without_an_error(lab: Lab) -> None:
    reply = lab.http.get(f"{BASE}/api/me")
    assert reply.status_code == 401
    assert reply.headers["www-authenticate"] == 'Bearer realm="sandbox"'


def test_echo_repeats_the_request_without_the_credential(lab: Lab) -> None:
    token = lab.connect()["access_token"]
    reply = lab.api(token, "/api/echo?a=1&a=2", "POST", content=b"hello")
    assert reply.json()["query"] == [["a", "1"], ["a", "2"]]
    assert reply.json()["body"] == "hello"
    assert token not in reply.text


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
def test_a_revoked_refresh_token_takes_the_grant_along_and_an_access_token_goes_alone(lab: Lab, which: str) -> None:
    tokens = lab.connect()
    reply = lab.http.post(f"{BASE}/revoke", data={"token": tokens[which]}, headers={"authorization": lab.basic()})
    assert reply.status_code == 200
    assert lab.api(tokens["access_token"]).status_code == 401
    assert lab.refresh(tokens["refresh_token"]).status_code == (200 if which == "access_token" else 400)


def test_revoking_an_unknown_token_succeeds_and_needs_a_client(lab: Lab) -> None:
    unknown = {"token": "never-was"}
    known = lab.http.post(f"{BASE}/revoke", data=unknown, headers={"authorization": lab.basic()})
    assert known.status_code == 200
    assert lab.http.post(f"{BASE}/revoke", data=unknown).status_code == 401


# control


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
    assert (reply.status_code, reply.headers["location"]) == (303, f"{BASE}/control")
    assert (lab.sandbox.switches.access_lifetime, lab.sandbox.switches.rotation) == (7, "none")
    elsewhere = lab.http.post(
        f"{BASE}/control/switches", data={"access_lifetime": "9"}, headers={"sec-fetch-site": "cross-site"}
    )
    assert elsewhere.status_code == 403
    assert lab.sandbox.switches.access_lifetime == 7


# switches


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
    assert _landed(lab.press(lab.ask()))["error"] == "access_denied"
    assert "code" in _landed(lab.press(lab.ask()))


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
    token = lab.redeem(_landed(lab.ask())["code"]).json()["access_token"]
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


# over a real socket


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
