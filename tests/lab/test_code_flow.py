"""RFC 6749, 7636 and 9207 at the sandbox: what a correct app gets, and what an incorrect one is told."""

import base64

import pytest

from holdfast.oauth2 import pkce
from tests.lab.app import ALL_SCOPES, CALLBACK, App, brought_back, error_of


async def test_a_code_is_swapped_for_tokens_that_open_the_api(app: App) -> None:
    tokens = await app.connect(as_person="usr_grace")
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 3600
    assert tokens["scope"].split() == list(ALL_SCOPES)
    me = (await app.call(tokens["access_token"])).json()
    assert me["subject"] == "usr_grace"
    userinfo = (await app.call(tokens["access_token"], "/userinfo")).json()
    assert (userinfo["sub"], userinfo["name"]) == ("usr_grace", "Grace Okonedo")
    assert "@" in userinfo["email"]


async def test_state_is_echoed_and_every_answer_names_its_issuer(app: App) -> None:
    for decision in ("allow", "deny"):
        landed = await app.answer(decision=decision)
        assert landed["state"] == "st/ate+1"
        assert landed["iss"] == app.base


async def test_a_person_who_denies_sends_back_an_error_and_no_code(app: App) -> None:
    landed = await app.answer(decision="deny")
    assert landed["error"] == "access_denied"
    assert "code" not in landed


async def test_only_what_was_ticked_is_granted(app: App) -> None:
    tokens = await app.connect(ticked=["read"])
    assert tokens["scope"] == "read"
    assert "refresh_token" not in tokens
    assert (await app.call(tokens["access_token"], "/userinfo")).json() == {"sub": "usr_ada"}
    assert (await app.call(tokens["access_token"], "/api/echo")).status_code == 200
    refused = await app.call(tokens["access_token"], "/api/echo", "POST")
    assert error_of(refused) == (403, "insufficient_scope")


async def test_a_scope_that_was_not_asked_for_cannot_be_ticked(app: App) -> None:
    landed = await app.answer(scope="read", ticked=["read", "write"])
    tokens = (await app.exchange(landed["code"])).json()
    assert tokens["scope"] == "read"


@pytest.mark.parametrize(
    "params",
    [
        {"client_id": "someone-else"},
        {"redirect_uri": "https://evil.example/callback"},
        {"redirect_uri": "http://localhost:1@evil.example/"},
        {"redirect_uri": "http://localhost:3000/#fragment"},
        {"redirect_uri": "http://localhost\\@evil.example/"},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": "http://[broken/"},
    ],
)
async def test_nothing_is_sent_to_an_address_in_doubt(app: App, params: dict[str, str]) -> None:
    for reply in (await app.open(**params), await app.web.post(f"{app.base}/authorize", params=params)):
        assert reply.status_code == 400
        assert "location" not in reply.headers


async def test_the_sandboxs_own_origin_may_be_redirected_to(app: App) -> None:
    own = f"{app.base.removesuffix('/lab/sandbox')}/callback"
    assert (await app.open(redirect_uri=own)).status_code == 200


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "read admin"}, "invalid_scope"),
        ({"code_challenge": "x" * 43, "code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "x" * 43}, "invalid_request"),
        ({"code_challenge": "short", "code_challenge_method": "S256"}, "invalid_request"),
    ],
)
async def test_a_faulty_request_comes_back_as_an_error(app: App, params: dict[str, str], error: str) -> None:
    landed = brought_back(await app.open(**params))
    assert landed["error"] == error
    assert landed["state"] == "st/ate+1"


async def test_a_parameter_given_twice_is_refused(app: App) -> None:
    reply = await app.web.get(f"{app.base}/authorize?client_id=a&client_id={app.sandbox.client_id}")
    assert reply.status_code == 400


@pytest.mark.parametrize("verifier", ["", "w" * 43])
async def test_a_code_asked_for_with_a_challenge_needs_its_verifier(app: App, verifier: str) -> None:
    challenge = pkce.s256(pkce.new_verifier())
    landed = await app.answer(code_challenge=challenge, code_challenge_method="S256")
    extra = {"code_verifier": verifier} if verifier else {}
    assert error_of(await app.exchange(landed["code"], **extra)) == (400, "invalid_grant")


async def test_a_verifier_without_a_challenge_is_a_downgrade_and_refused(app: App) -> None:
    landed = await app.answer()
    refused = await app.exchange(landed["code"], code_verifier=pkce.new_verifier().reveal())
    assert error_of(refused) == (400, "invalid_grant")


async def test_a_code_goes_with_the_very_redirect_uri_it_was_sent_to(app: App) -> None:
    landed = await app.answer()
    other = await app.exchange(landed["code"], redirect_uri=f"{CALLBACK}/")
    assert error_of(other) == (400, "invalid_grant")


async def test_a_code_used_twice_ends_what_it_first_gave(app: App) -> None:
    landed = await app.answer()
    tokens = (await app.exchange(landed["code"])).json()
    assert error_of(await app.exchange(landed["code"])) == (400, "invalid_grant")
    assert (await app.call(tokens["access_token"])).status_code == 401
    assert error_of(await app.refresh(tokens["refresh_token"])) == (400, "invalid_grant")


async def test_a_code_expires(app: App) -> None:
    landed = await app.answer()
    app.clock.advance(60)
    assert error_of(await app.exchange(landed["code"])) == (400, "invalid_grant")


async def test_the_secret_is_taken_in_the_body_too_but_not_twice(app: App) -> None:
    client = {"client_id": app.sandbox.client_id, "client_secret": app.sandbox.client_secret.reveal()}
    form = {"grant_type": "client_credentials", **client}
    assert (await app.web.post(f"{app.base}/token", data=form)).status_code == 200
    assert error_of(await app.token(**form)) == (400, "invalid_request")


async def test_a_basic_header_that_was_not_form_encoded_first_is_refused(app: App) -> None:
    secret = app.sandbox.client_secret.reveal()
    assert set("+/=&%:") <= set(secret)
    raw = base64.b64encode(f"{app.sandbox.client_id}:{secret}".encode()).decode()
    refused = await app.token(basic=f"Basic {raw}", grant_type="client_credentials")
    assert error_of(refused) == (401, "invalid_client")
    assert refused.headers["www-authenticate"].startswith("Basic")


@pytest.mark.parametrize("header", ["Bearer x", "Basic ***", "Basic " + base64.b64encode(b"nocolon").decode()])
async def test_a_client_that_does_not_authenticate_gets_nothing(app: App, header: str) -> None:
    assert error_of(await app.token(basic=header, grant_type="client_credentials")) == (401, "invalid_client")


async def test_an_app_may_have_a_token_of_its_own(app: App) -> None:
    reply = (await app.token(grant_type="client_credentials", scope="read write")).json()
    assert "refresh_token" not in reply
    assert (await app.call(reply["access_token"])).json()["subject"] is None
    assert error_of(await app.call(reply["access_token"], "/userinfo")) == (403, "insufficient_scope")
    beyond = await app.token(grant_type="client_credentials", scope="admin")
    assert error_of(beyond) == (400, "invalid_scope")


async def test_other_grant_types_and_bodies_are_refused(app: App) -> None:
    assert error_of(await app.token(grant_type="password")) == (400, "unsupported_grant_type")
    assert error_of(await app.token(scope="read")) == (400, "invalid_request")
    as_json = await app.web.post(f"{app.base}/token", json={"grant_type": "client_credentials"})
    assert error_of(as_json) == (400, "invalid_request")


async def test_the_metadata_names_endpoints_that_answer(app: App) -> None:
    facts = (await app.web.get(f"{app.base}/.well-known/oauth-authorization-server")).json()
    assert facts["issuer"] == app.base
    assert facts["authorization_response_iss_parameter_supported"] is True
    assert facts["code_challenge_methods_supported"] == ["S256"]
    for name in ("authorization_endpoint", "token_endpoint", "revocation_endpoint", "userinfo_endpoint"):
        reply = await app.web.get(facts[name])
        assert reply.status_code in (400, 401, 405), name


async def test_the_echo_returns_the_request_without_its_credential(app: App) -> None:
    token = (await app.connect())["access_token"]
    reply = await app.web.put(
        f"{app.base}/api/echo/a/b?x=1&x=2",
        content=b"hello",
        headers={"authorization": f"Bearer {token}", "x-mine": "yes"},
    )
    echoed = reply.json()
    assert (echoed["method"], echoed["path"], echoed["body"]) == ("PUT", "/a/b", "hello")
    assert echoed["query"] == [["x", "1"], ["x", "2"]]
    assert ["x-mine", "yes"] in echoed["headers"]
    assert token not in reply.text


@pytest.mark.parametrize("header", [{}, {"authorization": "Basic YTpi"}])
async def test_a_call_without_a_bearer_token_is_asked_for_one(app: App, header: dict[str, str]) -> None:
    reply = await app.web.get(f"{app.base}/api/me", headers=header)
    assert reply.status_code == 401
    assert reply.headers["www-authenticate"] == 'Bearer realm="sandbox"'


async def test_an_expired_token_is_refused_with_the_reason(app: App) -> None:
    tokens = await app.connect()
    app.clock.advance(3599)
    assert (await app.call(tokens["access_token"])).status_code == 200
    app.clock.advance(1)
    refused = await app.call(tokens["access_token"])
    assert error_of(refused) == (401, "invalid_token")
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]
    assert "expired" in refused.headers["www-authenticate"]


async def test_an_access_token_can_be_revoked_alone(app: App) -> None:
    tokens = await app.connect()
    await _revoke(app, tokens["access_token"])
    assert "revoked" in (await app.call(tokens["access_token"])).headers["www-authenticate"]
    assert (await app.refresh(tokens["refresh_token"])).status_code == 200


async def test_a_revoked_refresh_token_takes_its_grant_along(app: App) -> None:
    tokens = await app.connect()
    await _revoke(app, tokens["refresh_token"])
    assert (await app.call(tokens["access_token"])).status_code == 401
    assert error_of(await app.refresh(tokens["refresh_token"])) == (400, "invalid_grant")
    assert app.sandbox.counters()["revocations"] == 1


async def test_revoking_what_is_not_there_is_no_error_but_needs_the_client(app: App) -> None:
    await _revoke(app, "no-such-token")
    stranger = await app.web.post(f"{app.base}/revoke", data={"token": "x"})
    assert error_of(stranger) == (401, "invalid_client")


async def _revoke(app: App, token: str) -> None:
    reply = await app.web.post(f"{app.base}/revoke", data={"token": token}, headers={"authorization": app.basic()})
    assert reply.status_code == 200
