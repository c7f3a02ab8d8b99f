"""Attack by input: what no well-meaning client sends.

Each is answered in the wire's shape with the right code, never 500, and nothing changes. On both engines, as they
differ in what they take: PostgreSQL refuses NUL in text, and checks lengths.
"""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.attacks.app import App, anyone, over_a_socket, raw, refused
from tests.parts.server import HoldfastProcess

SLUG = "keyed"
TOKEN = f"/data-integrations/{SLUG}/credentials"
HOOKS = "/webhook_endpoints"
MEMBERS = "/user_management/organization_memberships"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HoldfastProcess]:
    dsn = request.getfixturevalue("postgres").fresh_database() if request.param == "postgresql" else None
    running = HoldfastProcess(tmp_path_factory.mktemp("bad-input"), database=dsn)
    yield running
    running.stop()
    assert "unexpected_error" not in running.log()


@pytest.fixture
def app(server: HoldfastProcess) -> Iterator[App]:
    app = App.of(server)
    keyed = {"provider": SLUG, "enabled": True, "auth_methods": ["api_key"], "custom_provider": {"name": "Keyed"}}
    assert app.call("POST", "/data-integrations", keyed).status_code in (201, 409)
    app.make_sandbox()
    yield app
    app.http.close()


@pytest.fixture
def changes() -> None:
    """Asked for by the tests that do change something."""


@pytest.fixture(autouse=True)
def _nothing_changes(app: App, request: pytest.FixtureRequest) -> Iterator[None]:
    before = _everything(app)
    yield
    assert "changes" in request.fixturenames or _everything(app) == before


def _everything(app: App) -> list[str]:
    return [
        app.call("GET", path).text
        for path in (
            "/data-integrations?limit=100",
            "/webhook_endpoints?limit=100",
            f"{MEMBERS}?organization_id=org_1&limit=100",
            "/user_management/redirect_uris",
            "/events?events=pipes.connected_account.connected&limit=100",
        )
    ]


# Bodies that are no JSON


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"{]",
        b"nonsense",
        b"{'user_id': 'a'}",
        b'{"user_id": "a",}',
        b'{"user_id": NaN}',
        b'{"user_id": "a"} trailing',
        b"\xff\xfe\x00",
        b'{"user_id": "\xff"}',
        b'{"user_id": "\xed\xa0\x80"}',
        b'{"user_id": "\xc0\x80"}',
        b'{"user_id": "\\ud800"}',
        b'{"user_id": "\\udc00\\ud800"}',
        b'{"user_id": "a\x00b"}',
        b'{"user_id": "a\\u0000b"}',
        b'{"user_id": "a\nb"}',
        b"\xef\xbb\xbf{}",
        b"user_id=a",
        b'{"a":' * 100_000,
        b'{"user_id": "a", "x": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    ],
    ids=range(20),
)
def test_a_body_that_is_no_json_is_400(app: App, content: bytes) -> None:
    body = refused(raw(app, "POST", TOKEN, content), 400)
    assert body["code"] == "invalid_json"


@pytest.mark.parametrize("content", [b"null", b"[]", b"1", b'"text"', b"true", b"[{}]", b"", b"{}", b"[" * 100_000])
def test_a_body_of_another_kind_is_422_and_names_what_is_wrong(app: App, content: bytes) -> None:
    assert refused(raw(app, "POST", TOKEN, content), 422)["errors"]


# Members that do not fit


@pytest.mark.parametrize("value", [None, 1, 1.5, True, [], {}, ["a"], {"a": 1}, "", "x" * 257, "x" * 100_000, "\u0000"])
@pytest.mark.parametrize("name", ["user_id", "secret", "organization_id"])
def test_a_member_of_the_wrong_type_or_size_is_refused_by_name(app: App, name: str, value: Any) -> None:
    if (name, value) == ("organization_id", None) or (name == "secret" and value in ("x" * 257,)):
        return  # fine there
    body = {"user_id": anyone(), "secret": "s3cret-s3cret", "connection_intent": "add", name: value}
    told = refused(app.call("POST", f"/data-integrations/{SLUG}/api-key", body), 400, 422)
    assert "s3cret-s3cret" not in json.dumps(told)
    if value != "\u0000":
        assert told["errors"][0]["field"] == name


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (HOOKS, {"endpoint_url": "https://a.example/", "events": []}),
        (HOOKS, {"endpoint_url": "https://a.example/", "events": "all"}),
        (HOOKS, {"endpoint_url": "https://a.example/", "events": ["pipes.connected_account.connected"] * 101}),
        (HOOKS, {"endpoint_url": "not a url", "events": ["pipes.connected_account.connected"]}),
        (HOOKS, {"endpoint_url": "javascript:alert(1)", "events": ["pipes.connected_account.connected"]}),
        (HOOKS, {"endpoint_url": "https://a\\@b/", "events": ["pipes.connected_account.connected"]}),
        (HOOKS, {"endpoint_url": "https://[::1", "events": ["pipes.connected_account.connected"]}),
        (HOOKS, {"endpoint_url": "https://a:99999/", "events": ["pipes.connected_account.connected"]}),
        (MEMBERS, {"user_id": "a"}),
        (MEMBERS, {"user_id": "a", "organization_id": "b" * 300}),
        (MEMBERS, {"user_id": "a" * 300, "organization_id": "org_1"}),
        (MEMBERS, {"user_id": "a", "organization_id": "org_1", "role_slug": "r" * 200}),
        ("/data-integrations", {"provider": "x" * 200}),
        ("/data-integrations", {"provider": "a/b", "custom_provider": {"name": "A"}, "auth_methods": ["api_key"]}),
        ("/data-integrations", {"provider": "../x", "custom_provider": {"name": "A"}, "auth_methods": ["api_key"]}),
        ("/data-integrations", {"provider": "finish", "custom_provider": {"name": "A"}, "auth_methods": ["api_key"]}),
        ("/data-integrations", {"provider": "a\nb", "custom_provider": {"name": "A"}, "auth_methods": ["api_key"]}),
        ("/data-integrations", {"provider": "new1", "custom_provider": {"name": "A"}, "auth_methods": ["magic"]}),
        ("/data-integrations", {"provider": "new2", "custom_provider": {}, "auth_methods": ["api_key"]}),
        ("/data-integrations", {"provider": "new3", "custom_provider": [], "auth_methods": ["api_key"]}),
        ("/data-integrations", {"provider": "github", "credentials": {"type": "custom"}}),
        (
            "/data-integrations",
            {"provider": "github", "config": {"nobody": "knows"}, "credentials": {"type": "custom"}},
        ),
        ("/user_management/redirect_uris", {"uri": "x" * 2049}),
        ("/user_management/redirect_uris", {"uri": "nonsense"}),
        (f"/data-integrations/{SLUG}/authorize", {"user_id": "a"}),
        ("/data-integrations/sandbox/authorize", {"user_id": "a", "code_challenge": "short"}),
        ("/data-integrations/sandbox/authorize", {"user_id": "a", "code_challenge": "A" * 43}),
        (
            "/data-integrations/sandbox/authorize",
            {"user_id": "a", "code_challenge": "A" * 43, "code_challenge_method": "plain"},
        ),
        ("/data-integrations/sandbox/authorize", {"user_id": "a", "config": {"subdomain": "evil.example/"}}),
        ("/data-integrations/finish", {"connect_code": "x", "code_verifier": "short"}),
        ("/data-integrations/finish", {"connect_code": "x" * 43, "code_verifier": "A" * 43}),
        ("/data-integrations/finish", {"connect_code": "é", "code_verifier": "A" * 43}),
        ("/user_management/users/a/connected_accounts/sandbox", {"access_token": ""}),
        ("/user_management/users/a/connected_accounts/sandbox", {"access_token": "a", "expires_at": "yesterday"}),
        ("/user_management/users/a/connected_accounts/sandbox", {"access_token": "a", "expires_at": 1}),
        ("/user_management/users/a/connected_accounts/sandbox", {"access_token": "a", "expires_at": "9" * 400}),
        ("/user_management/users/a/connected_accounts/sandbox", {"access_token": "a", "scopes": ["s"] * 201}),
        ("/organizations/o/connected_accounts/sandbox", {"access_token": "a"}),
    ],
)
def test_a_body_against_the_rules_isrefused(app: App, path: str, body: Any) -> None:
    refused(app.call("POST", path, body), 400, 404, 422)


@pytest.mark.parametrize("number", ["1e400", "-1", "3601", "1.5", '"60"', "null1", "9" * 400, "true"])
def test_a_number_out_of_range_isrefused(app: App, number: str) -> None:
    body = f'{{"user_id": "a", "min_ttl": {number}}}'.encode()
    refused(raw(app, "POST", TOKEN, body), 400, 422)


# Ids and slugs in the path

STRANGE = ["\x00", "a\x00b", "%", "..", ".", "%00", "'", '"; DROP TABLE accounts; --', "\n", "\ud7ff", "😀", "a" * 300]
STRANGE += ["x" * 8000, "/", "a/b", "\\", " ", "{slug}", "\u202e", "é", "\x7f"]


@pytest.mark.parametrize("text", STRANGE, ids=range(len(STRANGE)))
def test_a_strange_slug_or_id_is_one_that_nobody_has(app: App, text: str) -> None:
    strange = quote(text, safe="")
    for method, path, body in (
        ("GET", f"/data-integrations/{strange}", None),
        ("DELETE", f"/data-integrations/{strange}/organization", None),
        ("POST", f"/data-integrations/{strange}/token", {"user_id": "a"}),
        ("PUT", f"/data-integrations/{strange}/api-key", {"user_id": "a", "secret": "b"}),
        ("GET", f"/user_management/users/a/connected_accounts/{strange}", None),
        ("GET", f"/user_management/users/{strange}/connected_accounts/{SLUG}", None),
        ("DELETE", f"/user_management/users/{strange}/connected_accounts/{SLUG}", None),
        ("PUT", f"/organizations/{strange}/data_integration_configurations/nobodys", {"enabled": True}),
        ("PATCH", f"{HOOKS}/{strange}", {"status": "disabled"}),
        ("DELETE", f"{HOOKS}/{strange}", None),
        ("GET", f"{MEMBERS}/{strange}", None),
        ("PUT", f"{MEMBERS}/{strange}/deactivate", None),
        ("DELETE", f"/user_management/redirect_uris/{strange}", None),
    ):
        if len(strange) > 20_000 or (text in (".", "..") and "%" not in strange):
            continue  # clients fold these away before they send them
        refused(app.call(method, path, body), 400, 404, 405, 422)


@pytest.mark.parametrize("text", ["%ff", "%ed%a0%80", "%c0%80", "%", "%zz", "%u0000", "%F0%9F%98%80"])
def test_a_path_that_is_no_text_is_one_that_nobody_has(app: App, text: str) -> None:
    for path in (f"/data-integrations/{text}", f"/user_management/users/{text}/connected_accounts/{SLUG}"):
        status, body = over_a_socket(app, f"GET {path} HTTP/1.1", b"")
        assert status in (400, 404, 422)
        assert isinstance(body["message"], str)


@pytest.mark.parametrize("char", ["\x01", "\x1f", "\x7f", "\u202e", "\u2028", "😀", "\ufeff", "e\u0301"])
@pytest.mark.usefixtures("changes")
def test_odd_but_valid_characters_come_back_as_they_were(app: App, char: str) -> None:
    """What JSON and both engines can hold is the caller's business: ids are opaque here."""
    user = f"{anyone()}{char}"
    path = f"/user_management/users/{quote(user, safe='')}/connected_accounts/sandbox"
    body = {"access_token": "a-token", "account_display_name": f"label {char}"}
    made = app.call("POST", path, body)
    try:
        assert made.status_code in (201, 400, 422), made.text
        if made.status_code == 201:
            assert app.call("GET", path).json()["user_id"] == user
            assert made.json()["account_display_name"] == f"label {char}"
            assert app.token(user, "sandbox")["active"] is True
    finally:
        app.call("DELETE", path)


@pytest.mark.parametrize("length", [256, 257, 300, 5000])
@pytest.mark.usefixtures("changes")
def test_a_user_id_of_256_characters_is_the_longest(app: App, length: int) -> None:
    user = "u" * length
    reply = app.call("POST", TOKEN, {"user_id": user})
    path = f"/user_management/users/{user}/connected_accounts/sandbox"
    try:
        if length <= 256:
            assert reply.json() == {"active": False, "error": "not_installed"}
            assert app.call("POST", path, {"access_token": "a-token"}).status_code == 201
        else:
            refused(reply, 422)
            refused(app.call("POST", path, {"access_token": "a-token"}), 422)
    finally:
        app.call("DELETE", path)


# Queries


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=1.5",
        "limit=ten",
        "limit=",
        "limit=" + "9" * 400,
        "limit=10&limit=x",
        "order=sideways",
        "order=",
        "after=x",
        "after=",
        "before=%00",
        "after=we_",
        "after=we_01ARZ3NDEKTSV4RRFFQ69G5FA",
        "after=event_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "after=we_01arz3ndektsv4rrffq69g5fav",
        "after=we_01ARZ3NDEKTSV4RRFFQ69G5FAV&before=we_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "after=' OR 1=1 --",
        "%ff=1&limit=%ff",
        "&".join(f"a{number}=1" for number in range(200)),
    ],
)
def test_a_query_against_the_rules_isrefused(app: App, query: str) -> None:
    refused(app.call("GET", f"{HOOKS}?{query}"), 400, 422)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "events=",
        "events=nonsense",
        "events=x%00",
        "events=pipes.connected_account.connected&range_start=yesterday",
        "events=pipes.connected_account.connected&range_end=2024-01-01",
        "events=pipes.connected_account.connected&organization_id=%00",
    ],
)
def test_a_query_for_events_against_the_rules_isrefused(app: App, query: str) -> None:
    refused(app.call("GET", f"/events?{query}"), 400, 422)


def test_of_a_repeated_parameter_the_last_counts_and_unknown_ones_do_not(app: App) -> None:
    assert app.call("GET", f"{HOOKS}?limit=1&limit=2&nobody=knows").status_code == 200


# Methods and paths


def test_an_unknown_path_is_404_in_the_same_shape(app: App) -> None:
    for path in ("/", "/nothing", "/data-integrations/a/b/c/d", "//data-integrations//x", "/openapi.json/x", "/.env"):
        for method in ("GET", "POST", "DELETE"):
            assert refused(app.call(method, path), 404)["code"] == "entity_not_found"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", "/data-integrations"),
        ("DELETE", "/data-integrations"),
        ("GET", "/data-integrations/finish/token"),
        ("PUT", TOKEN),
        ("POST", "/events"),
        ("TRACE", "/data-integrations"),
        ("PROPFIND", "/data-integrations"),
        ("GET", "/user_management/organization_memberships/om_x/deactivate"),
    ],
)
def test_a_wrong_method_is_405(app: App, method: str, path: str) -> None:
    assert refused(app.call(method, path), 405)["code"] == "method_not_allowed"


@pytest.mark.usefixtures("changes")
def test_an_idempotency_key_that_is_too_long_or_used_for_something_else_isrefused(app: App) -> None:
    path = "/user_management/users/idempotent/connected_accounts/sandbox"
    try:
        refused(app.call("POST", path, {"access_token": "a"}, headers={"idempotency-key": "k" * 256}), 400)
        key = {"idempotency-key": anyone()}
        assert app.call("POST", path, {"access_token": "a-token"}, headers=key).status_code == 201
        again = refused(app.call("POST", path, {"access_token": "other"}, headers=key), 409)
        assert again["code"] == "idempotency_key_conflict"
    finally:
        app.call("DELETE", path)
