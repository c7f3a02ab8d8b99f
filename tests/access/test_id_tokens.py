"""ID tokens: which signatures count, and each claim that binds a token to us (OpenID Connect Core 3.1.3.7)."""

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from holdfast.access.administrators.id_token import (
    KeyUnknown,
    TokenRefused,
    check_claims,
    read_keys,
    signed_claims,
)
from holdfast.access.administrators.openid import _identity

NOW, ISSUER = 1_800_000_000.0, "https://login.example.com"
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "aud": "holdfast",
    "sub": "248289761001",
    "nonce": "n-0S6_WzA2Mj",
    "iat": NOW - 5,
    "exp": NOW + 300,
}
RSA = RSAKey.generate_key(2048, {"kid": "one"})
OTHER = RSAKey.generate_key(2048, {"kid": "one"})
EC = ECKey.generate_key("P-256", {"kid": "two"})
ED = OKPKey.generate_key("Ed25519", {"kid": "three"})


def _check(claims: dict[str, Any]) -> None:
    check_claims(claims, issuer=ISSUER, client_id="holdfast", nonce="n-0S6_WzA2Mj", now=NOW)


def _signed(key: Any, algorithm: str, **header: Any) -> str:
    head = {"alg": algorithm, "kid": key.kid, **header}
    return jwt.encode(head, CLAIMS, key, registry=JWSRegistry(algorithms=[algorithm], strict_check_header=False))


def _published(*keys: Any) -> dict[str, Any]:
    return {"keys": [key.as_dict(private=False) for key in keys]}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"aud": ["holdfast"]},
        {"aud": ["holdfast", "other"], "azp": "holdfast"},
        {"exp": NOW - 59},
        {"iat": NOW + 59},
        {"nbf": NOW},
    ],
)
def test_claims_that_are_as_they_should_be(change: dict[str, Any]) -> None:
    _check(CLAIMS | change)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"iss": ISSUER + "/"}, "another issuer"),
        ({"iss": None}, "another issuer"),
        ({"aud": "other"}, "another client"),
        ({"aud": None}, "another client"),
        ({"aud": ["holdfast", "other"]}, "several clients"),
        ({"azp": "other"}, "another client"),
        ({"exp": NOW - 61}, "has ended"),
        ({"exp": None}, "has ended"),
        ({"exp": str(NOW + 300)}, "has ended"),
        ({"exp": True}, "has ended"),
        ({"exp": 10**400}, "has ended"),
        ({"iat": NOW + 61}, "from the future"),
        ({"iat": None}, "from the future"),
        ({"nbf": NOW + 61}, "not valid yet"),
        ({"nbf": "soon"}, "not valid yet"),
        ({"nonce": "another"}, "another sign-in"),
        ({"nonce": None}, "another sign-in"),
        ({"nonce": "\ud800"}, "another sign-in"),
        ({"sub": ""}, "names nobody"),
        ({"sub": 7}, "names nobody"),
        ({"sub": "x" * 256}, "names nobody"),
        ({"sub": "x\0"}, "names nobody"),
    ],
)
def test_a_claim_that_is_not_is_refused(change: dict[str, Any], why: str) -> None:
    with pytest.raises(TokenRefused, match=why):
        _check(CLAIMS | change)


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS256"), (RSA, "PS256"), (EC, "ES256"), (ED, "EdDSA")])
def test_a_token_is_read_with_the_key_it_names(key: Any, algorithm: str) -> None:
    keys = read_keys(_published(RSA, EC, ED))
    assert signed_claims(_signed(key, algorithm), keys) == CLAIMS
    assert signed_claims(_signed(key, algorithm, whatever="is new to us"), keys) == CLAIMS


def test_a_token_without_a_key_id_is_tried_with_each() -> None:
    token = jwt.encode({"alg": "RS256"}, CLAIMS, RSA, algorithms=["RS256"])
    assert signed_claims(token, read_keys(_published(OTHER, EC, RSA))) == CLAIMS


def test_another_keys_signature_fits_none() -> None:
    for keys in (read_keys(_published(OTHER)), read_keys(_published(EC)), ()):
        with pytest.raises(KeyUnknown):
            signed_claims(_signed(RSA, "RS256"), keys)


def test_no_signature_and_no_shared_secret_counts() -> None:
    head = urlsafe_b64encode(b'{"alg":"none","kid":"one"}').rstrip(b"=").decode()
    body = urlsafe_b64encode(json.dumps(CLAIMS).encode()).rstrip(b"=").decode()
    keys = read_keys(_published(RSA))
    # The old confusion: what is published, taken for an HMAC secret.
    shared = OctKey.import_key(RSA.as_dict(private=False)["n"], {"kid": "one"})
    for token in (f"{head}.{body}.", jwt.encode({"alg": "HS256", "kid": "one"}, CLAIMS, shared, algorithms=["HS256"])):
        with pytest.raises(TokenRefused, match="not signed with a public-key algorithm"):
            signed_claims(token, keys)


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c", "....", "é.é.é", "x" * 20_000 + ".."])
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(TokenRefused):
        signed_claims(text, read_keys(_published(RSA)))


def test_a_key_set_is_read_for_what_can_be_used_of_it() -> None:
    enciphering = RSA.as_dict(private=False) | {"use": "enc"}
    shared = {"kty": "oct", "k": "c2VjcmV0"}
    odd = [{"kty": "RSA"}, {"kty": "NEW"}, {"kty": []}, None, 7]
    document = {"keys": [enciphering, shared, *odd, EC.as_dict(private=False)]}
    assert [key.key_type for key in read_keys(document)] == ["EC"]
    for nothing in (None, [], {}, {"keys": None}, "keys"):
        assert read_keys(nothing) == ()


def test_a_name_or_address_that_no_database_takes_is_none() -> None:
    for text in ("a\0b@example.com", "a\ud800@example.com"):
        found = _identity(ISSUER, {"sub": "7", "email": text, "email_verified": True, "name": text})
        assert (found.email, found.claimed_email, found.name) == ("", "", "")
    found = _identity(
        ISSUER, {"sub": "7", "email": " Zoë@example.com", "email_verified": True, "name": "Zoë  Ångström"}
    )
    assert (found.email, found.name) == ("zoë@example.com", "Zoë Ångström")
