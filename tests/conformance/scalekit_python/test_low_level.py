"""`client.connected_accounts`, which `client.actions` is made of: each method by itself, with wire messages."""

import importlib
import inspect
from pathlib import Path

from scalekit import ScalekitClient
from scalekit.actions.actions import ActionClient, ActionProviders
from scalekit.connected_accounts import ConnectedAccountsClient
from scalekit.events import EventsClient
from scalekit.v1.connected_accounts import connected_accounts_pb2 as wire

from tests.conformance.report import proves
from tests.conformance.scalekit_house import House
from tests.parts.browser import Browser

ACCOUNTS = {
    "create_connected_account",
    "delete_connected_account",
    "get_authorization_link",
    "get_connected_account",
    "get_connected_account_details",
    "get_or_create_connected_account",
    "list_connected_accounts",
    "request",
    "update_connected_account",
    "upsert_connected_account",
    "verify_connected_account_user",
}
"""What of `client.actions` is about accounts and the calls made with them; the rest is tools and MCP servers."""


@proves(
    "connected_accounts.create_connected_account",
    "connected_accounts.get_connected_account_by_identifier",
    "connected_accounts.get_connected_account_details_by_identifier",
    "connected_accounts.update_connected_account",
    "connected_accounts.get_magic_link_for_connected_account",
    "connected_accounts.verify_connected_account_user",
    "connected_accounts.list_connected_accounts",
    "connected_accounts.delete_connected_account",
)
def test_an_account_goes_from_an_invitation_to_its_end(house: House, client: ScalekitClient) -> None:
    accounts, connector, identifier = client.connected_accounts, house.own_sandbox(), house.new("user")
    made = accounts.create_connected_account(connector, identifier, wire.CreateConnectedAccount())[0].connected_account
    assert made.status == wire.PENDING_AUTH
    link = accounts.get_magic_link_for_connected_account(
        None, None, connected_account_id=made.id, user_verify_url="http://localhost:3000/back?x=1"
    )[0]
    assert 0 < link.expiry.seconds - made.updated_at.seconds <= 70
    with Browser(house.authority) as person:
        landed = person.walk(link.link, stop_at="http://localhost:3000/back")
    request = landed.partition("auth_request_id=")[2].partition("&")[0]
    assert accounts.verify_connected_account_user(request, identifier)[0].post_user_verify_redirect_url
    changed = wire.UpdateConnectedAccount()
    changed.api_config.update({"version": "v2"})
    accounts.update_connected_account(connector, identifier, changed)
    read = accounts.get_connected_account_by_identifier(None, None, connected_account_id=made.id)[0].connected_account
    assert (read.status, read.authorization_type) == (wire.ACTIVE, wire.OAUTH)
    assert read.authorization_details.oauth_token.access_token
    assert read.connection_id.startswith("conn_") and read.HasField("token_expires_at")
    plain = accounts.get_connected_account_details_by_identifier(connector, identifier)[0].connected_account
    assert not plain.HasField("authorization_details") and plain.HasField("last_used_at")
    assert dict(plain.api_config) == {"version": "v2"}
    assert accounts.list_connected_accounts(identifier=identifier)[0].connected_accounts[0].id == made.id
    accounts.delete_connected_account(None, None, connected_account_id=made.id)
    assert not accounts.list_connected_accounts(identifier=identifier)[0].connected_accounts


BESIDE = {
    "connection": {
        "create_environment_connection",
        "get_environment_connection",
        "update_environment_connection",
        "list_app_connections",
    },
    "organization": {"create_organization", "get_organization", "list_organizations", "delete_organization"},
}
"""What of services that are about signing people in an app with connected accounts uses."""


def methods_of(service: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(service, inspect.isfunction) if name[0] != "_"}


def test_no_method_on_accounts_providers_and_events_is_left_out() -> None:
    wanted = {f"{service}.{name}" for service, names in BESIDE.items() for name in names}
    wanted |= {f"connected_accounts.{name}" for name in methods_of(ConnectedAccountsClient)}
    wanted |= {f"actions.{name}" for name in ACCOUNTS}
    wanted |= {f"actions.providers.{name}" for name in methods_of(ActionProviders)}
    wanted |= {f"events.{name}" for name in methods_of(EventsClient)}
    assert {name for name in dir(ActionClient) if "connected_account" in name} <= ACCOUNTS
    claimed = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        module = importlib.import_module(f"{__package__}.{path.stem}")
        for _, test in inspect.getmembers(module, inspect.isfunction):
            marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name == "proves"]
            claimed.update(method for mark in marks for method in mark.args)
    assert wanted - claimed == set()
