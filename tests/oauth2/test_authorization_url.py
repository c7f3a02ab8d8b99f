from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest

from holdfast.errors import Invalid, Misconfigured
from holdfast.oauth2 import Dialect, authorization_url

BASE: dict[str, Any] = {
    "authorize_url": "https://p.example/authorize",
    "token_url": "https://p.example/token",
}


def url(dialect: dict[str, Any] | None = None, **more: Any) -> str:
    given = {
        "client_id": "app",
        "redirect_uri": "https://us.example/callback/x",
        "scopes": ["read", "write"],
        "state": "st",
        "code_challenge": "ch",
    }
    return authorization_url(msgspec.convert(BASE | (dialect or {}), Dialect), **(given | more))


def query(text: str) -> dict[str, str]:
    pairs = parse_qsl(urlsplit(text).query, keep_blank_values=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def test_the_plain_url_is_that_of_the_rfcs() -> None:
    assert query(url()) == {
        "response_type": "code",
        "client_id": "app",
        "redirect_uri": "https://us.example/callback/x",
        "scope": "read write",
        "state": "st",
        "code_challenge": "ch",
        "code_challenge_method": "S256",
    }
    assert "scope=read%20write" in url()


def test_scopes_are_joined_and_sorted_into_the_parameters_the_provider_has() -> None:
    slack = {"scope_separator": ",", "extra_scope_params": {"user_scope": ","}}
    asked = query(url(slack, scopes=["chat:write", "user_scope:search:read", "users:read", "user_scope:im:read"]))
    assert (asked["scope"], asked["user_scope"]) == ("chat:write,users:read", "search:read,im:read")
    only = query(url(slack, scopes=["user_scope:search:read"]))
    assert "scope" not in only
    assert query(url(scopes=["user_scope:x", "a", "a"]))["scope"] == "user_scope:x a"


def test_no_scope_is_sent_where_the_app_fixes_them_or_none_is_asked_for() -> None:
    assert "scope" not in query(url({"scopes_fixed_by_app": True}))
    assert "scope" not in query(url(scopes=[]))
    with pytest.raises(Misconfigured):
        url({"scopes_required": True}, scopes=[])


def test_no_challenge_goes_to_a_provider_that_must_not_see_one() -> None:
    assert not query(url({"pkce": "omit"})).keys() & {"code_challenge", "code_challenge_method"}


@pytest.mark.parametrize("pkce", ["required", "supported"])
def test_a_challenge_cannot_be_forgotten_where_the_provider_takes_one(pkce: str) -> None:
    with pytest.raises(ValueError, match="PKCE"):
        url({"pkce": pkce}, code_challenge=None)


def test_further_parameters_are_the_entrys_and_the_callers() -> None:
    asked = query(
        url(
            {"authorize_params": {"prompt": "consent"}, "resource": "https://api.example/"},
            extra={"hd": "a b"},
        )
    )
    assert (asked["prompt"], asked["resource"], asked["hd"]) == ("consent", "https://api.example/", "a b")


@pytest.mark.parametrize(
    "name", ["state", "redirect_uri", "client_id", "code_challenge", "response_type", "client_key"]
)
def test_a_caller_cannot_replace_what_binds_the_answer_to_the_attempt(name: str) -> None:
    with pytest.raises(Invalid, match=name):
        url({"rename": {"client_id": "client_key"}}, extra={name: "evil"})


def test_renamed_parameters_replace_the_standard_ones() -> None:
    asked = query(url({"rename": {"client_id": "client_key", "redirect_uri": "redirect_url"}}))
    assert (asked["client_key"], asked["redirect_url"]) == ("app", "https://us.example/callback/x")
    assert not asked.keys() & {"client_id", "redirect_uri"}


def test_a_stand_in_for_the_redirect_uri_is_used_and_demanded() -> None:
    ebay = {"redirect_uri_is": "runame"}
    assert query(url(ebay, redirect_value="Acme-Acme-PRD"))["redirect_uri"] == "Acme-Acme-PRD"
    with pytest.raises(Misconfigured, match="runame"):
        url(ebay)


def test_a_query_of_the_endpoints_own_is_kept() -> None:
    assert url({"authorize_url": "https://p.example/authorize?v=2"}).startswith("https://p.example/authorize?v=2&resp")
    assert url({"authorize_url": "https://p.example/authorize?"}).startswith("https://p.example/authorize?resp")


def test_a_route_in_the_fragment_gets_its_query_there() -> None:
    apollo = {"authorize_url": "https://p.example/#/oauth/authorize", "authorize_query_in_fragment": True}
    assert url(apollo).startswith("https://p.example/#/oauth/authorize?response_type=code&client_id=app&")


def test_without_an_endpoint_the_entry_is_to_blame() -> None:
    with pytest.raises(Misconfigured):
        url({"authorize_url": None})
