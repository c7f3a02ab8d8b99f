"""What a token endpoint's "no" means, as a table; and what of its words may be shown."""

from typing import Any

import pytest

from holdfast.http import Reply
from holdfast.oauth2 import Dead, Dialect, TokenRefusal, parse_token_reply
from holdfast.secret import Secret

NOW = 1_790_000_000.0


def refuse(status: int, body: bytes, headers: dict[str, str] | None = None, **more: Any) -> TokenRefusal:
    reply = Reply(status, headers or {}, body)
    outcome = parse_token_reply(Dialect(), reply, now=NOW, requested_scopes=(), **more)
    assert isinstance(outcome, TokenRefusal)
    return outcome


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"error": "invalid_grant"}', "dead_grant"),
        (401, b'{"error": "invalid_grant"}', "dead_grant"),
        (403, b'{"error": "invalid_grant"}', "dead_grant"),
        (200, b'{"error": "invalid_grant"}', "dead_grant"),
        (400, b"error=invalid_grant", "dead_grant"),
        (400, b'{"error": {"code": "invalid_grant", "message": "gone"}}', "dead_grant"),
        (400, b'{"errors": [{"errorType": "invalid_grant"}]}', "dead_grant"),
        (400, b'{"error": "consent_required"}', "dead_grant"),
        (401, b'{"error": "invalid_client"}', "misconfigured"),
        (400, b'{"error": "unauthorized_client"}', "misconfigured"),
        (401, b"", "misconfigured"),
        (401, b"<html>no</html>", "misconfigured"),
        (401, b'{"code": 401, "message": "no"}', "misconfigured"),
        (429, b"", "throttled"),
        (429, b'{"error": "invalid_grant"}', "throttled"),
        (400, b'{"error": "slow_down"}', "throttled"),
        (500, b"", "transient"),
        (503, b'{"error": "invalid_grant"}', "transient"),
        (502, b'{"error": "invalid_client"}', "transient"),
        (408, b"", "transient"),
        (400, b'{"error": "temporarily_unavailable"}', "transient"),
        (400, b'{"error": "server_error"}', "transient"),
        (200, b"{}", "malformed"),
        (204, b"", "malformed"),
        (302, b"", "malformed"),
        (302, b'{"error": "moved"}', "malformed"),
        (400, b"", "refused"),
        (401, b'{"error": "something_else"}', "refused"),
        (404, b"<html>", "refused"),
        (400, b'{"error": "invalid_request"}', "refused"),
        (403, b'{"error": "access_denied"}', "refused"),
        (200, b'{"error": "bad_verification_code"}', "refused"),
    ],
)
def test_a_status_and_a_code_have_one_meaning(status: int, body: bytes, kind: str) -> None:
    assert refuse(status, body).kind == kind


def dead(**rule: Any) -> tuple[Dead, ...]:
    return (Dead(**({"at": "token"} | rule)),)


@pytest.mark.parametrize(
    ("rule", "status", "body", "kind"),
    [
        (dead(status=400, values=("invalid_request",)), 400, b'{"error": "invalid_request"}', "dead_grant"),
        (dead(status=400, values=("invalid_request",)), 422, b'{"error": "invalid_request"}', "refused"),
        (dead(status=500, values=("expired",)), 500, b'{"error": "expired"}', "dead_grant"),
        (dead(values=("expired",)), 500, b'{"error": "expired"}', "transient"),
        (dead(values=("expired",)), 418, b'{"error": "expired"}', "dead_grant"),
        (dead(status=403), 403, b"", "dead_grant"),
        (dead(), 403, b"", "refused"),
        (dead(field="status", values=("BAD",)), 400, b'{"error": "x", "status": "BAD"}', "dead_grant"),
        (dead(field="error.code", values=("190",)), 400, b'{"error": {"code": 190}}', "dead_grant"),
        (
            dead(values=("invalid_client",), means="reconnect"),
            401,
            b'{"error": "invalid_client"}',
            "dead_grant",
        ),
        (dead(values=("suspended",), means="misconfigured"), 400, b'{"error": "suspended"}', "misconfigured"),
        (dead(values=("invalid_grant",), means="retry"), 400, b'{"error": "invalid_grant"}', "transient"),
        (dead(at="api", status=400, values=("gone",)), 400, b'{"error": "gone"}', "refused"),
    ],
)
def test_the_providers_own_rules_come_first(rule: tuple[Dead, ...], status: int, body: bytes, kind: str) -> None:
    assert refuse(status, body, dead=rule).kind == kind


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("-5", 0.0),
        ("1.5", 1.5),
        ("999999999", 86400.0),
        ("Mon, 21 Sep 2026 14:14:20 GMT", 60.0),
        ("Mon, 21 Sep 2020 14:14:20 GMT", 0.0),
        ("soon", None),
        ("nan", None),
        ("", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_a_date(header: str, seconds: float | None) -> None:
    assert refuse(429, b"", {"retry-after": header}).retry_after == seconds


def test_a_secret_that_the_provider_echoes_is_not_repeated() -> None:
    secret = Secret("s3cret/+value")
    for echo in ("s3cret/+value", "s3cret%2F%2Bvalue", "s3cret\\u0000/+value", "s3cret\\u200b/+value"):
        body = f'{{"error": "bad s3cret/+value", "error_description": "no such token: {echo}!"}}'.encode()
        refusal = refuse(400, body, known=(secret,))
        assert refusal.description == "no such token: <sealed>!"
        assert refusal.error == "bad <sealed>"


def test_a_providers_words_lose_control_characters_and_are_cut() -> None:
    body = b'{"error": "x", "error_description": "one\\r\\ntwo\\u202ethree\\u0000\\ud800 ' + b"z" * 5000 + b'"}'
    description = refuse(400, body).description
    assert description.startswith("one twothree zzz")
    assert len(description) == 300


def test_an_error_page_is_not_quoted() -> None:
    refusal = refuse(502, b"<html><script>alert(1)</script></html>")
    assert (refusal.error, refusal.description) == ("http_502", "")
