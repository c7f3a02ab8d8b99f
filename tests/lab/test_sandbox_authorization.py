"""From the consent page to the first tokens."""

import base64
import re

import pytest

from holdfast.oauth2 import pkce

from .sandbox_driver import ADA, BASE, CALLBACK, Lab, landed


@pytest.fixture
def lab() -> Lab:
    return Lab()


def test_consent_ends_in_a_code_with_state_and_issuer_and_the_code_in_tokens(lab: Lab) -> None:
    query = landed(lab.press(lab.ask()))
    assert query["state"] == "st-1&="
    assert query["iss"] == BASE
    reply = lab.redeem(query["code"])
    body = reply.json()
    assert reply.headers["cache-control"] == "no-store"
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 3600)
    assert set(body["scope"].split()) == {"profile", "read", "write", "offline"}
    me = lab.api(body["access_token"], "/userinfo").json()
    assert me["email"] == ADA


def test_the_page_offers_three_people_and_every_one_keeps_their_sub(lab: Lab) -> None:
    page = lab.ask()
    people = re.findall(r'type="radio" name="person" value="([^"]+)"', page.text)
    assert len(people) == len(set(people)) == 3
    again = [re.findall(r'name="person" value="([^"]+)"', Lab().ask().text), people]
    assert again[0] == again[1]
    query = landed(lab.press(page, person=people[2]))
    token = lab.redeem(query["code"]).json()["access_token"]
    assert lab.api(token, "/userinfo").json()["sub"] == people[2]


def test_the_first_button_allows(lab: Lab) -> None:
    assert re.findall(r'<button[^>]*name="decision" value="(\w+)"', lab.ask().text) == ["allow", "deny"]


def test_the_consent_form_may_lead_anywhere_and_the_page_runs_no_script(lab: Lab) -> None:
    policy = lab.ask().headers["content-security-policy"]
    assert "form-action" not in policy
    assert "default-src 'none'" in policy
    assert "script" not in policy


def test_who_says_no_goes_back_with_access_denied(lab: Lab) -> None:
    query = landed(lab.press(lab.ask(), "deny"))
    assert (query["error"], query["state"], query["iss"]) == ("access_denied", "st-1&=", BASE)
    assert "code" not in query


def test_an_unticked_scope_is_not_granted(lab: Lab) -> None:
    query = landed(lab.press(lab.ask(), untick="write"))
    body = lab.redeem(query["code"]).json()
    assert set(body["scope"].split()) == {"profile", "read", "offline"}
    assert lab.api(body["access_token"], "/api/echo").status_code == 200
    refused = lab.api(body["access_token"], "/api/echo", "POST")
    assert refused.status_code == 403
    assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]


def test_without_the_offline_scope_there_is_no_refresh_token(lab: Lab) -> None:
    assert "refresh_token" not in lab.connect(scope="profile read")


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "somebody"},
        {"client_id": None},
        {"redirect_uri": None},
        {"redirect_uri": "https://elsewhere.example/callback"},
        {"redirect_uri": "http://localhost.elsewhere.example/"},
        {"redirect_uri": "http://localhost@elsewhere.example/"},
        {"redirect_uri": "http://localhost/#fragment"},
        {"redirect_uri": "javascript:alert(1)"},
    ],
)
def test_a_request_of_doubtful_origin_is_explained_and_not_redirected(lab: Lab, changes: dict[str, str | None]) -> None:
    reply = lab.ask(**changes)
    assert reply.status_code == 400
    assert "location" not in reply.headers


@pytest.mark.parametrize("uri", ["http://127.0.0.1:1/cb", "http://[::1]:2/cb", "https://localhost/cb?x=1"])
def test_every_port_of_the_loopback_may_be_redirected_to(lab: Lab, uri: str) -> None:
    reply = lab.press(lab.ask(redirect_uri=uri))
    assert reply.headers["location"].startswith(uri + ("&" if "?" in uri else "?"))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "read everything"}, "invalid_scope"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
    ],
)
def test_a_faulty_request_goes_back_to_the_app(lab: Lab, changes: dict[str, str], error: str) -> None:
    query = landed(lab.ask(**changes))
    assert (query["error"], query["iss"], query["state"]) == (error, BASE, "st-1&=")


def test_a_wrong_or_missing_verifier_is_refused(lab: Lab) -> None:
    code = lab.code()
    wrong = lab.redeem(code, code_verifier=pkce.new_verifier().reveal())
    missing = lab.token(grant_type="authorization_code", code=code, redirect_uri=CALLBACK)
    assert [wrong.json()["error"], missing.json()["error"]] == ["invalid_grant"] * 2
    assert lab.redeem(code).status_code == 200


def test_a_verifier_for_a_code_without_challenge_is_refused(lab: Lab) -> None:
    code = lab.code(code_challenge=None, code_challenge_method=None)
    assert lab.redeem(code).json()["error"] == "invalid_grant"
    plain = lab.token(grant_type="authorization_code", code=code, redirect_uri=CALLBACK)
    assert plain.status_code == 200


def test_a_code_used_twice_ends_what_it_gave(lab: Lab) -> None:
    code = lab.code()
    tokens = lab.redeem(code).json()
    assert lab.redeem(code).json()["error"] == "invalid_grant"
    assert lab.api(tokens["access_token"]).status_code == 401
    assert lab.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_code_is_refused_late_and_for_another_redirect_uri(lab: Lab) -> None:
    code = lab.code()
    assert lab.redeem(code, redirect_uri=CALLBACK + "2").json()["error"] == "invalid_grant"
    lab.clock.advance(61)
    assert lab.redeem(code).json()["error"] == "invalid_grant"


def test_a_secret_that_was_not_form_encoded_is_refused(lab: Lab) -> None:
    secret = lab.sandbox.client_secret.reveal()
    assert set("+/=&%:") <= set(secret)
    raw = base64.b64encode(f"{lab.sandbox.client_id}:{secret}".encode()).decode()
    reply = lab.http.post(
        f"{BASE}/token", data={"grant_type": "client_credentials"}, headers={"authorization": f"Basic {raw}"}
    )
    assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client")
    assert reply.headers["www-authenticate"].startswith("Basic")


def test_the_client_may_authenticate_in_the_body_and_not_twice(lab: Lab) -> None:
    form = {
        "grant_type": "client_credentials",
        "client_id": lab.sandbox.client_id,
        "client_secret": lab.sandbox.client_secret.reveal(),
    }
    assert lab.http.post(f"{BASE}/token", data=form).status_code == 200
    twice = lab.token(**form)
    assert (twice.status_code, twice.json()["error"]) == (400, "invalid_request")


def test_no_client_and_an_unknown_grant_type_are_refused(lab: Lab) -> None:
    assert lab.http.post(f"{BASE}/token", data={"grant_type": "refresh_token"}).status_code == 401
    assert lab.token(grant_type="password").json()["error"] == "unsupported_grant_type"


def test_an_added_client_gets_tokens_in_its_own_name_alone(lab: Lab) -> None:
    own = {"client_id": "robot", "client_secret": "r0b0t-secret"}
    assert lab.http.post(f"{BASE}/token", data={**own, "grant_type": "client_credentials"}).status_code == 401
    assert lab.control("clients", own).status_code == 200
    reply = lab.http.post(f"{BASE}/token", data={**own, "grant_type": "client_credentials", "scope": "read"}).json()
    assert "refresh_token" not in reply
    assert lab.api(reply["access_token"], "/api/echo").status_code == 200
    stolen = lab.connect()["refresh_token"]
    refused = lab.http.post(f"{BASE}/token", data={**own, "grant_type": "refresh_token", "refresh_token": stolen})
    assert refused.json()["error"] == "unauthorized_client"
    lab.http.post(f"{BASE}/revoke", data={**own, "token": stolen})
    assert lab.refresh(stolen).status_code == 200
