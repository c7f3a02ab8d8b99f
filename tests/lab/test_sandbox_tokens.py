"""Refreshing, using and ending tokens."""

import pytest

from .sandbox_driver import BASE, Lab


@pytest.fixture
def lab() -> Lab:
    return Lab()


def test_a_refresh_gives_a_new_pair(lab: Lab) -> None:
    first = lab.connect()
    second = lab.refresh(first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert lab.api(second["access_token"]).status_code == 200
    assert lab.refresh(second["refresh_token"]).status_code == 200
    assert lab.sandbox.counters()["refresh_token"] == 2
    assert lab.sandbox.counters()["authorization_code"] == 1
    assert lab.sandbox.counters()["refresh_replays"] == 0


def test_reuse_of_a_refresh_token_ends_the_whole_family(lab: Lab) -> None:
    first = lab.connect()
    second = lab.refresh(first["refresh_token"]).json()
    assert lab.refresh(first["refresh_token"]).json()["error"] == "invalid_grant"
    assert lab.refresh(second["refresh_token"]).json()["error"] == "invalid_grant"
    assert lab.api(second["access_token"]).status_code == 401
    assert lab.sandbox.counters()["refresh_replays"] == 1


def test_within_the_grace_a_used_refresh_token_works_and_after_it_kills(lab: Lab) -> None:
    lab.control("switches", {"reuse_grace": 30})
    first = lab.connect()
    assert lab.refresh(first["refresh_token"]).status_code == 200
    lab.clock.advance(29)
    again = lab.refresh(first["refresh_token"])
    assert again.status_code == 200
    assert lab.sandbox.counters()["refresh_replays"] == 1
    lab.clock.advance(2)
    assert lab.refresh(first["refresh_token"]).json()["error"] == "invalid_grant"
    assert lab.refresh(again.json()["refresh_token"]).json()["error"] == "invalid_grant"


def test_without_rotation_the_refresh_token_stays_good(lab: Lab) -> None:
    lab.control("switches", {"rotation": "none"})
    token = lab.connect()["refresh_token"]
    for _ in range(3):
        reply = lab.refresh(token)
        assert reply.status_code == 200
        assert reply.json().get("refresh_token", token) == token


def test_a_refresh_can_narrow_the_scopes_and_not_widen_them(lab: Lab) -> None:
    first = lab.connect(scope="read offline")
    assert lab.refresh(first["refresh_token"], scope="read write").json()["error"] == "invalid_scope"
    assert lab.refresh(first["refresh_token"], scope="read").json()["scope"] == "read"


def test_an_access_token_ends_after_its_hour(lab: Lab) -> None:
    token = lab.connect()["access_token"]
    lab.clock.advance(3599)
    assert lab.api(token).status_code == 200
    lab.clock.advance(1)
    reply = lab.api(token)
    assert reply.status_code == 401
    assert 'error="invalid_token"' in reply.headers["www-authenticate"]


def test_a_call_without_a_token_is_challenged_without_an_error(lab: Lab) -> None:
    reply = lab.http.get(f"{BASE}/api/me")
    assert reply.status_code == 401
    assert reply.headers["www-authenticate"] == 'Bearer realm="sandbox"'


def test_echo_repeats_the_request_without_the_credential(lab: Lab) -> None:
    token = lab.connect()["access_token"]
    reply = lab.api(token, "/api/echo?a=1&a=2", "POST", content=b"hello")
    assert reply.json()["query"] == [["a", "1"], ["a", "2"]]
    assert reply.json()["body"] == "hello"
    assert token not in reply.text


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
def test_a_revoked_refresh_token_takes_the_grant_along_and_an_access_token_goes_alone(lab: Lab, which: str) -> None:
    tokens = lab.connect()
    reply = lab.http.post(f"{BASE}/revoke", data={"token": tokens[which]}, headers={"authorization": lab.basic()})
    assert reply.status_code == 200
    assert lab.api(tokens["access_token"]).status_code == 401
    assert lab.refresh(tokens["refresh_token"]).status_code == (200 if which == "access_token" else 400)


def test_revoking_an_unknown_token_succeeds_and_needs_a_client(lab: Lab) -> None:
    unknown = {"token": "never-was"}
    known = lab.http.post(f"{BASE}/revoke", data=unknown, headers={"authorization": lab.basic()})
    assert known.status_code == 200
    assert lab.http.post(f"{BASE}/revoke", data=unknown).status_code == 401
