"""What providers answer to a revocation, and what is made of it: RFC 7009 and the entries of the catalogue."""

import json
from typing import Any

import pytest

from holdfast.accounts.revocations import GIVE_UP_AFTER, Ended, Later, Order, Refused, Verdict, is_asked, judge, pause
from holdfast.http import Reply
from holdfast.oauth2.dialect import Dialect
from holdfast.providers.entry import Call, CallAuth, Provider, Revoke
from holdfast.providers.loader import load_catalog

NOW = 1_000_000.0
CATALOG = load_catalog({})
RFC_7009 = Provider(
    slug="acme",
    name="Acme",
    auth="oauth2",
    oauth2=Dialect(),
    revoke=Revoke(call=Call(url="https://acme.example/revoke", method="POST", auth=CallAuth(kind="client_basic"))),
)


def order(provider: Provider, **more: Any) -> Order:
    assert provider.revoke is not None
    return Order(revoke=provider.revoke, tokens=(("access_token", "t"),), lane="l", provider=provider, **more)


def judged(provider: Provider, status: int, body: Any = None, headers: dict[str, str] | None = None) -> Verdict:
    text = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    return judge(order(provider), "access_token", Reply(status, headers or {}, text), NOW)


def entry(slug: str) -> Provider:
    found = CATALOG.get(slug)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("slug", "status", "body", "expected"),
    [
        ("", 200, None, Ended(200)),
        ("", 200, b"OK", Ended(200)),
        ("", 204, None, Ended(204)),
        ("", 400, {"error": "invalid_token"}, Ended(400)),
        ("", 400, {"error": "unsupported_token_type"}, Refused("refused", 400)),
        ("", 400, b"<html>", Refused("refused", 400)),
        ("", 400, {"error": "invalid_client"}, Later("client_refused", 400)),
        ("", 401, {"error": "invalid_client"}, Later("client_refused", 401)),
        ("", 401, None, Later("client_refused", 401)),
        ("", 403, None, Refused("refused", 403)),
        ("", 404, None, Refused("refused", 404)),
        ("", 500, {"error": "invalid_token"}, Later("busy", 500)),
        ("", 503, None, Later("busy", 503)),
        ("", 302, None, Refused("refused", 302)),
        ("google", 200, {}, Ended(200)),
        ("google", 400, {"error": "invalid_token"}, Ended(400)),
        ("github", 204, None, Ended(204)),
        ("github", 404, {"message": "Not Found"}, Ended(404)),
        ("github", 401, {"message": "Bad credentials"}, Later("client_refused", 401)),
        ("slack", 200, {"ok": True, "revoked": True}, Ended(200)),
        ("slack", 200, {"ok": False, "error": "token_revoked"}, Ended(200)),
        ("slack", 200, {"ok": False, "error": "invalid_auth"}, Ended(200)),
        ("slack", 200, {"ok": False, "error": "missing_scope"}, Refused("refused", 200)),
        ("slack", 200, {"ok": False}, Refused("refused", 200)),
        ("linear", 401, None, Ended(401)),
        ("zendesk", 404, None, Ended(404)),
    ],
)
def test_a_reply_is_read_as_its_provider_means_it(slug: str, status: int, body: Any, expected: Verdict) -> None:
    assert judged(entry(slug) if slug else RFC_7009, status, body) == expected


def test_a_provider_that_is_busy_says_how_long() -> None:
    assert judged(RFC_7009, 429, headers={"retry-after": "120"}) == Later("busy", 429, 120.0)
    assert judged(RFC_7009, 429, headers={"retry-after": "Fri, 31 Dec 2027 23:59:59 GMT"}) == Later("busy", 429)


def test_an_expired_token_cannot_end_the_grant_behind_it() -> None:
    """Dropbox takes the access token alone. That one is over; what can renew it is not."""
    dropbox = order(entry("dropbox"), access_ends=NOW - 1)
    assert judge(dropbox, "access_token", Reply(401), NOW) == Refused("token_expired", 401)
    lives = order(entry("dropbox"), access_ends=NOW + 1)
    assert judge(lives, "access_token", Reply(401), NOW) == Ended(401)


@pytest.mark.parametrize("slug", [one.slug for one in CATALOG if one.revoke is not None])
def test_every_entry_with_a_way_says_what_it_takes(slug: str) -> None:
    revoke = entry(slug).revoke
    assert revoke is not None
    alone = revoke.kills in ("token", "grant")
    assert is_asked("usual", revoke, wire=True) is alone
    assert not is_asked("usual", revoke, wire=False)
    assert is_asked("always", revoke, wire=False)
    assert not is_asked("never", revoke, wire=True)


def test_the_tries_of_a_day_become_rarer() -> None:
    waits = [pause(attempt) for attempt in range(1, 30)]
    assert waits == sorted(waits)
    assert waits[0] == 5
    assert sum(waits) > GIVE_UP_AFTER
    assert pause(1, asked=600) == 600
    assert pause(1, asked=1e8) == 3600, "an endless request to wait does not outlast the day"
