"""Making and reading connected accounts with `client.actions`, and the same accounts at the other door."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from scalekit import ScalekitClient
from scalekit.common.exceptions import (
    ScalekitBadRequestException,
    ScalekitConflictException,
    ScalekitNotFoundException,
    ScalekitUnauthorizedException,
)

from tests.conformance.report import proves
from tests.conformance.scalekit_house import House


@proves("actions.create_connected_account", "actions.get_connected_account")
def test_an_account_made_with_tokens_is_active_and_its_token_is_read_back(house: House, client: ScalekitClient) -> None:
    connector, identifier, tokens = house.connector(), house.new("user"), house.granted()
    given = {"oauth_token": {"access_token": tokens.access, "refresh_token": tokens.refresh, "scopes": tokens.scopes}}
    made = client.actions.create_connected_account(connector, identifier, given).connected_account
    assert (made.status, made.authorization_type, made.connector) == ("ACTIVE", "OAUTH", connector)
    found = client.actions.get_connected_account(connector, identifier).connected_account
    assert found.id == made.id and found.id.startswith("ca_") and len(found.id) <= 32
    assert found.authorization_details["oauth_token"]["access_token"] == tokens.access
    assert sorted(found.authorization_details["oauth_token"]["scopes"]) == sorted(tokens.scopes)
    assert found.authorization_details["oauth_token"]["refresh_token"] == ""


@proves("actions.get_connected_account_details")
def test_details_hold_no_credential(house: House, client: ScalekitClient) -> None:
    connector, identifier = _connected(house, client)
    found = client.actions.get_connected_account_details(connector, identifier).connected_account
    assert (found.identifier, found.status) == (identifier, "ACTIVE")
    assert not found.authorization_details


@proves("actions.get_or_create_connected_account")
def test_get_or_create_makes_an_account_once_that_waits_for_its_owner(house: House, client: ScalekitClient) -> None:
    connector, identifier = house.connector(), house.new("user")
    first = client.actions.get_or_create_connected_account(connector, identifier).connected_account
    again = client.actions.get_or_create_connected_account(connector, identifier).connected_account
    assert (first.status, first.id) == ("PENDING_AUTH", again.id)
    assert first.authorization_type == "OAUTH"


def test_an_account_that_waits_is_the_one_that_the_other_door_fills(house: House, client: ScalekitClient) -> None:
    connector, identifier, tokens = house.connector(), house.new("user"), house.granted()
    waiting = client.actions.create_connected_account(connector, identifier).connected_account
    path = f"/user_management/users/{identifier}/connected_accounts/{connector}"
    assert house.web.get(path).status_code == 404
    there = house.post(f"/data-integrations/{connector}/token", user_id=identifier).json()
    assert (there["active"], there["error"]) == (False, "not_installed")
    filled = house.post(path, access_token=tokens.access)
    assert filled.status_code == 201, filled.text
    found = client.actions.get_connected_account(connector, identifier).connected_account
    assert (found.id, found.status) == (waiting.id, "ACTIVE")
    assert found.authorization_details["oauth_token"]["access_token"] == tokens.access


@proves("actions.create_connected_account")
def test_a_second_account_of_the_same_identifier_is_refused_as_existing(house: House, client: ScalekitClient) -> None:
    connector, identifier = _connected(house, client)
    with pytest.raises(ScalekitConflictException) as refused:
        client.actions.create_connected_account(connector, identifier)
    assert refused.value.error_code == "ALREADY_EXISTS"


def test_a_key_given_as_static_auth_comes_back_as_such(house: House, client: ScalekitClient) -> None:
    connector, identifier = house.connector("api_key"), house.new("user")
    client.actions.create_connected_account(connector, identifier, {"static_auth": {"api_key": "k-123456"}})
    found = client.actions.get_connected_account(connector, identifier).connected_account
    assert (found.status, found.authorization_type) == ("ACTIVE", "API_KEY")
    assert found.authorization_details == {"static_auth": {"api_key": "k-123456"}}


def test_what_is_not_there_is_not_found(house: House, client: ScalekitClient) -> None:
    for connector in (house.connector(), "nowhere"):
        with pytest.raises(ScalekitNotFoundException) as refused:
            client.actions.get_connected_account(connector, "nobody")
        assert refused.value.error_code == "RESOURCE_NOT_FOUND"


def test_a_connector_that_breaks_its_rule_is_named_in_the_error(client: ScalekitClient) -> None:
    with pytest.raises(ScalekitBadRequestException) as refused:
        client.actions.get_connected_account("not/allowed", "ada")
    violations = refused.value._unpacked_details[0].validation_error_info.field_violations
    assert [(item.field, item.constraint) for item in violations] == [("connector", "pattern")]


def test_twenty_reads_at_expiry_cause_one_refresh(house: House, client: ScalekitClient) -> None:
    with house.sandbox.switched(access_lifetime=1):
        connector, identifier, tokens = house.connector(), house.new("user"), house.granted()
    ends = datetime.now(UTC) + timedelta(seconds=1)
    brought = house.post(
        f"/user_management/users/{identifier}/connected_accounts/{connector}",
        access_token=tokens.access,
        refresh_token=tokens.refresh,
        expires_at=ends.isoformat(),
    )
    assert brought.status_code == 201, brought.text
    time.sleep(1.2)
    before = house.sandbox.requests("refresh_token")
    with ThreadPoolExecutor(20) as pool:
        read = list(pool.map(lambda _: _token(client, connector, identifier), range(20)))
    assert len(set(read)) == 1 and house.sandbox.admits(read[0])
    assert house.sandbox.requests("refresh_token") - before == 1


@proves("actions.get_connected_account")
def test_a_dead_grant_is_expired_and_holds_no_token(house: House, client: ScalekitClient) -> None:
    connector, identifier = house.connector(), house.new("user")
    ends = datetime.now(UTC) - timedelta(seconds=1)
    house.post(
        f"/user_management/users/{identifier}/connected_accounts/{connector}",
        access_token="at_over",
        refresh_token="rt_revoked",
        expires_at=ends.isoformat(),
    )
    found = client.actions.get_connected_account(connector, identifier).connected_account
    assert (found.status, found.authorization_details) == ("EXPIRED", None)


def test_an_account_is_the_same_at_both_doors(house: House, client: ScalekitClient) -> None:
    connector, identifier = _connected(house, client)
    seen = house.web.get(f"/user_management/users/{identifier}/connected_accounts/{connector}")
    assert seen.status_code == 200 and seen.json()["state"] == "connected", seen.text
    there = house.post(f"/data-integrations/{connector}/token", user_id=identifier).json()
    assert there["access_token"]["access_token"] == _token(client, connector, identifier)
    gone = house.web.delete(f"/user_management/users/{identifier}/connected_accounts/{connector}")
    assert gone.status_code == 204
    with pytest.raises(ScalekitNotFoundException):
        client.actions.get_connected_account(connector, identifier)


def test_a_plain_read_says_what_an_ordinary_one_says_and_is_logged_like_it(
    house: House, client: ScalekitClient
) -> None:
    connector, identifier, tokens = house.built_in(), house.new("user"), house.granted()
    given = {"oauth_token": {"access_token": tokens.access, "scopes": tokens.scopes}}
    made = client.actions.create_connected_account(connector, identifier, given).connected_account
    read = client.connected_accounts.get_connected_account_by_identifier
    ordinary = read(connector=None, identifier=None, connected_account_id=made.id)[0].connected_account
    before = house.reads_logged(identifier)
    plain = read(connector=connector, identifier=identifier)[0].connected_account
    assert plain == ordinary
    assert plain.authorization_details.oauth_token.access_token == tokens.access
    assert house.reads_logged(identifier) == before + 1 == 2


def test_a_revoked_client_reads_nothing_more_though_its_token_is_remembered(
    house: House, client: ScalekitClient
) -> None:
    connector, identifier, tokens = house.built_in(), house.new("user"), house.granted()
    given = {"oauth_token": {"access_token": tokens.access, "scopes": tokens.scopes}}
    client.actions.create_connected_account(connector, identifier, given)
    client_id, secret = house.new_client()
    other = ScalekitClient(house.secure.base_url, client_id, secret)
    assert _token(other, connector, identifier) == _token(other, connector, identifier) == tokens.access
    house.revoke_client(client_id)
    with pytest.raises(ScalekitUnauthorizedException):
        _token(other, connector, identifier)


def test_a_call_with_a_stale_and_a_valid_token_is_answered(house: House, client: ScalekitClient) -> None:
    """The SDK sends two: its current token, and for ever the one it began with."""
    other = ScalekitClient(house.secure.base_url, house.client_id, house.client_secret)
    other.core_client.access_token = "ended"
    with pytest.raises(ScalekitNotFoundException):
        other.actions.get_connected_account("nowhere", "ada")


def _connected(house: House, client: ScalekitClient) -> tuple[str, str]:
    connector, identifier, tokens = house.connector(), house.new("user"), house.granted()
    given: dict[str, Any] = {
        "oauth_token": {"access_token": tokens.access, "refresh_token": tokens.refresh, "scopes": tokens.scopes}
    }
    client.actions.create_connected_account(connector, identifier, given)
    return connector, identifier


def _token(client: ScalekitClient, connector: str, identifier: str) -> str:
    found = client.actions.get_connected_account(connector, identifier).connected_account
    return str(found.authorization_details["oauth_token"]["access_token"])
