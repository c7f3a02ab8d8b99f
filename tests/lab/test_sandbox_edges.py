"""The sandbox where requests are odd: doubled parameters, no scopes, failures after the fact, another address."""

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from holdfast.clock import FrozenClock
from holdfast.lab import Sandbox
from holdfast.lab.routes import routes

from .sandbox_driver import BASE, Lab, landed


@pytest.fixture
def lab() -> Lab:
    return Lab()


def test_a_failure_after_the_rotation_leaves_the_client_without_its_new_token(lab: Lab) -> None:
    token = lab.connect()["refresh_token"]
    lab.control("switches", {"fail_next": {"status": 502, "when": "after"}})
    failed = lab.refresh(token)
    assert (failed.status_code, "refresh_token" in failed.json()) == (502, False)
    assert lab.refresh(token).json()["error"] == "invalid_grant"


def test_a_refused_request_does_not_use_a_failure_after_the_fact_up(lab: Lab) -> None:
    token = lab.connect()["refresh_token"]
    lab.control("switches", {"fail_next": {"status": 502, "when": "after"}})
    assert lab.refresh("no-such-token").status_code == 400
    assert lab.refresh(token).status_code == 502


def test_a_failure_can_speak_as_a_provider_that_lost_the_client(lab: Lab) -> None:
    token = lab.connect()["refresh_token"]
    lab.control("switches", {"fail_next": {"status": 401, "error": "invalid_client"}})
    assert lab.refresh(token).json()["error"] == "invalid_client"
    assert lab.refresh(token).status_code == 200


def test_a_parameter_given_twice_is_refused_at_both_endpoints(lab: Lab) -> None:
    query = f"client_id={lab.sandbox.client_id}&response_type=code&redirect_uri=http://localhost/&state=a&state=b"
    assert lab.http.get(f"{BASE}/authorize?{query}").status_code == 400
    doubled = lab.http.post(
        f"{BASE}/token",
        content="grant_type=client_credentials&scope=read&scope=write",
        headers={"authorization": lab.basic(), "content-type": "application/x-www-form-urlencoded"},
    )
    assert (doubled.status_code, doubled.json()["error"]) == (400, "invalid_request")


def test_a_token_request_as_json_is_refused(lab: Lab) -> None:
    body = {"grant_type": "client_credentials"}
    reply = lab.http.post(f"{BASE}/token", json=body, headers={"authorization": lab.basic()})
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_request")


def test_a_scope_that_was_not_asked_for_cannot_be_ticked(lab: Lab) -> None:
    page = lab.ask(scope="read")
    fields = {"person": "usr_ada", "decision": "allow", "scope": ["read", "write"]}
    code = landed(lab.http.post(str(page.url), data=fields))["code"]
    assert lab.redeem(code).json()["scope"] == "read"


def test_without_profile_only_the_subject_is_told(lab: Lab) -> None:
    token = lab.connect(scope="read")["access_token"]
    assert lab.api(token, "/userinfo").json() == {"sub": "usr_ada"}


def test_writing_needs_the_scope_and_says_so(lab: Lab) -> None:
    token = lab.connect(scope="read")["access_token"]
    assert lab.api(token, "/api/echo/deep/path").json()["path"] == "/deep/path"
    refused = lab.api(token, "/api/echo", "POST")
    assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")
    assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]


def test_a_token_of_the_apps_own_is_no_person(lab: Lab) -> None:
    token = lab.token(grant_type="client_credentials", scope="read").json()["access_token"]
    assert lab.api(token).json()["subject"] is None
    assert lab.api(token, "/userinfo").status_code == 403


def test_the_answer_keeps_the_query_that_a_redirect_uri_has(lab: Lab) -> None:
    reply = lab.press(lab.ask(redirect_uri="http://localhost:3000/cb?tab=1"))
    assert reply.headers["location"].startswith("http://localhost:3000/cb?tab=1&code=")


def test_mounted_without_being_told_its_address_the_issuer_is_where_it_was_asked() -> None:
    served = Starlette(routes=[Mount("/lab/sandbox", routes=routes(Sandbox(FrozenClock())))])
    with TestClient(served, base_url="http://127.0.0.1:4000") as http:
        document = http.get("/lab/sandbox/.well-known/oauth-authorization-server").json()
    assert document["issuer"] == "http://127.0.0.1:4000/lab/sandbox"
    assert document["token_endpoint"] == "http://127.0.0.1:4000/lab/sandbox/token"
