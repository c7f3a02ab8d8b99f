"""Attacks on what is stored and what is logged (security list, rows 28, 29, 30 and 35).

A leaked database, a ciphertext moved to another row or rolled back, plain text put in its place, a missing key.
"""

import base64
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest

from tests.attacks.app import ADA, GRACE, RETURN_TO, App, anyone, challenge, database_file, query_of
from tests.attacks.provider import EvilProvider, Says
from tests.parts.browser import Browser
from tests.parts.postgres import Postgres
from tests.parts.process import NotStarted
from tests.parts.server import HoldfastProcess

DEBUG = {"HOLDFAST_LOG_LEVEL": "debug"}

# 28 and 35. Canaries through every path, then grep


def _journey(app: App, evil: EvilProvider) -> tuple[set[str], list[str]]:
    """Send canaries through everything that takes or makes a secret. Return them, and every URL a browser saw."""
    canaries = {app.api_key, app.state()["client"]["secret"]}
    app.make_sandbox()
    app.call("POST", "/user_management/redirect_uris", {"uri": RETURN_TO})
    with Browser() as browser:
        user, (verifier, asked) = anyone(), challenge()
        canaries.add(verifier)
        landed = query_of(browser.walk(app.link(user, **asked), stop_at=RETURN_TO, choose=ADA))
        body = {"connect_code": landed["connect_code"], "code_verifier": verifier}
        assert app.call("POST", "/data-integrations/finish", body).status_code == 200
        # One that is authorized and never finished: its credential waits in the database.
        waiting, asked = challenge()
        canaries.add(waiting)
        browser.walk(app.link(anyone(), **asked), stop_at=RETURN_TO, choose=ADA)
        # Plain, and one that is started and never comes back: its verifier waits in the database.
        browser.walk(app.link(user := anyone()), stop_at=RETURN_TO, choose=GRACE)
        browser.submit(browser.get(app.link(anyone()), follow=False), follow=False)
        canaries.add(app.token(user)["access_token"]["access_token"])
        app.control("expire")
        canaries.add(app.token(user, min_ttl=3600)["access_token"]["access_token"])

        slug = f"canary-{anyone().replace('_', '-')}"
        canaries |= {"canary-client-secret-1", "canary-client-secret-2", "canary-at-1", "canary-rt-1"}
        app.make_custom(slug, evil.origin, "canary-client-secret-1")
        credentials = {"type": "custom", "client_id": "app", "client_secret": "canary-client-secret-2"}
        assert app.call("PUT", f"/data-integrations/{slug}", {"credentials": credentials}).status_code == 200
        evil.answer = lambda _: Says({"access_token": "canary-at-1", "refresh_token": "canary-rt-1", "expires_in": 1})
        _consent(app, browser, slug, user := anyone())
        time.sleep(1.1)
        # The provider says everything it knows in its error, and in markup, and in a reply that cannot be read.
        for words in (_echo, _echo_as_text, lambda seen: Says("{" + seen.body + "}")):
            evil.answer = words
            app.token(user, slug)
            _consent(app, browser, slug, anyone())
        urls = list(browser.visited)
    canaries |= _through_the_api(app)
    canaries |= {seen.form["code_verifier"] for seen in evil.posts() if "code_verifier" in seen.form}
    return canaries, urls


def _echo(seen: Any) -> Says:
    said = f"no: {seen.body} {unquote(seen.body)} {seen.headers}"
    return Says({"error": "invalid_request", "error_description": said, "error_uri": said}, 400)


def _echo_as_text(seen: Any) -> Says:
    return Says(f"<h1>{unquote(seen.body)}</h1>", 500)


def _consent(app: App, browser: Browser, slug: str, user: str) -> str:
    page = browser.get(app.link(user, slug), follow=False)
    known = query_of(browser.submit(page, follow=False).redirect or "")
    return browser.get(f"{known['redirect_uri']}?code=code-1&state={known['state']}", follow=False).redirect or ""


def _through_the_api(app: App) -> set[str]:
    """API keys, client credentials, imported tokens, a webhook secret, an organization's client; good and refused."""
    used: set[str] = set()

    def canary(word: str) -> str:
        used.add(f"canary-{word}-{len(used)}-0123456789abcdef")
        return f"canary-{word}-{len(used) - 1}-0123456789abcdef"

    user, slug = anyone(), f"keyed-{anyone().replace('_', '-')}"
    keyed = {"provider": slug, "enabled": True, "auth_methods": ["api_key"], "custom_provider": {"name": "Keyed"}}
    made = app.call("POST", "/data-integrations", {**keyed, "api_key": {"user_id": user, "secret": canary("first")}})
    assert made.status_code == 201, made.text
    put = {"user_id": user, "secret": canary("second")}
    assert app.call("PUT", f"/data-integrations/{slug}/api-key", put).status_code == 200
    add = {"user_id": user, "secret": canary("third"), "connection_intent": "add"}
    key = {"idempotency-key": "canary-run"}
    assert app.call("POST", f"/data-integrations/{slug}/api-key", add, headers=key).status_code in (200, 201)
    assert app.call("POST", f"/data-integrations/{slug}/credentials", {"user_id": user}).json()["active"]
    app.call("POST", f"/data-integrations/{slug}/api-key", {**add, "user_id": 1, "secret": canary("unfit")})
    app.call("PUT", "/data-integrations/nobodys/api-key", {"user_id": user, "secret": canary("nowhere")})
    path = f"/user_management/users/{user}/connected_accounts/sandbox"
    tokens = {"access_token": canary("import"), "refresh_token": canary("import-rt")}
    imported = app.call("POST", path, {**tokens, "expires_at": "2099-01-01T00:00:00Z"})
    assert imported.status_code == 201, imported.text
    app.call("PUT", path, {"refresh_token": canary("refused-rt")})
    app.call("PUT", path, {"access_token": canary("replaced")})
    hook = {"endpoint_url": f"{app.base_url}/hook", "events": ["pipes.connected_account.connected"]}
    used.add(app.call("POST", "/webhook_endpoints", hook).json()["secret"])
    supplied = {
        "provider": "gitlab",
        "ownership": "user",
        "enabled": True,
        "credentials": {"type": "organization"},
    }
    app.call("POST", "/data-integrations", supplied)
    own = {"client_id": "theirs", "client_secret": canary("organization")}
    reply = app.call("PUT", "/organizations/org_1/data_integration_configurations/gitlab", own)
    assert reply.status_code == 200, reply.text
    return used


def _spellings(canary: str) -> set[bytes]:
    encoded = base64.b64encode(canary.encode()).decode().rstrip("=")
    return {text.encode() for text in (canary, quote(canary, safe=""), encoded[:-2], canary.encode().hex())}


def _hits(canaries: set[str], where: bytes) -> list[str]:
    return [canary for canary in canaries if any(text in where for text in _spellings(canary))]


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_database_leak_no_secret_is_in_the_database_the_logs_or_any_url(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path, evil: EvilProvider
) -> None:
    postgres: Postgres | None = request.getfixturevalue("postgres") if engine == "postgresql" else None
    dsn = postgres.fresh_database() if postgres else None
    server = HoldfastProcess(tmp_path, database=dsn, env=DEBUG)
    app = App.of(server)
    try:
        canaries, urls = _journey(app, evil)
        if postgres and dsn:
            dump = postgres.dump(dsn)
        else:
            dump = b"".join(path.read_bytes() for path in tmp_path.glob("holdfast.db*"))
    finally:
        server.stop()
        app.http.close()
    assert len(canaries) >= 20
    assert all(len(canary) >= 10 for canary in canaries)
    assert b"attempts" in dump, "this is the right place to look at"
    assert _hits(canaries, dump) == []
    assert _hits(canaries, server.log().encode()) == []
    assert _hits(canaries, "\n".join(urls).encode()) == []
    if not postgres:
        assert _hits(canaries, database_file(server).read_bytes()) == [], "nor after the log was folded in"


# 29. Ciphertexts moved


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HoldfastProcess]:
    """A server whose database the attacker can write."""
    server = HoldfastProcess(tmp_path_factory.mktemp("damaged"), env=DEBUG)
    App.of(server).make_sandbox()
    yield server
    server.stop()


def _rows(server: HoldfastProcess, sql: str, *values: object) -> list[Any]:
    with closing(sqlite3.connect(database_file(server), timeout=30)) as database, database:
        return database.execute(sql, values).fetchall()


def _cannot_open(app: App, user: str) -> None:
    reply = app.call("POST", "/data-integrations/sandbox/token", {"user_id": user})
    assert reply.status_code == 503, reply.text
    assert reply.json()["code"] == "cannot_open"
    assert "error" not in reply.json()
    assert "sbx_" not in reply.text


def _both(server: HoldfastProcess) -> tuple[App, str, str]:
    app, one, other = App.of(server), anyone(), anyone()
    app.connect(one, person=ADA)
    app.connect(other, person=GRACE)
    assert app.token(one)["active"]
    assert app.token(other)["active"]
    return app, one, other


def test_ciphertext_swap_two_accounts_credentials_exchanged_open_for_neither(damaged: HoldfastProcess) -> None:
    app, one, other = _both(damaged)
    sealed = {
        user: _rows(damaged, 'SELECT access, "grant" FROM accounts WHERE user_id = ?', user)[0] for user in (one, other)
    }
    for user, from_user in ((one, other), (other, one)):
        _rows(damaged, 'UPDATE accounts SET access = ?, "grant" = ? WHERE user_id = ?', *sealed[from_user], user)
    _cannot_open(app, one)
    _cannot_open(app, other)
    assert app.has_account(one), "what is not secret can still be seen"
    assert query_of(app.connect(one, person=ADA)).keys() == {"state"}, "its owner can connect again"
    assert app.token(one)["active"]
    _cannot_open(app, other)


def test_ciphertext_swap_of_refresh_tokens_sends_neither(damaged: HoldfastProcess) -> None:
    app, one, other = _both(damaged)
    grants = [_rows(damaged, 'SELECT "grant" FROM accounts WHERE user_id = ?', user)[0][0] for user in (one, other)]
    for user, grant in ((one, grants[1]), (other, grants[0])):
        _rows(damaged, 'UPDATE accounts SET "grant" = ?, expires_at = 1, refresh_at = 1 WHERE user_id = ?', grant, user)
    before = app.refreshes()
    for user in (one, other):
        reply = app.call("POST", "/data-integrations/sandbox/token", {"user_id": user})
        assert (reply.status_code, reply.json()["code"]) == (503, "cannot_open"), reply.text
    assert app.refreshes() == before
    assert "sbx_" not in damaged.log()


def test_ciphertext_swap_within_one_account_is_refused(damaged: HoldfastProcess) -> None:
    """The refresh token in the place of the access token would be handed to whoever asks."""
    app, one, _ = _both(damaged)
    _rows(damaged, 'UPDATE accounts SET access = "grant" WHERE user_id = ?', one)
    _cannot_open(app, one)


def test_ciphertext_roll_back_an_older_credential_of_the_same_account_is_refused(damaged: HoldfastProcess) -> None:
    app, one, _ = _both(damaged)
    [former] = _rows(damaged, "SELECT access FROM accounts WHERE user_id = ?", one)
    app.control("expire")
    app.token(one, min_ttl=3600)
    app.connect(one, person=ADA)
    assert app.token(one)["active"]
    _rows(damaged, "UPDATE accounts SET access = ? WHERE user_id = ?", former[0], one)
    _cannot_open(app, one)


@pytest.mark.parametrize("where", [0, 3, 5, 20, -1], ids=["format", "key version", "nonce", "text", "tag"])
def test_an_altered_ciphertext_is_refused(damaged: HoldfastProcess, where: int) -> None:
    app, one, _ = _both(damaged)
    [(sealed,)] = _rows(damaged, "SELECT access FROM accounts WHERE user_id = ?", one)
    altered = bytearray(sealed)
    altered[where] ^= 1
    _rows(damaged, "UPDATE accounts SET access = ? WHERE user_id = ?", bytes(altered), one)
    _cannot_open(app, one)


def test_a_webhook_secret_of_another_endpoint_is_refused(damaged: HoldfastProcess) -> None:
    app = App.of(damaged)
    for number in (1, 2):
        hook = {"endpoint_url": f"{app.base_url}/{number}", "events": ["pipes.connected_account.connected"]}
        assert app.call("POST", "/webhook_endpoints", hook).status_code == 201
    [(one,), (other,)] = _rows(damaged, "SELECT secret FROM webhook_endpoints ORDER BY id")
    _rows(damaged, "UPDATE webhook_endpoints SET secret = ? WHERE secret = ?", b"x", one)
    _rows(damaged, "UPDATE webhook_endpoints SET secret = ? WHERE secret = ?", one, other)
    reply = app.call("GET", "/webhook_endpoints")
    assert (reply.status_code, reply.json()["code"]) == (503, "cannot_open")
    _rows(damaged, "DELETE FROM webhook_endpoints")


def test_a_client_secret_that_does_not_open_is_not_sent(damaged: HoldfastProcess) -> None:
    app, one, _ = _both(damaged)
    [(secret, ident)] = _rows(damaged, "SELECT secret, id FROM clients")
    _rows(damaged, "UPDATE clients SET secret = ?", secret[:-1] + bytes([secret[-1] ^ 1]))
    try:
        with Browser() as browser:
            page = browser.get(app.link(anyone()), follow=False)
            page = browser.submit(page, follow=False)
            assert (page.status, page.redirect) == (400, None)
            assert "cannot_open" in page.text
        assert app.token(one)["active"], "a token that lives needs no client secret"
    finally:
        _rows(damaged, "UPDATE clients SET secret = ? WHERE id = ?", secret, ident)


# 30. Plain text instead


@pytest.mark.parametrize("text", [b"plain-access-token", b"", b"\x01", b"\x01\x00\x00\x00\x01" + b"a" * 40])
def test_plaintext_downgrade_an_unsealed_value_is_refused(damaged: HoldfastProcess, text: bytes) -> None:
    app, one, _ = _both(damaged)
    _rows(damaged, "UPDATE accounts SET access = ? WHERE user_id = ?", text, one)
    _cannot_open(app, one)


def test_plaintext_downgrade_text_in_the_column_is_refused(damaged: HoldfastProcess) -> None:
    app, one, _ = _both(damaged)
    _rows(damaged, "UPDATE accounts SET access = ? WHERE user_id = ?", "plain-access-token", one)
    _cannot_open(app, one)
    assert "plain-access-token" not in damaged.log()


def test_no_key_no_start(tmp_path: Path) -> None:
    first = HoldfastProcess(tmp_path)
    first.stop()
    key_file, moved = tmp_path / "holdfast.key", tmp_path / "moved.key"
    key_file.rename(moved)
    with pytest.raises(NotStarted, match=r"ended with status 2\nholdfast: the key file .* is missing"):
        HoldfastProcess(tmp_path)
    assert not key_file.exists(), "and no new one is made, which would hide what is missing"
    assert HoldfastProcess(tmp_path, env={"HOLDFAST_KEY_FILE": str(moved)}).stop() == 0


def test_another_installations_key_does_not_start(tmp_path: Path) -> None:
    for name in ("one", "other"):
        HoldfastProcess(tmp_path / name).stop()
    with pytest.raises(NotStarted, match=r"ended with status 2\nholdfast: .*which the key file does not hold"):
        HoldfastProcess(tmp_path / "one", env={"HOLDFAST_KEY_FILE": str(tmp_path / "other" / "holdfast.key")})
