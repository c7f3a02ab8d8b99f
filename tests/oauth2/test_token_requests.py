import json
from base64 import b64decode
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlsplit
from xml.etree import ElementTree

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from holdfast.errors import Misconfigured
from holdfast.http import Request
from holdfast.oauth2 import (
    Client,
    Dialect,
    client_credentials_request,
    code_request,
    refresh_request,
    revocation_request,
    second_exchange_request,
)
from holdfast.secret import Secret

NOW = 1_790_000_000.0
TOKEN_URL = "https://p.example/token"
SPECIAL = "a+b/c=d&e%f:g h~é"
CLIENT = Client("app:1", Secret(SPECIAL))
VERIFIER = Secret("v" * 43)


def dialect(**fields: Any) -> Dialect:
    return msgspec.convert({"token_url": TOKEN_URL} | fields, Dialect)


def code(fields: Dialect | None = None, client: Client = CLIENT, verifier: Secret | None = VERIFIER) -> Request:
    return code_request(
        fields or dialect(),
        client,
        code=Secret("the-code"),
        redirect_uri="https://us.example/cb",
        code_verifier=verifier,
        now=NOW,
    )


def refresh(fields: Dialect | None = None, **more: Any) -> Request:
    given: dict[str, Any] = {
        "refresh_token": Secret("the-refresh"),
        "access_token": None,
        "scopes": ["a", "b"],
    }
    return refresh_request(fields or dialect(), CLIENT, **(given | more), now=NOW)


def form(request: Request) -> dict[str, str]:
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    return pairs((request.body or b"").decode())


def pairs(text: str) -> dict[str, str]:
    found = parse_qsl(text, keep_blank_values=True, strict_parsing=True)
    assert len(dict(found)) == len(found)
    return dict(found)


def test_a_code_is_swapped_with_its_verifier_and_redirect_uri() -> None:
    request = code()
    assert (request.method, request.url) == ("POST", TOKEN_URL)
    assert request.headers["Accept"] == "application/json"
    assert form(request) == {
        "grant_type": "authorization_code",
        "code": "the-code",
        "redirect_uri": "https://us.example/cb",
        "code_verifier": "v" * 43,
        "client_id": "app:1",
        "client_secret": SPECIAL,
    }


def test_a_request_shows_none_of_its_secrets() -> None:
    for request in (code(), code(dialect(client_auth="client_secret_basic")), code(dialect(body="query"))):
        assert "the-code" not in repr(request)
        assert "a+b" not in repr(request)


def test_basic_credentials_are_form_encoded_before_they_are_joined() -> None:
    request = code(dialect(client_auth="client_secret_basic"))
    scheme, _, value = request.headers["Authorization"].partition(" ")
    user, _, password = b64decode(value).decode("ascii").partition(":")
    assert scheme == "Basic"
    assert (unquote_plus(user), unquote_plus(password)) == ("app:1", SPECIAL)
    assert not form(request).keys() & {"client_id", "client_secret"}


def test_a_key_may_stand_as_the_user_name() -> None:
    request = code(dialect(client_auth="secret_as_basic_user"), Client("app", Secret("sk_test_1")))
    assert b64decode(request.headers["Authorization"].removeprefix("Basic ")) == b"sk_test_1:"


def test_a_public_client_sends_its_id_alone() -> None:
    public = Client("app", None)
    for fields in (
        dialect(client_auth="none"),
        dialect(client_auth_also=["none"]),
        dialect(client_secret_required=False),
    ):
        sent = form(code(fields, public))
        assert sent["client_id"] == "app"
        assert "client_secret" not in sent
    assert form(code(dialect(client_auth_also=["none"])))["client_secret"] == SPECIAL


@pytest.mark.parametrize("auth", ["client_secret_post", "client_secret_basic", "client_secret_jwt", "private_key_jwt"])
def test_a_missing_secret_is_named_before_anything_is_sent(auth: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        code(dialect(client_auth=auth), Client("app", None))
    assert caught.value.code in ("client_secret_missing", "client_key_missing")


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> Secret:
    return Secret(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
    )


RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize(("algorithm", "key"), [("RS256", RSA_KEY), ("PS256", RSA_KEY), ("ES256", EC_KEY)])
def test_a_signed_assertion_is_one_that_another_library_accepts(algorithm: str, key: Any) -> None:
    fields = dialect(client_auth="private_key_jwt", assertion_algorithm=algorithm)
    sent = form(code(fields, Client("app", None, pem(key), "kid-1")))
    assert sent["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    assert "client_secret" not in sent
    claims = verified(sent["client_assertion"], key.public_key(), algorithm)
    assert (claims["iss"], claims["sub"], claims["aud"]) == ("app", "app", TOKEN_URL)
    assert (claims["iat"], claims["exp"]) == (NOW, NOW + 60)
    assert jwt.get_unverified_header(sent["client_assertion"])["kid"] == "kid-1"
    again = form(code(fields, Client("app", None, pem(key), "kid-1")))
    assert verified(again["client_assertion"], key.public_key(), algorithm)["jti"] != claims["jti"]


def verified(token: str, key: Any, algorithm: str) -> dict[str, Any]:
    return jwt.decode(
        token,
        key,
        algorithms=[algorithm],
        options={"verify_exp": False, "verify_aud": False, "verify_iat": False},
    )


def test_an_assertion_may_be_signed_with_the_client_secret() -> None:
    secret = Secret("s" * 40)
    fields = dialect(client_auth="client_secret_jwt", assertion_audience="https://p.example/")
    sent = form(code(fields, Client("app", secret)))
    assert verified(sent["client_assertion"], secret.reveal(), "HS256")["aud"] == "https://p.example/"
    assert "client_secret" not in sent


def test_a_generated_secret_is_a_jwt_of_the_entrys_claims() -> None:
    claims = {"iss": "TEAM", "sub": "{client_id}", "aud": "https://p.example"}
    sent = form(code(dialect(generated_secret=claims), Client("app", None, pem(EC_KEY), "K1")))
    made = verified(sent["client_secret"], EC_KEY.public_key(), "ES256")
    assert made == {"iss": "TEAM", "sub": "app", "aud": "https://p.example", "iat": NOW, "exp": NOW + 300}


def test_an_unusable_key_is_named_and_not_quoted() -> None:
    bad = Secret("-----BEGIN PRIVATE KEY-----\nc2VjcmV0LWtleQ==\n-----END PRIVATE KEY-----")
    with pytest.raises(Misconfigured) as caught:
        code(dialect(client_auth="private_key_jwt"), Client("app", None, bad))
    assert caught.value.code == "client_key_unusable"
    assert "c2VjcmV0" not in str(caught.value)
    with pytest.raises(Misconfigured):
        code(
            dialect(client_auth="private_key_jwt", assertion_algorithm="ES256"),
            Client("app", None, pem(RSA_KEY)),
        )


def test_each_body_form_carries_the_same_parameters() -> None:
    expected = form(code())
    as_json = code(dialect(body="json"))
    assert as_json.headers["Content-Type"] == "application/json"
    assert json.loads(as_json.body or b"") == expected
    as_query = code(dialect(body="query"))
    assert (as_query.method, as_query.body) == ("POST", None)
    assert pairs(urlsplit(as_query.url).query) == expected
    as_xml = code(dialect(body="xml"))
    root = ElementTree.fromstring((as_xml.body or b"").decode())
    assert {child.tag: child.text for child in root} == expected
    as_get = code(dialect(method="GET"))
    assert (as_get.method, as_get.body) == ("GET", None)
    assert pairs(urlsplit(as_get.url).query) == expected


def test_renamed_parameters_reach_the_token_endpoint_too() -> None:
    sent = form(code(dialect(rename={"client_id": "app_id", "client_secret": "secret", "code": "auth_code"})))
    assert (sent["app_id"], sent["secret"], sent["auth_code"]) == ("app:1", SPECIAL, "the-code")
    assert not sent.keys() & {"client_id", "client_secret", "code"}


def test_no_verifier_goes_to_a_provider_that_saw_no_challenge() -> None:
    assert "code_verifier" not in form(code(dialect(pkce="omit"), verifier=None))


def test_a_code_asked_for_with_a_challenge_is_exchanged_with_its_verifier_whatever_is_set_by_then() -> None:
    assert form(code(dialect(pkce="omit")))["code_verifier"] == "v" * 43


def test_entries_add_parameters_headers_and_a_resource() -> None:
    fields = dialect(
        token_params={"action": "requesttoken"},
        token_headers={"Accept": "text/plain", "V": "1"},
        resource="https://r/",
    )
    sent = form(code(fields))
    assert (sent["action"], sent["resource"]) == ("requesttoken", "https://r/")
    assert (code(fields).headers["Accept"], code(fields).headers["V"]) == ("text/plain", "1")


def test_a_refresh_sends_no_scope_unless_the_provider_wants_it() -> None:
    assert form(refresh()) == {
        "grant_type": "refresh_token",
        "refresh_token": "the-refresh",
        "client_id": "app:1",
        "client_secret": SPECIAL,
    }
    assert form(refresh(dialect(refresh_scope="send")))["scope"] == "a b"


def test_a_refresh_goes_where_and_as_the_entry_says() -> None:
    fields = dialect(refresh_url="https://p.example/refresh", refresh_params={"grant_type": "renew", "type": "refresh"})
    assert refresh(fields).url == "https://p.example/refresh"
    assert (form(refresh(fields))["grant_type"], form(refresh(fields))["type"]) == ("renew", "refresh")
    with pytest.raises(ValueError, match="no refresh token"):
        refresh(refresh_token=None)


RENEW = {
    "url": "https://p.example/renew",
    "params": {"grant_type": "ig_refresh_token", "access_token": "{access_token}", "s": "{client_secret}"},
}


def test_an_access_token_may_renew_itself() -> None:
    tricky = Secret("tok&{client_secret}")
    request = refresh(dialect(refresh_with_access_token=RENEW), refresh_token=None, access_token=tricky)
    assert (request.method, request.body) == ("GET", None)
    assert pairs(urlsplit(request.url).query) == {
        "grant_type": "ig_refresh_token",
        "access_token": "tok&{client_secret}",
        "s": SPECIAL,
    }
    with pytest.raises(ValueError, match="needed"):
        refresh(dialect(refresh_with_access_token=RENEW))


def test_a_second_exchange_may_be_a_post() -> None:
    fields = dialect(second_exchange=RENEW | {"method": "POST"})
    request = second_exchange_request(fields, CLIENT, access_token=Secret("short"), now=NOW)
    assert (request.url, form(request)["access_token"]) == ("https://p.example/renew", "short")
    with pytest.raises(Misconfigured):
        second_exchange_request(fields, Client("app", None), access_token=Secret("short"), now=NOW)


def test_a_client_asks_for_a_token_of_its_own() -> None:
    sent = form(client_credentials_request(dialect(), CLIENT, scopes=["a", "b"], now=NOW))
    assert (sent["grant_type"], sent["scope"]) == ("client_credentials", "a b")
    zoom = dialect(token_params={"grant_type": "account_credentials", "account_id": "42"})
    sent = form(client_credentials_request(zoom, CLIENT, scopes=[], now=NOW))
    assert (sent["grant_type"], sent["account_id"]) == ("account_credentials", "42")


def test_a_revocation_is_that_of_rfc_7009() -> None:
    request = revocation_request(
        "https://p.example/revoke", CLIENT, "client_secret_basic", token=Secret("old"), hint="refresh_token"
    )
    assert form(request) == {"token": "old", "token_type_hint": "refresh_token"}
    assert request.headers["Authorization"].startswith("Basic ")
    alone = revocation_request("https://p.example/revoke", CLIENT, "none", token=Secret("old"), hint=None)
    assert form(alone) == {"token": "old", "client_id": "app:1"}
    with pytest.raises(ValueError, match="time"):
        revocation_request("https://p.example/revoke", CLIENT, "client_secret_jwt", token=Secret("old"), hint=None)


def test_without_an_endpoint_the_entry_is_to_blame() -> None:
    with pytest.raises(Misconfigured):
        code(dialect(token_url=None))
