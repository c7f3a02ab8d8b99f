"""Attacks by circumstance: many callers, several servers, a holder that stalls (security list, rows 20, 21 and 23)."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.attacks.app import App, anyone, query_of
from tests.attacks.provider import EvilProvider, Says, Seen
from tests.parts.browser import Browser
from tests.parts.postgres import Postgres
from tests.parts.server import HoldfastProcess

SLUG = "rotating"
TIMES = {"HOLDFAST_OUTBOUND_TIMEOUT": "1.4", "HOLDFAST_LEASE_SECONDS": "3"}


class RotatingProvider(EvilProvider):
    """Tokens live a second until `long_lived`; each refresh token works once. `hold` makes the next refresh wait."""

    def __init__(self) -> None:
        super().__init__()
        self.long_lived = False
        self.presented: list[str] = []
        self.hold: threading.Event | None = None
        self.arrived = threading.Event()
        self._lock = threading.Lock()
        self._number = 0
        self.answer = self._answer

    def _answer(self, seen: Seen) -> Says:
        with self._lock:
            self._number += 1
            number, hold = self._number, self.hold
            if seen.form.get("grant_type") == "refresh_token":
                self.presented.append(seen.form["refresh_token"])
                self.hold = None
            else:
                hold = None
        if hold is not None:
            self.arrived.set()
            hold.wait(20)
        elif seen.form.get("grant_type") == "refresh_token":
            time.sleep(0.3)
        return Says(
            {
                "access_token": f"rotating-at-{number}",
                "refresh_token": f"rotating-rt-{number}",
                "expires_in": 3600 if self.long_lived else 1,
                "token_type": "Bearer",
            }
        )


@pytest.fixture
def provider() -> Iterator[RotatingProvider]:
    with RotatingProvider() as provider:
        yield provider


def _connected(app: App, provider: RotatingProvider) -> str:
    """Connect an account whose token has ended, at a provider that gives long-lived ones from now on."""
    app.make_custom(SLUG, provider.origin)
    user = anyone()
    with Browser() as browser:
        page = browser.submit(browser.get(app.link(user, SLUG), follow=False), follow=False)
        known = query_of(page.redirect or "")
        assert browser.get(f"{known['redirect_uri']}?code=c&state={known['state']}", follow=False).redirect
    provider.long_lived = True
    time.sleep(1.1)
    return user


def _token(app: App, user: str) -> str:
    reply = app.token(user, SLUG)
    assert reply["active"] is True, reply
    return str(reply["access_token"]["access_token"])


def test_refresh_race_fifty_callers_make_one_request(app: App) -> None:
    user = anyone()
    app.switch(access_lifetime=1)
    app.connect(user)
    time.sleep(1.1)
    app.switch(access_lifetime=3600, slow_seconds=0.3)
    with ThreadPoolExecutor(50) as pool:
        tokens = set(pool.map(lambda _: app.token(user)["access_token"]["access_token"], range(50)))
    assert app.refreshes() == 1
    assert len(tokens) == 1


def test_refresh_race_two_servers_and_a_hundred_callers_make_one_request(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory, provider: RotatingProvider
) -> None:
    dsn, directory = postgres.fresh_database(), tmp_path_factory.mktemp("pair")
    servers = [HoldfastProcess(directory, database=dsn)]
    try:
        servers.append(HoldfastProcess(directory, database=dsn))
        apps = [App(server.base_url, servers[0].api_key) for server in servers]
        user = _connected(apps[0], provider)
        with ThreadPoolExecutor(100) as pool:
            tokens = set(pool.map(lambda number: _token(apps[number % 2], user), range(100)))
        assert len(tokens) == 1
        assert len(provider.presented) == 1
    finally:
        for server in servers:
            server.stop()


def test_a_stalled_holder_that_wakes_up_late_overwrites_nothing(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory, provider: RotatingProvider
) -> None:
    """The first server stops in the middle of a refresh for longer than its lease; the second takes over."""
    dsn, directory = postgres.fresh_database(), tmp_path_factory.mktemp("stalled")
    first = HoldfastProcess(directory, database=dsn, env=TIMES)
    second = None
    try:
        second = HoldfastProcess(directory, database=dsn, env=TIMES)
        here, there = App.of(first), App(second.base_url, first.api_key)
        user = _connected(here, provider)
        held = provider.hold = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            stalled = pool.submit(here.token, user, SLUG)
            assert provider.arrived.wait(10)
            first.freeze()
            held.set()  # the answer is on its way to a process that does not read it
            time.sleep(3.5)
            taken_over = _token(there, user)
            first.thaw()
            late = stalled.result(30)
        assert late.get("access_token", {}).get("access_token", taken_over) == taken_over
        assert [_token(app, user) for app in (here, there, here)] == [taken_over] * 3
        assert len(provider.presented) == 2
    finally:
        for server in (first, second):
            if server is not None:
                server.thaw()
                server.stop()


def test_a_refresh_token_that_was_rotated_is_never_presented_again(app: App) -> None:
    user = anyone()
    app.connect(user)
    for _ in range(5):
        app.control("expire")
        with ThreadPoolExecutor(10) as pool:
            list(pool.map(lambda _: app.token(user, min_ttl=3600), range(10)))
    assert app.state()["counters"]["refresh_replays"] == 0
    assert app.token(user)["active"] is True
