"""Each part starts, and does the one thing that other tests lean on."""

import asyncio
import os
import signal
import time
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlencode, urlsplit

import asyncpg  # type: ignore[import-untyped]
import httpx2
import pytest

from tests.parts.browser import Browser, LostWay, chromium
from tests.parts.emulate import Emulators
from tests.parts.forms import forms
from tests.parts.oidc_provider import OidcProvider
from tests.parts.postgres import Postgres
from tests.parts.process import NotStarted, ServerProcess
from tests.parts.procfs import children, runs
from tests.parts.server import HoldfastProcess

CALLBACK = "http://127.0.0.1:9/callback"
VERIFIER = "a-verifier-that-is-long-enough-for-rfc-7636-0123456789"
CHALLENGE = urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


def _query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def _authorize_url(endpoint: str, client_id: str, **more: str) -> str:
    asked = {"response_type": "code", "client_id": client_id, "redirect_uri": CALLBACK, "state": "s1", **more}
    return f"{endpoint}?{urlencode(asked)}"


def _oidc_url(provider: OidcProvider, **more: str) -> str:
    asked = {"scope": "openid email read", "code_challenge": CHALLENGE, "code_challenge_method": "S256", **more}
    return _authorize_url(provider.authorize_url, provider.client_id, **asked)


def _ask_token(provider: OidcProvider, **fields: str) -> httpx2.Response:
    credentials = (quote_plus(provider.client_id), quote_plus(provider.client_secret))
    return httpx2.post(provider.token_url, data=fields, auth=credentials)


def _connect(provider: OidcProvider, browser: Browser, **more: str) -> dict[str, Any]:
    landed = _query(browser.walk(_oidc_url(provider, **more), stop_at=CALLBACK))
    reply = _ask_token(
        provider,
        grant_type="authorization_code",
        code=landed["code"],
        redirect_uri=CALLBACK,
        code_verifier=VERIFIER,
    )
    assert reply.status_code == 200, reply.text
    tokens: dict[str, Any] = reply.json()
    return tokens


def _whoami(provider: OidcProvider, access_token: str) -> httpx2.Response:
    return httpx2.get(provider.userinfo_url, headers={"authorization": f"Bearer {access_token}"})


def test_the_openid_provider_ends_a_consent_in_a_code_state_and_issuer(
    oidc_provider: OidcProvider, browser: Browser
) -> None:
    landed = _query(browser.walk(_oidc_url(oidc_provider), stop_at=CALLBACK))
    assert landed["state"] == "s1"
    assert landed["iss"] == oidc_provider.base_url
    assert landed["code"]


def test_the_openid_provider_issues_tokens_for_the_account_that_was_hinted_at(
    oidc_provider: OidcProvider, browser: Browser
) -> None:
    oidc_provider.set_access_ttl(7)
    tokens = _connect(oidc_provider, browser, login_hint="grace")
    assert tokens["expires_in"] == 7
    assert set(tokens["scope"].split()) == {"openid", "email", "read"}
    assert _whoami(oidc_provider, tokens["access_token"]).json()["email"] == "grace@example.com"


def test_the_openid_provider_wants_the_client_secret_encoded(oidc_provider: OidcProvider) -> None:
    encoded = _ask_token(oidc_provider, grant_type="client_credentials")
    plain = httpx2.post(
        oidc_provider.token_url,
        data={"grant_type": "client_credentials"},
        auth=(oidc_provider.client_id, oidc_provider.client_secret),
    )
    assert (encoded.status_code, plain.status_code) == (200, 400)


def test_the_openid_provider_rotates_and_a_replay_kills_the_family(
    oidc_provider: OidcProvider, browser: Browser
) -> None:
    first = _connect(oidc_provider, browser)
    before = oidc_provider.refreshes()
    second = _ask_token(oidc_provider, grant_type="refresh_token", refresh_token=first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]

    replay = _ask_token(oidc_provider, grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert replay.json()["error"] == "invalid_grant"
    successor = _ask_token(oidc_provider, grant_type="refresh_token", refresh_token=second["refresh_token"])
    assert successor.json()["error"] == "invalid_grant"
    assert _whoami(oidc_provider, second["access_token"]).status_code == 401
    assert oidc_provider.refreshes() - before == 3


def test_the_openid_provider_takes_every_consent_back(oidc_provider: OidcProvider, browser: Browser) -> None:
    tokens = _connect(oidc_provider, browser)
    assert oidc_provider.revoke_all() >= 1
    assert _whoami(oidc_provider, tokens["access_token"]).status_code == 401
    refused = _ask_token(oidc_provider, grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert refused.json()["error"] == "invalid_grant"
    assert _connect(oidc_provider, browser)["refresh_token"], "the same browser can consent again"


def test_the_openid_provider_refuses_where_its_user_does(oidc_provider: OidcProvider, browser: Browser) -> None:
    oidc_provider.set_deny(True)
    landed = _query(browser.walk(_oidc_url(oidc_provider), stop_at=CALLBACK))
    assert (landed["error"], landed["state"]) == ("access_denied", "s1")


def test_two_browsers_are_two_people(oidc_provider: OidcProvider, browser: Browser) -> None:
    with Browser() as other:
        ada = _connect(oidc_provider, browser, login_hint="ada")
        grace = _connect(oidc_provider, other, login_hint="grace")
        ada_again = _connect(oidc_provider, browser)
    assert _whoami(oidc_provider, ada["access_token"]).json()["sub"] == "ada"
    assert _whoami(oidc_provider, grace["access_token"]).json()["sub"] == "grace"
    assert _whoami(oidc_provider, ada_again["access_token"]).json()["sub"] == "ada"


AUTHORIZE = {
    "github": ("https://github.com", "/login/oauth/authorize"),
    "google": ("https://accounts.google.com", "/o/oauth2/v2/auth"),
    "slack": ("https://slack.com", "/oauth/v2/authorize"),
    "microsoft": ("https://login.microsoftonline.com", "/common/oauth2/v2.0/authorize"),
}
TOKEN = {
    "github": ("https://github.com", "/login/oauth/access_token"),
    "google": ("https://oauth2.googleapis.com", "/token"),
    "slack": ("https://slack.com", "/api/oauth.v2.access"),
    "microsoft": ("https://login.microsoftonline.com", "/common/oauth2/v2.0/token"),
}
WHOAMI = {
    "github": ("https://api.github.com", "/user", "login", "hubot"),
    "google": ("https://openidconnect.googleapis.com", "/v1/userinfo", "email", "grace@example.com"),
    "microsoft": ("https://graph.microsoft.com", "/v1.0/me", "mail", "grace@example.com"),
}


@pytest.mark.parametrize("name", AUTHORIZE)
def test_an_emulated_consent_ends_in_a_code_that_buys_a_token(
    emulators: Emulators, browser: Browser, name: str
) -> None:
    vendor, origins = emulators[name], emulators.provider_origins()
    origin, path = AUTHORIZE[name]
    url = _authorize_url(origins[origin] + path, vendor.client_id, scope="openid")
    landed = _query(emulators.approve(url, browser, user=vendor.users[1]))
    assert landed["state"] == "s1"

    origin, path = TOKEN[name]
    fields = {"code": landed["code"], "redirect_uri": CALLBACK, "grant_type": "authorization_code"}
    secret = {"client_id": vendor.client_id, "client_secret": vendor.client_secret}
    before = emulators.counts()[name]
    tokens = httpx2.post(origins[origin] + path, data={**fields, **secret}).json()
    assert emulators.counts()[name] == before + 1
    assert "access_token" in tokens, tokens
    if name in WHOAMI:
        origin, path, member, user = WHOAMI[name]
        told = httpx2.get(origins[origin] + path, headers={"authorization": f"Bearer {tokens['access_token']}"})
        assert told.json()[member] == user
        unknown = httpx2.get(origins[origin] + path, headers={"authorization": "Bearer never-issued"})
        assert unknown.status_code in (401, 404)


async def test_postgresql_hands_out_separate_databases_and_dumps_them(postgres: Postgres) -> None:
    one, other = postgres.fresh_database(), postgres.fresh_database()
    connection = await asyncpg.connect(one)
    await connection.execute("CREATE TABLE word (text text); INSERT INTO word VALUES ('needle')")
    await connection.close()
    assert b"needle" in postgres.dump(one)
    assert b"needle" not in postgres.dump(other)
    assert postgres.sql(one, "SELECT text FROM word").strip() == "needle"


async def test_chromium_opens_a_page(oidc_provider: OidcProvider) -> None:
    async with chromium() as browser:
        page = await browser.new_page()
        reply = await page.goto(f"{oidc_provider.base_url}/.well-known/openid-configuration")
        assert reply is not None
        assert reply.status == 200


async def test_a_scripted_browser_walks_in_a_thread_and_says_where_it_got_stuck(
    oidc_provider: OidcProvider, browser: Browser
) -> None:
    with pytest.raises(LostWay, match="openid-configuration"):
        await browser.walk_async(f"{oidc_provider.base_url}/.well-known/openid-configuration", stop_at=CALLBACK)


def test_a_form_sends_what_is_ticked_chosen_and_pressed() -> None:
    [form] = forms(
        """<form method="post"><input type="hidden" name="csrf" value="x">
        <label><input type="radio" name="who" value="1" checked> Ada</label>
        <label><input type="radio" name="who" value="2"> Grace</label>
        <input type="checkbox" name="scope" value="read" checked>
        <input type="checkbox" name="scope" value="write" checked>
        <button name="decision" value="deny">Deny</button><button name="decision" value="allow">Allow</button></form>"""
    )
    assert form.sends() == [
        ("csrf", "x"),
        ("who", "1"),
        ("scope", "read"),
        ("scope", "write"),
        ("decision", "allow"),
    ]
    assert form.sends(deny=True, choose="Grace", untick={"write"}) == [
        ("csrf", "x"),
        ("who", "2"),
        ("scope", "read"),
        ("decision", "deny"),
    ]


async def test_the_holdfast_server_announces_itself_and_answers(holdfast_server: HoldfastProcess) -> None:
    assert holdfast_server.api_key
    reply = await asyncio.to_thread(httpx2.get, f"{holdfast_server.base_url}/openapi.json")
    assert reply.status_code == 200


def test_a_server_on_postgresql_comes_back_with_its_data_after_a_kill(postgres: Postgres, tmp_path: Path) -> None:
    dsn = postgres.fresh_database()
    first = HoldfastProcess(tmp_path, database=dsn)
    assert first.kill() == -signal.SIGKILL
    second = HoldfastProcess(tmp_path, database=dsn)
    try:
        assert (first.api_key != "", second.api_key) == (True, "")
        names = httpx2.get(f"{second.base_url}/data-integrations", headers={"authorization": f"Bearer {first.api_key}"})
        assert names.status_code == 200
    finally:
        second.stop()


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(NotStarted, match="unknown setting HOLDFAST_NONSENSE"):
        HoldfastProcess(tmp_path, env={"HOLDFAST_NONSENSE": "1"})


def test_processes_are_counted_while_they_come_and_go(tmp_path: Path) -> None:
    """A busy shell: one that lasts, and as many short ones as it can start."""
    shell = ServerProcess(
        ["sh", "-c", "sleep 60 & echo $!; while :; do /bin/true & wait $!; done"], log_path=tmp_path / "log"
    )
    try:
        lasting = int(shell.line())
        seen = [children(shell.pid) for _ in range(3000)]
        assert all(pids.count(lasting) == 1 for pids in seen)
        assert len({pid for pids in seen for pid in pids}) > 2
        os.kill(lasting, signal.SIGKILL)
        while lasting in children(shell.pid):
            time.sleep(0.001)
        assert not runs(lasting)
    finally:
        shell.kill()
