import json
from typing import Any

import pytest

from holdfast.http import Reply
from holdfast.oauth2 import Dialect, MetadataRejected, apply_metadata, metadata_urls, read_metadata

ISSUER = "https://as.example/tenant"
DOCUMENT: dict[str, Any] = {
    "issuer": ISSUER,
    "authorization_endpoint": "https://as.example/authorize",
    "token_endpoint": "https://as.example/token",
    "registration_endpoint": "https://as.example/register",
    "introspection_endpoint": "https://as.example/introspect",
    "revocation_endpoint": "https://as.example/revoke",
    "token_endpoint_auth_methods_supported": ["none", "client_secret_post", "private_key_jwt"],
    "token_endpoint_auth_signing_alg_values_supported": ["ES256"],
    "code_challenge_methods_supported": ["plain", "S256"],
    "authorization_response_iss_parameter_supported": True,
    "client_id_metadata_document_supported": True,
}


def reply(changes: dict[str, Any] | None = None, status: int = 200) -> Reply:
    return Reply(status, {"content-type": "application/json"}, json.dumps(DOCUMENT | (changes or {})).encode())


def test_metadata_is_looked_for_where_each_of_the_two_standards_puts_it() -> None:
    assert metadata_urls("https://as.example") == (
        "https://as.example/.well-known/oauth-authorization-server",
        "https://as.example/.well-known/openid-configuration",
    )
    assert metadata_urls("https://as.example/a/b/") == (
        "https://as.example/.well-known/oauth-authorization-server/a/b",
        "https://as.example/.well-known/openid-configuration/a/b",
        "https://as.example/a/b/.well-known/openid-configuration",
    )


def test_a_document_fills_the_gaps_of_an_entry() -> None:
    metadata = read_metadata(reply(), issuer=ISSUER)
    filled = apply_metadata(Dialect(client_auth="client_secret_basic"), metadata)
    assert filled.authorize_url == "https://as.example/authorize"
    assert filled.token_url == "https://as.example/token"
    assert filled.registration_url == "https://as.example/register"
    assert filled.introspect_url == "https://as.example/introspect"
    assert (filled.issuer, filled.iss, filled.pkce) == (ISSUER, "required", "supported")
    assert filled.client_auth == "client_secret_post"
    assert filled.client_auth_also == ("private_key_jwt", "none")
    assert filled.assertion_algorithm == "ES256"
    assert metadata.revocation_endpoint == "https://as.example/revoke"
    assert metadata.client_id_document


def test_what_a_reviewed_entry_names_outranks_the_document() -> None:
    entry = Dialect(token_url="https://reviewed.example/token", pkce="omit", client_auth="private_key_jwt")
    filled = apply_metadata(entry, read_metadata(reply(), issuer=ISSUER))
    assert (filled.token_url, filled.pkce, filled.client_auth) == (entry.token_url, "omit", "private_key_jwt")


def test_a_server_that_lists_no_method_is_taken_to_know_basic_alone() -> None:
    bare = read_metadata(reply({"token_endpoint_auth_methods_supported": None}), issuer=ISSUER)
    assert apply_metadata(Dialect(), bare).client_auth == "client_secret_basic"
    odd = read_metadata(reply({"token_endpoint_auth_methods_supported": ["tls_client_auth"]}), issuer=ISSUER)
    assert apply_metadata(Dialect(), odd).client_auth == "client_secret_post"


def test_without_the_marks_nothing_is_promised() -> None:
    bare = reply(
        {
            "code_challenge_methods_supported": ["plain"],
            "authorization_response_iss_parameter_supported": "yes",
        }
    )
    filled = apply_metadata(Dialect(), read_metadata(bare, issuer=ISSUER))
    assert (filled.pkce, filled.iss) == ("unknown", "absent")


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://evil.example"},
        {"issuer": ISSUER + "/"},
        {"issuer": None},
        {"token_endpoint": "http://as.example/token"},
        {"token_endpoint": "https://user@as.example/token"},
        {"token_endpoint": "https:///token"},
        {"token_endpoint": "https://as.example/token#x"},
        {"token_endpoint": "https://as.example/to ken"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"revocation_endpoint": 7},
        {"jwks_uri": "ftp://as.example/keys"},
    ],
)
def test_a_document_that_cannot_be_trusted_is_rejected(changes: dict[str, Any]) -> None:
    with pytest.raises(MetadataRejected):
        read_metadata(reply(changes), issuer=ISSUER)


@pytest.mark.parametrize(
    "answer",
    [
        reply(status=404),
        reply(status=302),
        Reply(200, {}, b"<html>"),
        Reply(200, {}, b"[]"),
        Reply(200, {}, b""),
    ],
)
def test_what_is_no_document_is_rejected(answer: Reply) -> None:
    with pytest.raises(MetadataRejected):
        read_metadata(answer, issuer=ISSUER)


def test_plain_http_is_for_development() -> None:
    local = {"issuer": "http://localhost:9", "token_endpoint": "http://localhost:9/token"}
    assert (
        read_metadata(reply(local), issuer="http://localhost:9", allow_http=True).token_endpoint
        == local["token_endpoint"]
    )
    with pytest.raises(MetadataRejected):
        read_metadata(reply(local), issuer="http://localhost:9")


def test_a_document_changes_nothing_that_it_does_not_speak_of() -> None:
    entry = Dialect(scopes=("a",), scope_separator=",", token_params={"x": "y"})
    filled = apply_metadata(entry, read_metadata(reply(), issuer=ISSUER))
    assert (filled.scopes, filled.scope_separator, filled.token_params) == (("a",), ",", {"x": "y"})
