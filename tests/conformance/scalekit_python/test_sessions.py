"""Long-lived clients: tokens that end under them, ours and providers'; and calls of providers through the proxy."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from scalekit import ScalekitClient
from scalekit.common.exceptions import ScalekitGatewayTimeoutException, ScalekitUnauthorizedException

from tests.conformance.report import proves
from tests.conformance.scalekit_house import House
from tests.parts.browser import Browser

ROUTE = "/echo/widgets"


def test_a_revoked_platform_token_costs_the_next_call_a_sign_in_and_nothing_else(house: House) -> None:
    connector, identifier = house.connector(), house.new("user")
    first, second = _client(house), _client(house)
    client = ScalekitClient(house.secure.base_url, *first)
    client.actions.create_connected_account(connector, identifier)
    before = client.core_client.access_token
    client.core_client.client_id, client.core_client.client_secret = second
    house.cli("clients", "revoke", first[0])
    found = client.actions.get_connected_account(connector, identifier).connected_account
    assert (found.identifier, found.status) == (identifier, "PENDING_AUTH")
    assert client.core_client.access_token != before
    house.cli("clients", "revoke", second[0])
    with pytest.raises(ScalekitUnauthorizedException):
        client.actions.get_connected_account(connector, identifier)


def test_twenty_clients_at_expiry_cause_one_refresh(house: House) -> None:
    with house.sandbox.switched(access_lifetime=1):
        connector, identifier, tokens = house.connector(), house.new("user"), house.granted()
    house.expiring(connector, identifier, tokens.access, tokens.refresh, 1)
    clients = [ScalekitClient(house.secure.base_url, house.client_id, house.client_secret) for _ in range(4)]
    time.sleep(1.2)
    before = house.sandbox.requests("refresh_token")

    def read(place: int) -> str:
        found = clients[place % 4].actions.get_connected_account(connector, identifier).connected_account
        return str(found.authorization_details["oauth_token"]["access_token"])

    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(read, range(20)))
    assert len(set(found)) == 1
    assert house.sandbox.requests("refresh_token") - before == 1


def test_a_caller_whose_deadline_passes_during_a_refresh_finds_the_new_token_next_time(house: House) -> None:
    with house.sandbox.switched(access_lifetime=1):
        connector, identifier, tokens = house.connector(), house.new("user"), house.granted()
    house.expiring(connector, identifier, tokens.access, tokens.refresh, 1)
    hasty = ScalekitClient(house.secure.base_url, house.client_id, house.client_secret, call_timeout_s=1)
    time.sleep(1.2)
    before = house.sandbox.requests("refresh_token")
    with house.sandbox.switched(slow_seconds=3):
        with pytest.raises(ScalekitGatewayTimeoutException):
            hasty.actions.get_connected_account(connector, identifier)
        patient = ScalekitClient(house.secure.base_url, house.client_id, house.client_secret)
        found = patient.actions.get_connected_account(connector, identifier).connected_account
    assert house.sandbox.admits(found.authorization_details["oauth_token"]["access_token"])
    assert house.sandbox.requests("refresh_token") - before == 1


@proves("actions.get_authorization_link", "actions.verify_connected_account_user", "actions.request")
def test_a_linked_account_calls_its_provider_through_the_proxy(house: House, client: ScalekitClient) -> None:
    connector, identifier = house.own_sandbox(), house.new("user")
    _connect(house, client, connector, identifier)
    reply = client.actions.request(
        connector, identifier, ROUTE, method="POST", query_params={"a": "b"}, body={"n": 1}, headers={"x-mine": "yes"}
    )
    assert reply.status_code == 200, reply.text
    told = reply.json()
    assert told["method"] == "POST" and told["path"].endswith("/widgets")
    assert reply.headers["x-holdfast-upstream-status"] == "200"
    client.core_client.access_token = "made-up"  # what the proxy refuses costs the SDK one sign-in
    assert client.actions.request(connector, identifier, ROUTE).status_code == 200
    nobody = client.actions.request(connector, "nobody", ROUTE)
    assert nobody.status_code == 400 and "is not connected" in nobody.json()["message"]
    assert "x-holdfast-upstream-status" not in nobody.headers


def test_a_dead_grant_is_expired_and_the_proxy_says_why(house: House, client: ScalekitClient) -> None:
    connector, identifier = house.own_sandbox(), house.new("user")
    house.expiring(connector, identifier, "at_over", "rt_revoked", -1)
    found = client.actions.get_connected_account(connector, identifier).connected_account
    assert (found.status, found.authorization_details) == ("EXPIRED", None)
    told = client.actions.request(connector, identifier, ROUTE)
    assert told.status_code == 400
    words = told.json()["message"]
    assert "has to be authorised again: " in words, words
    assert len(words.partition("again: ")[2]) > 20, words
    listed = house.cli("accounts", "list", "--user", identifier, "--connection", connector)
    assert "expired" in listed and "refresh_refused" in listed


@proves("actions.get_authorization_link", "actions.verify_connected_account_user")
def test_an_account_connected_at_one_door_is_read_refreshed_and_deleted_at_the_other(
    house: House, client: ScalekitClient
) -> None:
    connector, identifier = house.own_sandbox(), house.new("user")
    account_id = _connect(house, client, connector, identifier)
    path = f"/user_management/users/{identifier}/connected_accounts/{connector}"
    there = house.web.get(path).json()
    assert (there["id"].rpartition("_")[2], there["state"]) == (account_id.rpartition("_")[2], "connected")
    token = house.post(f"/data-integrations/{connector}/token", user_id=identifier).json()["access_token"]
    here = client.actions.get_connected_account(connector, identifier).connected_account
    assert token["access_token"] == here.authorization_details["oauth_token"]["access_token"]
    client.actions.delete_connected_account(connector, identifier)
    assert house.web.get(path).status_code == 404


def _connect(house: House, client: ScalekitClient, connector: str, identifier: str) -> str:
    """Take a user through a magic link with verification, as an app does; return the account's id."""
    back = "http://localhost:3000/verified?app=1"
    link = client.actions.get_authorization_link(
        connection_name=connector, identifier=identifier, state="of the app", user_verify_url=back
    )
    with Browser(house.authority) as person:
        landed = person.walk(link.link, stop_at="http://localhost:3000")
        told = _query(landed)
        assert (told["app"], told["state"]) == ("1", "of the app")
        waiting = client.actions.get_connected_account(connector, identifier).connected_account
        assert (waiting.status, waiting.authorization_details) == ("PENDING_VERIFICATION", None)
        done = client.actions.verify_connected_account_user(told["auth_request_id"], identifier)
        assert done.post_user_verify_redirect_url == house.secure.base_url + "/connect/success"
        assert person.get(done.post_user_verify_redirect_url).status == 200
    return str(client.actions.get_connected_account(connector, identifier).connected_account.id)


def _query(url: str) -> dict[str, str]:
    from urllib.parse import parse_qsl, urlsplit

    return dict(parse_qsl(urlsplit(url).query))


def _client(house: House) -> tuple[str, str]:
    identity, secret = house.cli("clients", "create", "--name", house.new("client")).split()
    return identity, secret
