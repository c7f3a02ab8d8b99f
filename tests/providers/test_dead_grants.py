"""Every way in which a vendor is known to say that a grant is dead, as its own entry and as a provider that was defined
through the API, where there are no rules but those for all."""

import pytest

from holdfast.http import Reply
from holdfast.oauth2 import Dialect, TokenRefusal, parse_token_reply
from holdfast.providers.loader import load_catalog

CATALOG = load_catalog()

WAYS: list[tuple[str, int, str]] = [
    ("google", 400, '{"error": "invalid_grant"}'),
    ("atlassian", 403, '{"error": "invalid_grant"}'),
    ("atlassian", 403, '{"error": "unauthorized_client", "error_description": "refresh_token is invalid"}'),
    ("freshbooks", 401, '{"error": "invalid_grant"}'),
    ("x", 400, '{"error": "invalid_request", "error_description": "Value passed for the token was invalid."}'),
    ("shopify", 400, '{"error": "invalid_request"}'),
    ("github", 200, "error=bad_refresh_token&error_description=The+refresh+token+passed+is+incorrect+or+expired."),
    ("github-app", 200, '{"error": "bad_refresh_token"}'),
    ("hubspot", 400, '{"error": "invalid_grant", "status": "BAD_REFRESH_TOKEN"}'),
    ("hubspot", 400, '{"status": "BAD_REFRESH_TOKEN", "message": "missing or invalid refresh token"}'),
    ("slack", 200, '{"ok": false, "error": "invalid_refresh_token"}'),
    ("slack", 200, '{"ok": false, "error": "token_revoked"}'),
    ("slack", 200, '{"ok": false, "error": "account_inactive"}'),
    ("slack", 200, '{"ok": false, "error": "invalid_auth"}'),
    ("zoho", 200, '{"error": "invalid_code"}'),
    ("microsoft", 400, '{"error": "invalid_grant", "error_codes": [700082]}'),
    ("outlook", 400, '{"error": "interaction_required", "error_codes": [50076]}'),
    ("onedrive", 400, '{"error": "consent_required", "error_codes": [65001]}'),
    ("facebook", 400, '{"error": {"message": "Changed.", "type": "OAuthException", "code": 190}}'),
    ("twitch", 400, '{"status": 400, "message": "Invalid refresh token"}'),
    ("twitch", 400, '{"error": "Bad Request", "status": 400, "message": "Invalid refresh token"}'),
    ("salesforce", 400, '{"error": "inactive_user"}'),
]
# What these mean elsewhere is anything, so only their own entries say it.
OWN = {"unauthorized_client", "invalid_request", "invalid_auth"}


def _kind(slug: str, status: int, body: str) -> str:
    entry = CATALOG.get(slug)
    outcome = parse_token_reply(
        (entry.oauth2 if entry else None) or Dialect(),
        Reply(status, {}, body.encode()),
        now=0,
        requested_scopes=(),
        dead=entry.dead if entry else (),
    )
    assert isinstance(outcome, TokenRefusal)
    return outcome.kind


@pytest.mark.parametrize(("slug", "status", "body"), WAYS)
def test_a_vendors_way_to_say_that_a_grant_is_dead_is_understood(slug: str, status: int, body: str) -> None:
    assert _kind(slug, status, body) == "dead_grant"


@pytest.mark.parametrize(("slug", "status", "body"), WAYS)
def test_so_it_is_of_a_provider_that_nobody_has_described(slug: str, status: int, body: str) -> None:
    expected = "dead_grant" if not any(f'"{code}"' in body for code in OWN) else None
    found = _kind("one that is defined through the API", status, body)
    assert found == expected if expected else found in ("refused", "misconfigured")


@pytest.mark.parametrize("slug", ["google", "slack", "github", "microsoft", "hubspot", "salesforce", "own"])
@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (503, '{"error": "invalid_refresh_token", "status": "BAD_REFRESH_TOKEN"}', "transient"),
        (429, '{"error": "bad_refresh_token"}', "throttled"),
        (400, '{"error": "temporarily_unavailable"}', "transient"),
        (401, '{"error": "invalid_client"}', "misconfigured"),
    ],
)
def test_trouble_that_passes_and_the_operators_own_are_no_dead_grant(
    slug: str, status: int, body: str, kind: str
) -> None:
    assert _kind(slug, status, body) == kind
