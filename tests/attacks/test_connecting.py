"""Attacks on the way of connecting an account (security list, rows 1 to 6 and 11).

Login CSRF, session fixation by link, mix-up of providers, code injection, secrets in URLs, races, replayed links.
"""

import re
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

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
    database_file,
    query_of,
)
from tests.attacks.provider import EvilProvider
from tests.parts.browser import Browser
from tests.parts.server import HoldfastProcess


def with_query(url: str, **changes: str | None) -> str:
    """Return the address with parameters changed, added, or (None) left out."""
    parts = urlsplit(url)
    params = {**dict(parse_qsl(parts.query, keep_blank_values=True)), **changes}
    kept = {name: value for name, value in params.items() if value is not None}
    return urlunsplit(parts._replace(query=urlencode(kept)))


# 1. Login CSRF: one person's code linked to another


@pytest.mark.parametrize("bound", [False, True], ids=["plain", "session-bound"])
def test_login_csrf_a_sign_in_begun_in_one_browser_cannot_end_in_another(
    app: App, browser: Browser, bound: bool
) -> None:
    user, more = anyone(), challenge()[1] if bound else {}
    if bound:
        app.call("POST", "/user_management/redirect_uris", {"uri": RETURN_TO})
    callback = callback_of(browser, app.link(user, **more))
    with Browser() as other:
        page = other.get(callback, follow=False)
        assert (page.status, page.redirect) == (400, None)
        assert "other_browser" in page.text
    assert app.codes_tried() == 0
    assert not app.has_account(user)


def test_login_csrf_a_browser_with_a_cookie_of_its_own_is_still_another_one(app: App, browser: Browser) -> None:
    attacker, victim = anyone(), anyone()
    stolen = callback_of(browser, app.link(attacker))
    with Browser() as other:
        begin_at_provider(other, app.link(victim))
        page = other.get(stolen, follow=False)
        assert page.status == 400
        assert "other_browser" in page.text
    assert app.codes_tried() == 0
    assert not app.has_account(attacker)
    assert not app.has_account(victim)


@pytest.mark.parametrize(
    "state",
    [None, "", "forged", "A" * 43, "' OR 1=1 --", "\x00", "%00", "é", "A" * 5000],
    ids=["missing", "empty", "short", "right length", "sql", "NUL", "percent", "not ASCII", "huge"],
)
def test_login_csrf_a_forged_state_is_refused_before_any_request_leaves(
    app: App, browser: Browser, state: str | None
) -> None:
    user = anyone()
    callback = callback_of(browser, app.link(user))
    page = browser.get(with_query(callback, state=state), follow=False)
    assert (page.status, page.redirect) == (400, None)
    assert "invalid_state" in page.text
    assert app.codes_tried() == 0
    assert not app.has_account(user)
    assert browser.get(callback, follow=False).redirect is not None, "the real callback is none the worse for it"


def test_login_csrf_two_states_in_one_callback_are_refused(app: App, browser: Browser) -> None:
    user = anyone()
    callback = callback_of(browser, app.link(user))
    assert browser.get(f"{callback}&state=other", follow=False).status == 400
    assert app.codes_tried() == 0
    assert not app.has_account(user)


def test_login_csrf_a_replayed_callback_changes_nothing(app: App, browser: Browser) -> None:
    user = anyone()
    callback = callback_of(browser, app.link(user))
    assert "error" not in query_of(browser.get(callback, follow=False).redirect or "")
    before = app.account(user)
    again = query_of(browser.get(callback, follow=False).redirect or "")
    assert again["error"] == "authorization_state_expired"
    assert app.codes_tried() == 1
    assert app.account(user) == before
    assert app.token(user)["active"] is True


def test_login_csrf_an_expired_state_is_refused(attacked: HoldfastProcess, app: App, browser: Browser) -> None:
    user = anyone()
    callback = callback_of(browser, app.link(user))
    _let_attempts_end(attacked)
    landed = query_of(browser.get(callback, follow=False).redirect or "")
    assert landed["error"] == "authorization_state_expired"
    assert app.codes_tried() == 0
    assert not app.has_account(user)


def _let_attempts_end(server: HoldfastProcess) -> None:
    with sqlite3.connect(database_file(server), timeout=30) as database:
        database.execute("UPDATE attempts SET expires_at = ?", (time.time() - 1,))
    database.close()


# 2. Session fixation: the attacker sends the victim a link of their own


def test_session_fixation_the_page_names_whose_account_is_being_connected(app: App, browser: Browser) -> None:
    attacker = anyone()
    page = browser.get(app.link(attacker), follow=False)
    assert page.status == 200
    assert attacker in page.text
    assert len(page.forms) == 1, "nothing goes on without the person pressing the button"


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {}),
        ("HEAD", {}),
        ("GET", {"sec-purpose": "prefetch"}),
        ("GET", {"sec-purpose": "prefetch;prerender"}),
        ("GET", {"purpose": "preview"}),
        ("GET", {"user-agent": "Mozilla/5.0 (compatible; MailScanner/1.0)"}),
    ],
)
def test_session_fixation_a_mail_scanner_that_opens_the_link_uses_nothing_up(
    app: App, browser: Browser, method: str, headers: dict[str, str]
) -> None:
    user = anyone()
    link = app.link(user)
    for _ in range(3):
        reply = app.http.request(method, link, headers=headers, follow_redirects=False)
        assert reply.status_code == 200
        assert "set-cookie" not in reply.headers
    assert browser.walk(link, stop_at=RETURN_TO).startswith(RETURN_TO)
    assert app.has_account(user)


@pytest.mark.parametrize(
    ("method", "headers"), [("HEAD", {}), ("GET", {"sec-purpose": "prefetch"}), ("GET", {"purpose": "preview"})]
)
def test_session_fixation_a_prefetch_of_a_session_bound_link_starts_nothing(
    app: App, browser: Browser, method: str, headers: dict[str, str]
) -> None:
    app.call("POST", "/user_management/redirect_uris", {"uri": RETURN_TO})
    link = app.link(anyone(), **challenge()[1])
    reply = app.http.request(method, link, headers=headers, follow_redirects=False)
    assert (reply.status_code, "set-cookie" in reply.headers) == (200, False)
    assert browser.walk(link, stop_at=RETURN_TO).startswith(RETURN_TO)


def test_session_fixation_a_form_on_another_site_cannot_press_the_button(app: App) -> None:
    user = anyone()
    link = app.link(user)
    for site in ("cross-site", "same-site"):
        reply = app.http.post(link, headers={"sec-fetch-site": site}, follow_redirects=False)
        assert (reply.status_code, "location" in reply.headers) == (400, False)


def test_session_fixation_the_victim_of_a_session_bound_link_connects_nothing(app: App, browser: Browser) -> None:
    """The attacker's own app session holds the verifier; the victim's does not, and cannot finish."""
    app.call("POST", "/user_management/redirect_uris", {"uri": RETURN_TO})
    attacker = anyone()
    landed = query_of(browser.walk(app.link(attacker, **challenge()[1]), stop_at=RETURN_TO))
    assert not app.has_account(attacker), "nothing is stored before the finish"
    guess, _ = challenge()
    body = {"connect_code": landed["connect_code"], "code_verifier": guess}
    refused = app.call("POST", "/data-integrations/finish", body)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_connect_code")
    assert not app.has_account(attacker)


def test_session_fixation_a_wrong_verifier_burns_the_code(app: App, browser: Browser) -> None:
    app.call("POST", "/user_management/redirect_uris", {"uri": RETURN_TO})
    user, (verifier, asked) = anyone(), challenge()
    code = query_of(browser.walk(app.link(user, **asked), stop_at=RETURN_TO))["connect_code"]
    for guess in (challenge()[0], verifier):
        reply = app.call("POST", "/data-integrations/finish", {"connect_code": code, "code_verifier": guess})
        assert (reply.status_code, reply.json()["code"]) == (400, "invalid_connect_code")
    assert not app.has_account(user)


def test_session_fixation_the_right_verifier_finishes_once(app: App, browser: Browser) -> None:
    app.call("POST", "/user_management/redirect_uris", {"uri": RETURN_TO})
    user, (verifier, asked) = anyone(), challenge()
    code = query_of(browser.walk(app.link(user, **asked), stop_at=RETURN_TO))["connect_code"]
    body = {"connect_code": code, "code_verifier": verifier}
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: app.call("POST", "/data-integrations/finish", body).status_code, range(8)))
    assert sorted(replies) == [200] + [400] * 7
    assert app.has_account(user)


# 3. Mix-up: an honest provider's code brought to another connection


def test_mix_up_a_code_brought_to_another_connections_callback_is_refused(
    app: App, browser: Browser, evil: EvilProvider
) -> None:
    slug = f"mixup-{anyone().replace('_', '-')}"
    evil_callback = app.make_custom(slug, evil.origin)
    user = anyone()
    honest = callback_of(browser, app.link(user))
    page = browser.get(f"{evil_callback}?{urlsplit(honest).query}", follow=False)
    assert (page.status, "invalid_state" in page.text) == (400, True)
    assert evil.posts() == []
    assert app.codes_tried() == 0
    assert not app.has_account(user)


def test_mix_up_a_malicious_provider_cannot_have_an_honest_code_redeemed_for_it(
    app: App, browser: Browser, evil: EvilProvider
) -> None:
    """The user meant to connect the evil provider; it forwards them to the honest one and gets the code's answer."""
    slug = f"mixup-{anyone().replace('_', '-')}"
    evil_callback = app.make_custom(slug, evil.origin)
    user = anyone()
    evil_state = query_of(begin_at_provider(browser, app.link(user, slug)).redirect or "")["state"]
    honest = callback_of(browser, app.link(user))
    honest_callback = honest.partition("?")[0]
    forwarded = with_query(honest, state=evil_state)
    assert browser.get(forwarded, follow=False).status == 400
    assert honest_callback != evil_callback
    assert evil.posts() == []
    assert app.codes_tried() == 0


@pytest.mark.parametrize("iss", [None, "", "https://evil.example", "two"], ids=["missing", "empty", "wrong", "twice"])
def test_mix_up_a_wrong_or_missing_issuer_stops_before_the_request(app: App, browser: Browser, iss: str | None) -> None:
    """RFC 9207 section 2.4; the sandbox's entry says that `iss` always comes."""
    user = anyone()
    callback = callback_of(browser, app.link(user))
    attacked = f"{callback}&iss=https://evil.example" if iss == "two" else with_query(callback, iss=iss)
    landed = browser.get(attacked, follow=False).redirect
    assert landed is not None
    assert query_of(landed)["error"] == "provider_error"
    assert app.codes_tried() == 0
    assert not app.has_account(user)


# 4. Code injection, PKCE downgrade


def test_code_injection_every_request_to_the_provider_has_an_s256_challenge_of_its_own(
    app: App, browser: Browser
) -> None:
    link = app.link(anyone())
    asked = [query_of(begin_at_provider(browser, link).redirect or "") for _ in range(3)]
    for one in asked:
        assert one["code_challenge_method"] == "S256"
        assert re.fullmatch("[A-Za-z0-9_-]{43}", one["code_challenge"])
        assert "code_verifier" not in one
    assert len({one["code_challenge"] for one in asked}) == 3
    assert len({one["state"] for one in asked}) == 3


def test_code_injection_a_swapped_code_is_worth_nothing(app: App, browser: Browser) -> None:
    attacker, victim = anyone(), anyone()
    with Browser() as other:
        stolen = query_of(callback_of(other, app.link(victim), person=GRACE))["code"]
    mine = callback_of(browser, app.link(attacker), person=ADA)
    landed = browser.get(with_query(mine, code=stolen), follow=False).redirect
    assert query_of(landed or "")["error"] == "authorization_code_exchange_error"
    assert not app.has_account(attacker)
    assert not app.has_account(victim)


def test_code_injection_a_custom_provider_gets_a_challenge_too(app: App, browser: Browser, evil: EvilProvider) -> None:
    slug = f"pkce-{anyone().replace('_', '-')}"
    app.make_custom(slug, evil.origin)
    asked = query_of(begin_at_provider(browser, app.link(anyone(), slug)).redirect or "")
    assert asked["code_challenge_method"] == "S256"


# 5. Secrets in URLs


def test_no_secret_is_in_any_url_of_a_whole_journey(app: App, browser: Browser) -> None:
    app.call("POST", "/user_management/redirect_uris", {"uri": RETURN_TO})
    user, (verifier, asked) = anyone(), challenge()
    landed = query_of(browser.walk(app.link(user, **asked), stop_at=RETURN_TO))
    body = {"connect_code": landed["connect_code"], "code_verifier": verifier}
    assert app.call("POST", "/data-integrations/finish", body).status_code == 200
    token = app.token(user)["access_token"]["access_token"]
    secrets = (token, app.state()["client"]["secret"], app.api_key, verifier, "code_verifier", "client_secret")
    urls = [*browser.visited, *(unquote(unquote(url)) for url in browser.visited)]
    assert len(browser.visited) >= 4
    for secret in secrets:
        assert not [url for url in urls if secret in url]
    for url in browser.visited:
        state = query_of(url).get("state")
        assert state is None or re.fullmatch("[A-Za-z0-9]{43}", state), "a state is opaque: nothing to decode in it"


# 6. Races


def test_race_twenty_callbacks_at_once_make_one_request_and_one_account(app: App, browser: Browser) -> None:
    user = anyone()
    app.switch(slow_seconds=0.3)
    callback = callback_of(browser, app.link(user))
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.cookies.jar)

    def land(_: int) -> str:
        reply = app.http.get(callback, headers={"cookie": cookies}, follow_redirects=False)
        return query_of(reply.headers["location"]).get("error", "connected")

    with ThreadPoolExecutor(20) as pool:
        landed = list(pool.map(land, range(20)))
    assert landed.count("connected") == 1
    assert landed.count("authorization_state_expired") == 19
    assert app.codes_tried() == 1
    assert app.token(user)["active"] is True
    assert len(app.state()["grants"]) == 1


# 11. Leaked links


def test_a_used_link_is_gone(app: App, browser: Browser) -> None:
    link = app.link(anyone())
    browser.walk(link, stop_at=RETURN_TO)
    for visitor in (browser, Browser()):
        page = visitor.get(link, follow=False)
        assert page.status == 410
        assert page.headers["referrer-policy"] == "no-referrer"
        assert visitor.post_form(link, {}, follow=False).status == 410


def test_a_link_that_one_browser_has_started_is_closed_to_others(app: App, browser: Browser) -> None:
    link = app.link(anyone())
    begin_at_provider(browser, link)
    with Browser() as other:
        assert other.get(link, follow=False).status == 410
        assert other.post_form(link, {}, follow=False).status == 410
    assert browser.get(link, follow=False).status == 200


def test_an_expired_link_is_gone(attacked: HoldfastProcess, app: App, browser: Browser) -> None:
    link = app.link(anyone())
    _let_attempts_end(attacked)
    assert browser.get(link, follow=False).status == 410


@pytest.mark.parametrize("link", ["A" * 24, "x", "\x00", "..", "A" * 4000, "' OR ''='"])
def test_a_guessed_link_is_not_found(app: App, browser: Browser, link: str) -> None:
    page = browser.get(f"{app.base_url}/data-integrations/{quote(link, safe='')}/authorize-redirect", follow=False)
    assert page.status == 404
