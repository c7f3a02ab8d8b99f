"""Side calls as requests, and the credential's place in a call to the API."""

import base64
import json
from urllib.parse import parse_qs

import pytest
from catalogue_entries import ENTRIES

from holdfast.errors import Invalid
from holdfast.http import Request
from holdfast.providers.calls import build, place
from holdfast.providers.entry import Call, CallAuth, Placement
from holdfast.providers.templates import settle
from holdfast.secret import Secret

TOKEN = Secret("tok/en+1")
SECRET = Secret("s3cret:/ +")


def request(call: Call, **values: str) -> Request:
    return build(call, values=values, token=TOKEN, client_id="id 1/x", client_secret=SECRET)


def basic(header: str) -> str:
    return base64.b64decode(header.removeprefix("Basic ")).decode()


def test_the_tokens_own_bearer_header_is_the_usual_way() -> None:
    sent = request(Call(url="https://api.example/me"))
    assert (sent.method, sent.url, sent.body) == ("GET", "https://api.example/me", None)
    assert sent.headers == {"Accept": "application/json", "Authorization": "Bearer tok/en+1"}


def test_client_basic_encodes_both_halves_first() -> None:
    sent = request(Call(url="https://api.example/revoke", method="POST", auth=CallAuth(kind="client_basic")))
    assert basic(sent.headers["Authorization"]) == "id+1%2Fx:s3cret%3A%2F+%2B"


def test_client_post_adds_the_clients_credentials_to_the_form() -> None:
    call = Call(
        url="https://api.example/revoke",
        method="POST",
        auth=CallAuth(kind="client_post"),
        body="form",
        params={"token": "{token}"},
    )
    sent = request(call)
    assert sent.body is not None
    assert parse_qs(sent.body.decode()) == {
        "token": ["tok/en+1"],
        "client_id": ["id 1/x"],
        "client_secret": ["s3cret:/ +"],
    }
    assert sent.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert "Authorization" not in sent.headers


def test_a_json_body_and_a_client_id_in_the_path() -> None:
    call = Call(
        url="https://api.example/applications/{client_id}/token",
        method="DELETE",
        auth=CallAuth(kind="client_basic"),
        body="json",
        params={"access_token": "{token}"},
        headers={"Accept": "application/vnd.example+json"},
    )
    sent = request(call)
    assert sent.url == "https://api.example/applications/id%201%2Fx/token"
    assert json.loads(sent.body or b"") == {"access_token": "tok/en+1"}
    assert sent.headers["Accept"] == "application/vnd.example+json"
    assert sent.headers["Content-Type"] == "application/json"


def test_a_graphql_query_keeps_its_braces() -> None:
    call = Call(url="https://api.example/graphql", method="POST", json={"query": "{ viewer { id } }"})
    assert json.loads(request(call).body or b"") == {"query": "{ viewer { id } }"}


def test_query_parameters_join_those_already_there() -> None:
    call = Call(
        url="https://api.example/x?a=1",
        body="query",
        params={"token": "{token}"},
        auth=CallAuth(kind="none"),
    )
    assert request(call).url == "https://api.example/x?a=1&token=tok%2Fen%2B1"


def test_a_header_of_the_providers_own() -> None:
    auth = CallAuth(kind="header", name="Authorization", value="Client {client_secret}")
    sent = request(Call(url="https://api.example/x", auth=auth))
    assert sent.headers["Authorization"] == "Client s3cret:/ +"


def test_a_key_as_the_user_name() -> None:
    auth = CallAuth(kind="basic", username="{token}")
    assert basic(request(Call(url="https://api.example/x", auth=auth)).headers["Authorization"]) == "tok/en+1:"


def test_a_missing_client_id_is_named() -> None:
    call = Call(url="https://api.example/x", auth=CallAuth(kind="client_basic"))
    with pytest.raises(Invalid) as error:
        build(call, values={}, token=TOKEN, client_id=None, client_secret=None)
    assert error.value.code == "missing_client_id"


def test_a_value_cannot_smuggle_the_token_into_a_url() -> None:
    with pytest.raises(Invalid):
        request(Call(url="https://api.example/{site}"), site="{token}")


def test_a_public_client_has_an_empty_password() -> None:
    call = Call(url="https://api.example/x", auth=CallAuth(kind="client_basic"))
    sent = build(call, values={}, token=TOKEN, client_id="abc", client_secret=None)
    assert basic(sent.headers["Authorization"]) == "abc:"


def test_no_secret_shows_when_a_request_is_printed() -> None:
    call = Call(url="https://api.example/x", body="query", params={"key": "{token}"})
    sent = request(call)
    assert "tok" not in repr(sent)
    assert sent.shown_url == "https://api.example/x"


@pytest.mark.parametrize(
    ("placement", "expected"),
    [
        (Placement(), ({"Authorization": "Bearer tok/en+1"}, {})),
        (Placement(where="header", name="x-api-key"), ({"x-api-key": "tok/en+1"}, {})),
        (
            Placement(where="header", name="Authorization", value="Token token={token}"),
            ({"Authorization": "Token token=tok/en+1"}, {}),
        ),
        (Placement(where="query", name="api_key"), ({}, {"api_key": "tok/en+1"})),
        (Placement(where="path"), ({}, {})),
    ],
    ids=["bearer", "own header", "own scheme", "query", "path"],
)
def test_the_credential_goes_where_the_entry_says(
    placement: Placement, expected: tuple[dict[str, str], dict[str, str]]
) -> None:
    assert place(placement, TOKEN, {}) == expected


def test_basic_placement_mixes_values_and_the_key() -> None:
    headers, query = place(
        Placement(where="basic", username="{email}/token", password="{token}"),
        TOKEN,
        {"email": "a@b.example"},
    )
    assert basic(headers["Authorization"]) == "a@b.example/token:tok/en+1"
    assert query == {}


def test_salesforce_is_asked_at_the_login_host_and_called_at_its_instance() -> None:
    provider = ENTRIES["salesforce"]
    values = settle(provider, {"instance_url": "https://acme--uat.sandbox.my.salesforce.com"})
    assert provider.identity is not None
    assert provider.identity.call is not None
    sent = build(provider.identity.call, values=values, token=TOKEN, client_id=None, client_secret=None)
    assert sent.url == "https://login.salesforce.com/services/oauth2/userinfo"


def test_stripe_is_deauthorised_with_the_platforms_key() -> None:
    provider = ENTRIES["stripe"]
    assert provider.revoke is not None
    values = settle(provider, {"stripe_user_id": "acct_1"})
    sent = build(provider.revoke.call, values=values, token=TOKEN, client_id="ca_1", client_secret=Secret("sk_1"))
    assert sent.headers["Authorization"] == "Bearer sk_1"
    assert parse_qs((sent.body or b"").decode()) == {"client_id": ["ca_1"], "stripe_user_id": ["acct_1"]}
