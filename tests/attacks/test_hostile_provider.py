"""Attacks by a provider, or by who stands behind it (security list, rows 8, 9, 10, 12 and 14).

Identity swap on reconnect, scope drift, markup in what a provider says, a provider's host changed under its secret,
a token endpoint that redirects the request and the secret in it elsewhere.
"""

import base64
import re
import time
from typing import Any
from urllib.parse import quote

import pytest

from tests.attacks.app import (
    ADA,
    GRACE,
    RETURN_TO,
    App,
    anyone,
    begin_at_provider,
    callback_of,
    challenge,
    query_of,
)
from tests.attacks.provider import EvilProvider, Says, Seen
from tests.parts.browser import Browser, Page

MARKUP = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'{{7*7}}{% raw %}"


def a_slug(word: str) -> str:
    return f"{word}-{anyone().replace('_', '-')}"


# 8. Identity swap on reconnect


@pytest.mark.parametrize("bound", [False, True], ids=["plain", "session-bound"])
def test_identity_swap_reconnecting_as_another_person_is_refused_and_names_both(app: App, bound: bool) -> None:
    app.call("POST", "/user_management/redirect_uris", {"uri": RETURN_TO})
    user, more = anyone(), challenge()[1] if bound else {}
    app.connect(user, person=ADA)
    before, token = app.account(user), app.token(user)["access_token"]["access_token"]
    landed = query_of(app.connect(user, person=GRACE, **more))
    assert landed["error"] == "account_mismatch"
    assert ADA in landed["error_description"]
    assert GRACE in landed["error_description"]
    assert "connect_code" not in landed
    assert app.account(user) == before
    assert app.token(user)["access_token"]["access_token"] == token


def test_identity_swap_the_app_may_ask_for_it(app: App) -> None:
    user = anyone()
    app.connect(user, person=ADA)
    landed = query_of(app.connect(user, person=GRACE, allow_account_switch=True))
    assert "error" not in landed
    assert app.account(user)["account_identifier"] == GRACE


def test_identity_swap_by_a_named_account_is_refused_too(app: App) -> None:
    user = anyone()
    app.connect(user, person=ADA)
    account = app.account(user)["id"]
    reconnect = {"connection_intent": "reauthorize", "connected_account_id": account}
    assert query_of(app.connect(user, person=GRACE, **reconnect))["error"] == "account_mismatch"
    assert "error" not in query_of(app.connect(user, person=ADA, **reconnect))


# 9. Scope drift


def test_scope_drift_the_caller_is_told_what_was_not_granted(app: App) -> None:
    user = anyone()
    with Browser() as browser:
        browser.walk(app.link(user), stop_at=RETURN_TO, untick={"write"})
    token = app.token(user)["access_token"]
    assert token["missing_scopes"] == ["write"]
    assert "write" not in token["scopes"]
    assert "write" not in app.account(user)["scopes"]


def test_scope_drift_without_a_required_scope_no_token_leaves(app: App) -> None:
    user = anyone()
    app.switch(drop_scopes=["write"])
    app.connect(user)
    app.call("PUT", "/data-integrations/sandbox", {"required_scopes": ["write"]})
    try:
        assert app.token(user) == {"active": False, "error": "needs_reauthorization"}
        assert app.account(user)["state"] == "needs_reauthorization"
        app.switch(drop_scopes=[])
        app.connect(user)
        assert app.token(user)["active"] is True
    finally:
        app.call("PUT", "/data-integrations/sandbox", {"required_scopes": []})


# 10. Markup and frames


def test_markup_in_a_providers_error_is_shown_as_text(app: App, browser: Browser) -> None:
    callback = callback_of(browser, app.authorize(anyone()).json()["url"])
    iss, state = query_of(callback)["iss"], query_of(callback)["state"]
    params = f"state={state}&iss={quote(iss)}&error={quote(MARKUP)}&error_description={quote(MARKUP)}"
    page = browser.get(f"{callback.partition('?')[0]}?{params}", follow=False)
    assert page.status == 400
    _harmless(page)


def test_markup_in_a_token_endpoints_error_is_shown_as_text(app: App, browser: Browser, evil: EvilProvider) -> None:
    slug = a_slug("markup")
    callback = app.make_custom(slug, evil.origin)
    evil.answer = lambda _: Says({"error": "invalid_grant", "error_description": MARKUP}, 400)
    state = query_of(begin_at_provider(browser, app.authorize(anyone(), slug).json()["url"]).redirect or "")["state"]
    page = browser.get(f"{callback}?code=c&state={state}", follow=False)
    assert page.status == 400
    assert "script" in page.text, "the provider's words are there"
    _harmless(page)


def test_markup_in_names_is_shown_as_text(app: App, browser: Browser, evil: EvilProvider) -> None:
    slug = a_slug("names")
    app.make_custom(slug, evil.origin, name=MARKUP)
    app.call("PUT", f"/data-integrations/{slug}", {"scopes": [MARKUP.replace(" ", "")]})
    page = browser.get(app.link(MARKUP, slug, organization_id=MARKUP), follow=False)
    assert page.status == 200
    assert "script" in page.text
    _harmless(page)


def test_markup_in_a_return_address_goes_back_encoded(app: App, browser: Browser) -> None:
    callback = callback_of(browser, app.link(anyone()))
    known = query_of(callback)
    params = f"state={known['state']}&iss={quote(known['iss'])}&error=x&error_description={quote(MARKUP)}%0d%0aX-Evil:1"
    page = browser.get(f"{callback.partition('?')[0]}?{params}", follow=False)
    assert page.status in (302, 303)
    assert "x-evil" not in page.headers
    assert not re.search(r"[<>\"\r\n]", page.headers["location"])


def test_every_page_forbids_frames_scripts_and_sniffing(app: App, browser: Browser) -> None:
    link = app.authorize(anyone()).json()["url"]
    callback = callback_of(browser, link)
    done = browser.get(callback, follow=False)
    assert (done.status, "location" in done.headers) == (200, False)
    pages = [
        done,
        browser.get(callback, follow=False),
        browser.get(link, follow=False),
        browser.get(app.link(anyone()), follow=False),
        begin_at_provider(browser, app.link(anyone())),
        browser.get(f"{app.base_url}/data-integrations/{'x' * 24}/authorize-redirect", follow=False),
        browser.get(callback.replace("/sandbox/", "/github/"), follow=False),
        browser.get(callback.partition("?")[0], follow=False),
    ]
    for page in pages:
        _guarded(page)


def _harmless(page: Page) -> None:
    assert "<script" not in page.text
    assert "<img" not in page.text
    assert "{{7*7}}" in page.text, "shown, and not worked out by the template"
    _guarded(page)


def _guarded(page: Page) -> None:
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script-src" not in policy
    assert "unsafe" not in policy
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
    assert "<script" not in page.text
    assert " on" not in " ".join(re.findall(r"<[^>]+>", page.text)), "no event handler attributes"


# 12. A custom provider's host changes


def test_a_changed_host_is_not_sent_the_secret_given_for_the_old_one(
    app: App, browser: Browser, evil: EvilProvider
) -> None:
    slug, user, secret = a_slug("moved"), anyone(), "canary-secret-of-the-old-host"
    with EvilProvider() as honest:
        app.make_custom(slug, honest.origin, secret)
        page = browser.get(app.link(user, slug), follow=False)
        assert honest.origin.removeprefix("http://") in page.text, "the hosts are shown at consent"
        _come_back(browser, page)
        assert any(secret in _all_of(seen) for seen in honest.posts()), "the old host was sent it"
        assert app.token(user, slug)["active"] is True

    moved = app.call(
        "PUT",
        f"/data-integrations/{slug}",
        {"custom_provider": {"token_url": f"{evil.origin}/token", "authorization_url": f"{evil.origin}/authorize"}},
    )
    assert moved.status_code == 200
    assert moved.json()["state"] == "invalid"
    refused = app.authorize(anyone(), slug, return_to=RETURN_TO)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_data_integration")
    app.token(user, slug, min_ttl=3600)
    assert not [seen for seen in evil.seen if secret in _all_of(seen)]


def test_moving_only_the_refresh_endpoint_clears_the_secret_too(app: App, browser: Browser, evil: EvilProvider) -> None:
    slug, user, secret = a_slug("refresh"), anyone(), "canary-secret-of-the-old-host"
    with EvilProvider() as honest:
        honest.answer = lambda _: Says({"access_token": "at", "refresh_token": "rt-canary", "expires_in": 1})
        app.make_custom(slug, honest.origin, secret)
        _come_back(browser, browser.get(app.link(user, slug), follow=False))
        change = {"custom_provider": {"refresh_token_url": f"{evil.origin}/token"}}
        assert app.call("PUT", f"/data-integrations/{slug}", change).json()["state"] == "invalid"
        time.sleep(1.1)
        app.token(user, slug)
    assert not [seen for seen in evil.seen if secret in _all_of(seen)]


def test_naming_the_same_client_id_again_does_not_carry_its_secret_to_the_new_host(
    app: App, browser: Browser, evil: EvilProvider
) -> None:
    slug, user, secret = a_slug("carried"), anyone(), "canary-secret-of-the-old-host"
    with EvilProvider() as honest:
        app.make_custom(slug, honest.origin, secret)
        _come_back(browser, browser.get(app.link(user, slug), follow=False))
    change = {
        "credentials": {"type": "custom", "client_id": "app"},
        "custom_provider": {"token_url": f"{evil.origin}/token"},
    }
    moved = app.call("PUT", f"/data-integrations/{slug}", change)
    assert (moved.status_code, moved.json()["state"]) == (200, "invalid")
    app.token(user, slug, min_ttl=3600)
    assert not [seen for seen in evil.seen if secret in _all_of(seen)]


def test_a_link_made_before_the_host_changed_does_not_use_the_old_secret(
    app: App, browser: Browser, evil: EvilProvider
) -> None:
    slug, secret = a_slug("between"), "canary-secret-of-the-old-host"
    with EvilProvider() as honest:
        app.make_custom(slug, honest.origin, secret)
        begun = begin_at_provider(browser, app.link(anyone(), slug)).redirect or ""
        change = {"custom_provider": {"token_url": f"{evil.origin}/token"}}
        assert app.call("PUT", f"/data-integrations/{slug}", change).status_code == 200
        known = query_of(begun)
        browser.get(f"{known['redirect_uri']}?code=c&state={known['state']}", follow=False)
    assert not [seen for seen in evil.seen if secret in _all_of(seen)]


@pytest.mark.parametrize(
    "url",
    [
        "ftp://localhost/token",
        "https://user:pw@host/token",
        "https://host\\@evil/token",
        "https://{tenant}.example/token",
        "https://host/token#x",
        "https://host /token",
        "javascript:alert(1)",
        "",
        "//host/token",
        "https://",
        "file:///etc/passwd",
    ],
)
def test_a_custom_endpoint_that_is_no_plain_address_is_refused(app: App, url: str) -> None:
    body = {
        "provider": a_slug("bad"),
        "credentials": {"type": "custom", "client_id": "a", "client_secret": "b"},
        "custom_provider": {"name": "Bad", "authorization_url": "https://host.example/a", "token_url": url},
    }
    reply = app.call("POST", "/data-integrations", body)
    assert reply.status_code in (400, 422)
    assert app.call("GET", f"/data-integrations/{body['provider']}").status_code == 404


# 14. A token endpoint that redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirecting_token_endpoint_is_not_followed_with_the_secret(
    app: App, browser: Browser, evil: EvilProvider, status: int
) -> None:
    slug, user, secret = a_slug("redirecting"), anyone(), "canary-client-secret"
    with EvilProvider() as elsewhere:
        location = ("location", f"{elsewhere.origin}/token")
        evil.answer = lambda _: Says("", status, (location,))
        app.make_custom(slug, evil.origin, secret)
        landed = _come_back(browser, browser.get(app.link(user, slug), follow=False))
        assert "error" in query_of(landed)
        assert len(evil.posts()) == 1
        assert elsewhere.seen == []
    assert not app.has_account(user, slug)


def test_an_endless_or_broken_reply_of_a_token_endpoint_ends_in_an_error(
    app: App, browser: Browser, evil: EvilProvider
) -> None:
    slug = a_slug("endless")
    app.make_custom(slug, evil.origin)
    for body in ("x" * 3_000_000, "[" * 100_000, '{"access_token": ' + "1" * 10_000 + "}", "\x00", "null", '"a"', "{}"):
        user = anyone()
        evil.answer = lambda _, body=body: Says(body)  # type: ignore[misc]
        landed = query_of(_come_back(browser, browser.get(app.link(user, slug), follow=False)))
        assert "error" in landed
        assert not app.has_account(user, slug)


def _come_back(browser: Browser, page: Page) -> str:
    """Press the button on our page and come back from the provider with a code; return where that leads."""
    known = query_of(browser.submit(page, follow=False).redirect or "")
    landed = browser.get(f"{known['redirect_uri']}?code=c-1&state={known['state']}", follow=False).redirect
    assert landed is not None
    return landed


def _all_of(seen: Seen) -> str:
    """Everything a request said, with what Basic hides."""
    said: list[Any] = [seen.path, seen.query, seen.headers, seen.body, seen.form]
    scheme, _, encoded = seen.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        said.append(base64.b64decode(encoded).decode())
    return str(said)
