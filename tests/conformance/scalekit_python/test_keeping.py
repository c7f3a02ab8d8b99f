"""What an app does with its accounts by `client.actions`: listed, changed, upserted, deleted, of every kind."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from scalekit import ScalekitClient
from scalekit.common.exceptions import ScalekitBadRequestException, ScalekitConflictException, ScalekitNotFoundException
from scalekit.v1.connected_accounts.connected_accounts_pb2 import (
    DisconnectConnectedAccountRequest,
    GetRedirectUrlRequest,
    SearchConnectedAccountsRequest,
)

from tests.conformance.report import proves
from tests.conformance.scalekit_house import House


@proves("actions.list_connected_accounts", "connected_accounts.list_connected_accounts")
def test_pages_of_a_connector_lead_through_and_back(house: House, client: ScalekitClient) -> None:
    connector = house.connector()
    made = [_pending(house, client, connector) for _ in range(5)]
    first = client.actions.list_connected_accounts(connector, page_size=2)
    second = client.actions.list_connected_accounts(connector, page_size=2, page_token=first.next_page_token)
    seen = [item.identifier for item in (*first.connected_accounts, *second.connected_accounts)]
    assert seen == made[:0:-1]
    assert (first.total_count, first.previous_page_token) == (5, None)
    assert {len(first.next_page_token), len(second.previous_page_token)} == {31}
    back = client.actions.list_connected_accounts(connector, page_size=2, page_token=second.previous_page_token)
    assert [item.identifier for item in back.connected_accounts] == made[:2:-1]
    assert {item.status for item in back.connected_accounts} == {"PENDING_AUTH"}
    for other in ({"connection_name": "another"}, {"connection_name": connector, "identifier": made[0]}):
        with pytest.raises(ScalekitBadRequestException):
            client.actions.list_connected_accounts(page_size=2, page_token=first.next_page_token, **other)


@proves("actions.list_connected_accounts")
def test_filters_add_up(house: House, client: ScalekitClient) -> None:
    one, other, person = house.connector(), house.connector(), house.new("person")
    for connector in (one, other):
        client.actions.create_connected_account(connector, person)
        _pending(house, client, connector)
    mine = client.actions.list_connected_accounts(identifier=person)
    assert sorted(item.connector for item in mine.connected_accounts) == sorted((one, other))
    named = client.actions.list_connected_accounts(connection_names=[one], identifier=person)
    assert [item.connector for item in named.connected_accounts] == [one]
    provider = named.connected_accounts[0].provider
    for spelled in (provider, provider.lower()):
        assert client.actions.list_connected_accounts(provider=spelled).total_count == 2
    assert not client.actions.list_connected_accounts("nowhere").connected_accounts
    with pytest.raises(ScalekitBadRequestException):
        client.actions.list_connected_accounts(one, connection_names=[other])


@proves("actions.update_connected_account", "connected_accounts.update_connected_account")
def test_an_update_changes_what_is_sent_and_merges_api_config(house: House, client: ScalekitClient) -> None:
    connector, identifier, tokens = house.connector(), house.new("user"), house.granted()
    config = {"version": 5, "domain": "acme.test", "custom_headers": {"x-a": "1", "x-list": ["a", 2, None]}}
    made = client.actions.create_connected_account(connector, identifier, api_config=config).connected_account
    assert (made.status, made.api_config, made.authorization_details) == ("PENDING_AUTH", config, None)
    given = {"oauth_token": {"access_token": tokens.access, "refresh_token": tokens.refresh, "scopes": tokens.scopes}}
    more = {"api_endpoint": "https://api.acme.test", "domain": None}
    changed = client.actions.update_connected_account(connector, identifier, given, api_config=more).connected_account
    assert (changed.id, changed.status) == (made.id, "ACTIVE")
    assert changed.authorization_details["oauth_token"]["access_token"] == tokens.access
    kept = {"version": 5, "custom_headers": config["custom_headers"], "api_endpoint": "https://api.acme.test"}
    assert changed.api_config == kept
    found = client.actions.get_connected_account(connector, identifier).connected_account
    assert (found.api_config, found.authorization_details["oauth_token"]["access_token"]) == (kept, tokens.access)
    quiet = client.actions.update_connected_account(
        connector, identifier, api_config={"version": 6}, connected_account_id=made.id
    ).connected_account
    assert (quiet.status, quiet.api_config["version"], quiet.authorization_details) == ("ACTIVE", 6, None)
    with pytest.raises(ScalekitNotFoundException):
        client.actions.update_connected_account(connector, "nobody", given)


@proves("actions.upsert_connected_account", "actions.get_or_create_connected_account")
def test_an_upsert_makes_an_account_and_replaces_its_credential(house: House, client: ScalekitClient) -> None:
    connector, identifier = house.connector(), house.new("user")
    ids = set()
    for tokens in (house.granted(), house.granted()):
        given = {"oauth_token": {"access_token": tokens.access, "refresh_token": tokens.refresh}}
        made = client.actions.upsert_connected_account(connector, identifier, given).connected_account
        ids.add(made.id)
        assert (made.status, made.authorization_details["oauth_token"]["access_token"]) == ("ACTIVE", tokens.access)
    assert len(ids) == 1
    waiting = house.new("user")
    client.actions.get_or_create_connected_account(connector, waiting)
    filled = client.actions.get_or_create_connected_account(connector, waiting, given).connected_account
    assert filled.status == "ACTIVE"


def test_of_many_who_make_one_account_at_once_one_does(house: House, client: ScalekitClient) -> None:
    connector, identifier = house.connector(), house.new("user")

    def make(_: int) -> str:
        try:
            return str(client.actions.create_connected_account(connector, identifier).connected_account.id)
        except ScalekitConflictException as error:
            return str(error.error_code)

    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(make, range(12)))
    assert found.count("ALREADY_EXISTS") == 11
    assert client.connected_accounts.list_connected_accounts(identifier=identifier)[0].total_size == 1


def test_a_refresh_token_alone_is_used_at_once(house: House, client: ScalekitClient) -> None:
    connector, identifier, tokens = house.connector(), house.new("user"), house.granted()
    given = {"oauth_token": {"access_token": "", "refresh_token": tokens.refresh}}
    made = client.actions.create_connected_account(connector, identifier, given).connected_account
    assert house.sandbox.admits(made.authorization_details["oauth_token"]["access_token"])
    with pytest.raises(ScalekitBadRequestException):
        client.actions.update_connected_account(
            connector, identifier, {"oauth_token": {"access_token": "", "refresh_token": "made-up"}}
        )
    assert client.actions.get_connected_account(connector, identifier).connected_account.status == "ACTIVE"


@proves("actions.delete_connected_account", "connected_accounts.delete_connected_account")
def test_a_deleted_account_is_gone_at_both_doors(house: House, client: ScalekitClient) -> None:
    connector, identifier = house.connector(), house.new("user")
    given = {"oauth_token": {"access_token": house.granted().access}}
    for by_id in (True, False):
        made = client.actions.create_connected_account(connector, identifier, given).connected_account
        named = {"connected_account_id": made.id} if by_id else _named(connector, identifier)
        client.actions.delete_connected_account(**named)
        with pytest.raises(ScalekitNotFoundException):
            client.actions.get_connected_account(connector, identifier)
        assert house.post(f"/data-integrations/{connector}/token", user_id=identifier).json()["active"] is False
    with pytest.raises(ScalekitNotFoundException):
        client.actions.delete_connected_account(connector, identifier)


@pytest.mark.parametrize(
    "fields", [{"api_key": "k-1"}, {"token": "t-1"}, {"username": "ada", "password": "p-1", "domain": "acme.test"}]
)
def test_static_fields_come_back_as_they_were_given_and_only_where_secrets_belong(
    house: House, client: ScalekitClient, fields: dict[str, str]
) -> None:
    connector, identifier = house.connector("api_key"), house.new("user")
    given = {"static_auth": fields}
    made = client.actions.create_connected_account(connector, identifier, given).connected_account
    assert made.authorization_details == given
    assert client.actions.get_connected_account(connector, identifier).connected_account.authorization_details == given
    details = client.actions.get_connected_account_details(connector, identifier).connected_account
    assert (details.status, details.authorization_details) == ("ACTIVE", None)
    listed = client.connected_accounts.list_connected_accounts(connector=connector)[0]
    secret = list(fields.values())[-1] if "domain" not in fields else fields["password"]
    assert secret.encode() not in listed.SerializeToString()
    assert listed.connected_accounts[0].HasField("last_used_at")
    again = {"static_auth": {"api_key": "k-2"}}
    client.actions.update_connected_account(connector, identifier, again)
    assert client.actions.get_connected_account(connector, identifier).connected_account.authorization_details == again


def test_nothing_given_is_a_pending_account_whatever_the_kind(house: House, client: ScalekitClient) -> None:
    nothing: tuple[dict[str, Any] | None, ...] = (None, {"static_auth": {}}, {"oauth_token": {"access_token": ""}})
    for given in nothing:
        for method in ("api_key", "oauth"):
            connector = house.connector(method)
            made = client.actions.create_connected_account(connector, "ada", given).connected_account
            kind = "OAUTH" if method == "oauth" else "API_KEY"
            assert (made.status, made.authorization_type) == ("PENDING_AUTH", kind)


def test_a_credential_of_another_kind_is_refused(house: House, client: ScalekitClient) -> None:
    with pytest.raises(ScalekitBadRequestException):
        client.actions.create_connected_account(
            house.connector("api_key"), "ada", {"oauth_token": {"access_token": "a"}}
        )
    with pytest.raises(ScalekitBadRequestException):
        client.actions.create_connected_account(house.connector(), "ada", {"static_auth": {"api_key": "a"}})


def test_a_paused_account_shows_no_credential_and_takes_none(house: House, client: ScalekitClient) -> None:
    connector, identifier = house.connector(), house.new("user")
    given = {"oauth_token": {"access_token": house.granted().access}}
    made = client.actions.create_connected_account(connector, identifier, given).connected_account
    house.cli("accounts", "suspend", made.id, "--why", "asked by the owner")
    found = client.actions.get_connected_account(connector, identifier).connected_account
    assert (found.status, found.authorization_details) == ("DISCONNECTED", None)
    for refused in (
        lambda: client.actions.update_connected_account(connector, identifier, given),
        lambda: client.actions.get_authorization_link(connection_name=connector, identifier=identifier),
    ):
        with pytest.raises(ScalekitBadRequestException, match="resume"):
            refused()
    house.cli("accounts", "resume", made.id)
    assert client.actions.get_connected_account(connector, identifier).connected_account.authorization_details


def test_what_the_sdk_does_not_wrap_works_by_its_stub(house: House, client: ScalekitClient) -> None:
    connector, identifier = house.connector(), house.new("Searchable")
    given = {"oauth_token": {"access_token": house.granted().access}}
    made = client.actions.create_connected_account(connector, identifier, given).connected_account
    stub, execute = client.connected_accounts.connected_accounts_service, client.core_client.grpc_exec
    found = execute(stub.SearchConnectedAccounts.with_call, SearchConnectedAccountsRequest(query=identifier.lower()))[0]
    assert [item.id for item in found.connected_accounts] == [made.id]
    gone = execute(stub.DisconnectConnectedAccount.with_call, DisconnectConnectedAccountRequest(id=made.id))[0]
    assert gone.connected_account.status == 5  # DISCONNECTED
    assert client.actions.get_connected_account(connector, identifier).connected_account.authorization_details is None
    with pytest.raises(Exception, match="GetMagicLinkForConnectedAccount") as refused:
        execute(stub.GetRedirectUrl.with_call, GetRedirectUrlRequest())
    assert type(refused.value).__name__ == "ScalekitForbiddenException"


def _pending(house: House, client: ScalekitClient, connector: str) -> str:
    identifier = house.new("user")
    client.actions.create_connected_account(connector, identifier)
    return identifier


def _named(connector: str, identifier: str) -> dict[str, str]:
    return {"connection_name": connector, "identifier": identifier}
