"""RFC 7662: the question, and what can be read from an answer."""

from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest

from holdfast.errors import Misconfigured
from holdfast.http import Reply
from holdfast.oauth2 import Client, Dialect, introspection_request, read_introspection
from holdfast.secret import Secret

NOW = 1_790_000_000.0
AT = "https://p.example/introspect"
CLIENT = Client("app:1", Secret("s%cret"))
TOKEN = Secret("the-access-token")


def dialect(**fields: Any) -> Dialect:
    return msgspec.convert({"token_url": "https://p.example/token", "introspect_url": AT} | fields, Dialect)


@pytest.mark.parametrize(
    ("fields", "body", "headers"),
    [
        ({"client_auth": "client_secret_basic"}, {}, {"Authorization": "Basic YXBwJTNBMTpzJTI1Y3JldA=="}),
        ({"client_auth": "client_secret_post"}, {"client_id": "app:1", "client_secret": "s%cret"}, {}),
        (
            {"client_auth": "client_secret_post", "rename": {"client_id": "client_key"}},
            {"client_key": "app:1", "client_secret": "s%cret"},
            {},
        ),
        # Whatever token requests look like, this one is of RFC 7662: a form that is posted.
        ({"method": "GET", "body": "json"}, {"client_id": "app:1", "client_secret": "s%cret"}, {}),
    ],
)
def test_the_question_is_posted_by_the_client_as_it_proves_itself_for_tokens(
    fields: dict[str, Any], body: dict[str, str], headers: dict[str, str]
) -> None:
    request = introspection_request(dialect(**fields), CLIENT, token=TOKEN, now=NOW)
    assert (request.method, request.url) == ("POST", AT)
    assert dict(parse_qsl((request.body or b"").decode())) == {
        "token": "the-access-token",
        "token_type_hint": "access_token",
        **body,
    }
    kind = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
    assert dict(request.headers) == kind | headers
    assert "the-access-token" not in repr(request)


def test_there_is_no_question_without_an_endpoint() -> None:
    with pytest.raises(Misconfigured, match="introspection"):
        introspection_request(dialect(introspect_url=None), CLIENT, token=TOKEN, now=NOW)


@pytest.mark.parametrize(
    ("body", "ends"),
    [
        ('{"active": true, "exp": 1790000900}', NOW + 900),
        ('{"active": true, "exp": 1790000900.5, "scope": "read"}', NOW + 900.5),
        ('{"active": true, "exp": "1790000900"}', NOW + 900),
        ('{"active": true}', None),  # `exp` is optional
        ('{"active": true, "exp": null}', None),
        ('{"active": true, "exp": "soon"}', None),
        ('{"active": true, "exp": true}', None),
        ('{"active": true, "exp": [1790000900]}', None),
        ('{"active": true, "exp": NaN}', None),
        ('{"active": true, "exp": 1789999999}', None),  # past: it came just now
        ('{"active": true, "exp": 1790000000}', None),
        ('{"active": true, "exp": 0}', None),
        ('{"active": true, "exp": -1}', None),
        ('{"active": true, "exp": 1790000900000}', None),  # milliseconds
        ('{"active": false, "exp": 1790000900}', None),
        ('{"active": "true", "exp": 1790000900}', None),
        ('{"active": 1, "exp": 1790000900}', None),
        ('{"exp": 1790000900}', None),
        ('[{"active": true, "exp": 1790000900}]', None),
        ("true", None),
        ("<html>", None),
        ("", None),
    ],
)
def test_an_answer_is_believed_where_it_is_plain(body: str, ends: float | None) -> None:
    assert read_introspection(Reply(200, {"content-type": "application/json"}, body.encode()), now=NOW) == ends


@pytest.mark.parametrize("status", [201, 302, 400, 401, 403, 404, 429, 500, 503])
def test_no_other_status_is_an_answer(status: int) -> None:
    said = b'{"active": true, "exp": 1790000900}'
    assert read_introspection(Reply(status, {}, said), now=NOW) is None
