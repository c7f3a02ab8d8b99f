"""Attack: have Holdfast send a browser, with its connect code and state, to a stranger (security list, row 7)."""

from collections.abc import Iterator

import pytest

from tests.attacks.app import RETURN_TO, App, anyone, callback_of, challenge, query_of
from tests.parts.browser import Browser
from tests.parts.server import HoldfastProcess

REGISTERED = "https://app.example.com/connected"

NOT_A_DESTINATION = """
    //evil.example  ///evil.example  https:evil.example  https:/evil.example  https:///evil.example
    \\\\evil.example  https:\\\\evil.example  https://localhost\\@evil.example  https://evil.example\\.localhost
    http://localhost:3000@evil.example/  https://app.example.com@evil.example/  https://app.example.com:443@evil.example
    https://user:pw@app.example.com/  https://@app.example.com/
    javascript:alert(1)  javascript://localhost/%0aalert(1)  data:text/html,x  file:///etc/passwd  ftp://localhost/
    myapp://callback  HTTPS://EVIL.EXAMPLE/  hTTps://app.example.com/
    /connected  connected  ?x=1  #x  http://  https://  http://:3000/  https://[::1  https://app.example.com:99999/
    http://evil.example/  http://127.0.0.1.evil.example/  http://localhost.evil.example/  http://127.0.0.2/
    http://[::ffff:127.0.0.1]/  http://2130706433/  http://0x7f.1/  http://0.0.0.0/
    https://localhost%00.evil.example/  https://app.example.com%2eevil.example/  https://app.example.com%40evil.example/
""".split()  # noqa: SIM905  (a table reads better without quotes)
UNPRINTABLE = [
    "https://app.example.com/\r\nSet-Cookie: a=b",
    "https://app.example.com/\n",
    "\thttps://app.example.com/",
    " https://app.example.com/",
    "https://app.example.com/ x",
    "https://app.example.com/\x00",
    "https://app.exam\u200bple.com/",
    "https://\u0430pp.example.com/",
    "https://app\u3002example\u3002com/",
    "https://app.example.com\uff0fevil.example/",
    "https://app.example.com\u2044.evil.example/",
    "https://\uff41pp.example.com/",
    "https://evil.example\uff03.app.example.com/",
    "http://\u2460\u2461\u2466.0.0.1/",
    "http://loca\u017fhost/",
]
OTHER_ORIGINS = [
    "https://evil.example/",
    "https://evil.app.example.com/",
    "https://app.example.com.evil.example/",
    "https://app.example.com:8443/connected",
    "https://app.example.co/",
    "https://xapp.example.com/",
    "https://example.com/",
    "https://app.example.com./connected",
]


@pytest.fixture(scope="module")
def plain_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HoldfastProcess]:
    """A server without --dev: no loopback for free."""
    server = HoldfastProcess(tmp_path_factory.mktemp("plain"), dev=False)
    yield server
    server.stop()


@pytest.fixture
def plain(plain_server: HoldfastProcess) -> App:
    app = App.of(plain_server)
    body = {
        "provider": "github",
        "enabled": True,
        "credentials": {"type": "custom", "client_id": "id", "client_secret": "secret"},
    }
    assert app.call("POST", "/data-integrations", body).status_code in (201, 409)
    assert app.call("POST", "/user_management/redirect_uris", {"uri": REGISTERED}).status_code in (201, 422)
    return app


def test_the_table_is_long_enough_to_mean_something() -> None:
    assert len({*NOT_A_DESTINATION, *UNPRINTABLE, *OTHER_ORIGINS}) >= 60


@pytest.mark.parametrize("url", [*NOT_A_DESTINATION, *UNPRINTABLE, *OTHER_ORIGINS])
def test_open_redirect_with_a_registered_origin(plain: App, url: str) -> None:
    _refused(plain, "github", url)


@pytest.mark.parametrize("url", [*NOT_A_DESTINATION, *UNPRINTABLE, *OTHER_ORIGINS])
def test_open_redirect_in_development(app: App, url: str) -> None:
    _refused(app, "sandbox", url)


def _refused(app: App, slug: str, url: str) -> None:
    for more in ({}, challenge()[1]):
        reply = app.authorize(anyone(), slug, return_to=url, **more)
        assert reply.status_code == 400, reply.text
        assert "error" not in reply.json(), "the Node SDK would take a body with `error` for an OAuth error"
        assert reply.json()["code"] in (
            "invalid_return_to",
            "return_to_requires_exact_match",
            "invalid_json",  # a NUL, which no body may hold
        )


@pytest.mark.parametrize("url", ["http://localhost:3000/", "http://127.0.0.1:9/x", "http://[::1]:3000/"])
def test_open_redirect_to_loopback_outside_development(plain: App, url: str) -> None:
    _refused(plain, "github", url)


def test_open_redirect_to_another_port_or_path_in_a_session_bound_flow(plain: App) -> None:
    more = challenge()[1]
    for url in (
        f"{REGISTERED}/",
        f"{REGISTERED}?next=1",
        f"{REGISTERED}#x",
        "https://app.example.com/",
        "https://app.example.com/Connected",
        "https://app.example.com/connected/../evil",
        "https://app.example.com/%63onnected",
    ):
        reply = plain.authorize(anyone(), "github", return_to=url, **more)
        assert (reply.status_code, reply.json()["code"]) == (400, "return_to_requires_exact_match")


def test_the_registered_destinations_are_let_through(plain: App) -> None:
    more = challenge()[1]
    assert plain.authorize(anyone(), "github", return_to=REGISTERED).status_code == 200
    assert plain.authorize(anyone(), "github", return_to="https://app.example.com/elsewhere?a=b").status_code == 200
    assert plain.authorize(anyone(), "github", return_to="https://app.example.com:443/connected").status_code == 200
    assert plain.authorize(anyone(), "github", return_to=REGISTERED, **more).status_code == 200


def test_a_session_bound_flow_cannot_do_without_a_destination(plain: App) -> None:
    reply = plain.authorize(anyone(), "github", **challenge()[1])
    assert (reply.status_code, reply.json()["code"]) == (400, "invalid_return_to")


@pytest.mark.parametrize("url", [*NOT_A_DESTINATION, *UNPRINTABLE])
def test_what_is_no_destination_cannot_be_registered_as_one(plain: App, url: str) -> None:
    before = plain.call("GET", "/user_management/redirect_uris").json()["data"]
    assert plain.call("POST", "/user_management/redirect_uris", {"uri": url}).status_code in (400, 422)
    assert plain.call("GET", "/user_management/redirect_uris").json()["data"] == before


def test_a_destination_cannot_be_had_from_the_browsers_side(app: App, browser: Browser) -> None:
    """Whatever a link or a callback is given along: the browser goes where the app said."""
    link, evil = app.link(anyone()), "https://evil.example/"
    callback = callback_of(browser, f"{link}?return_to={evil}&redirect_uri={evil}")
    landed = browser.get(f"{callback}&return_to={evil}&redirect_uri={evil}", follow=False).redirect
    assert landed is not None
    assert landed.startswith(RETURN_TO + "?")
    assert "evil" not in landed


def test_a_destinations_own_parameters_cannot_stand_in_for_ours(app: App, browser: Browser) -> None:
    user = anyone()
    more = challenge()[1]
    app.call("POST", "/user_management/redirect_uris", {"uri": RETURN_TO})
    assert app.authorize(user, return_to=f"{RETURN_TO}?connect_code=forged", **more).status_code == 400
    begun = app.authorize(user, return_to=f"{RETURN_TO}?state=forged&keep=1").json()
    landed = browser.walk(begun["url"], stop_at=RETURN_TO)
    assert landed.count("state=") == 1
    assert query_of(landed) == {"keep": "1", "state": begun["state"]}
