"""`client.connection`: an environment's connections, made and completed; and what is asked of them wrongly."""

import pytest
from google.protobuf.wrappers_pb2 import BoolValue, StringValue
from scalekit import ScalekitClient
from scalekit.common.exceptions import ScalekitBadRequestException, ScalekitNotFoundException
from scalekit.v1.connections.connections_pb2 import (
    OAUTH,
    CreateConnection,
    Flags,
    GetConnectionContextRequest,
    OAuthConnectionConfig,
    OauthExtensions,
    UpdateConnection,
    UpdateConnectionContextRequest,
)

from tests.conformance.report import proves
from tests.conformance.scalekit_house import House


@proves(
    "connection.create_environment_connection",
    "connection.get_environment_connection",
    "connection.update_environment_connection",
)
def test_a_connection_is_made_completed_and_used(house: House, client: ScalekitClient) -> None:
    asked = CreateConnection(provider_key="HUBSPOT", type=OAUTH)
    made = client.connection.create_environment_connection(asked, Flags(is_app=True))[0].connection
    assert made.id.startswith("conn_") and made.key_id.startswith("hubspot") and made.enabled
    assert made.oauth_config.redirect_uri == f"{house.secure.base_url}/sso/v1/oauth/{made.id}/callback"
    config = OAuthConnectionConfig(
        client_id=StringValue(value="an-id"), client_secret=StringValue(value="a-secret-0123"), scopes=["crm.read"]
    )
    changed = client.connection.update_environment_connection(made.id, UpdateConnection(oauth_config=config))[0]
    assert list(changed.connection.oauth_config.scopes) == ["crm.read"]
    found = client.connection.get_environment_connection(made.id)[0].connection
    assert found == changed.connection
    assert found.oauth_config.client_id.value == "an-id" and not found.oauth_config.client_secret.value
    account = client.actions.get_or_create_connected_account(made.key_id, house.new("user")).connected_account
    assert (account.provider, account.status) == ("HUBSPOT", "PENDING_AUTH")


def test_oauth_settings_are_kept_shown_and_changed(house: House, client: ScalekitClient) -> None:
    asked = CreateConnection(provider_key="GOOGLE", type=OAUTH)
    made = client.connection.create_environment_connection(asked)[0].connection
    config = OAuthConnectionConfig(
        prompt=StringValue(value="select_account"),
        access_type=StringValue(value=""),
        pkce_enabled=BoolValue(value=False),
        token_endpoint_auth_method=StringValue(value="client_secret_basic"),
        extensions=OauthExtensions(extra_authorize_params={"hd": "acme.example"}),
    )
    client.connection.update_environment_connection(made.id, UpdateConnection(oauth_config=config))
    found = client.connection.get_environment_connection(made.id)[0].connection.oauth_config
    assert (found.prompt.value, found.HasField("access_type")) == ("select_account", False)
    assert (found.pkce_enabled.value, found.token_endpoint_auth_method.value) == (False, "client_secret_basic")
    assert dict(found.extensions.extra_authorize_params) == {"hd": "acme.example"}
    again = client.connection.update_environment_connection(made.id, UpdateConnection(oauth_config=found))[0]
    assert again.connection.oauth_config == found
    elsewhere = OAuthConnectionConfig(token_uri=StringValue(value="https://evil.example/token"))
    with pytest.raises(ScalekitBadRequestException, match="custom provider"):
        client.connection.update_environment_connection(made.id, UpdateConnection(oauth_config=elsewhere))


def test_tokens_are_asked_for_as_the_connection_says_its_client_proves_itself(
    house: House, client: ScalekitClient
) -> None:
    made = client.connection.list_app_connections(query=house.connector())[0].connections[0]
    user, details = house.new("user"), {"oauth_token": {"refresh_token": house.granted().refresh}}

    def set_method(method: str) -> None:
        config = OAuthConnectionConfig(token_endpoint_auth_method=StringValue(value=method))
        client.connection.update_environment_connection(made.id, UpdateConnection(oauth_config=config))

    set_method("none")
    with pytest.raises(ScalekitBadRequestException, match="client_secret is wrong"):
        client.actions.create_connected_account(made.key_id, user, details)
    set_method("client_secret_post")
    client.actions.create_connected_account(made.key_id, user, details)
    found = client.actions.get_connected_account(made.key_id, user).connected_account
    assert house.sandbox.admits(found.authorization_details["oauth_token"]["access_token"])


@proves("connection.list_app_connections")
def test_connections_are_listed_in_pages_and_found_by_name_and_provider(house: House, client: ScalekitClient) -> None:
    word = house.new("listed").replace("_", "-")
    made = [
        client.connection.create_environment_connection(
            CreateConnection(provider_key="LINEAR", type=OAUTH, key_id=f"{word}-{number}")
        )[0].connection.id
        for number in range(3)
    ]
    first = client.connection.list_app_connections(page_size=2, query=word)[0]
    assert [one.id for one in first.connections] == made[:0:-1] and first.total_size == 3
    second = client.connection.list_app_connections(page_size=2, page_token=first.next_page_token, query=word)[0]
    assert [one.id for one in second.connections] == made[:1]
    back = client.connection.list_app_connections(page_size=2, page_token=second.prev_page_token, query=word)[0]
    assert [one.id for one in back.connections] == made[:0:-1]
    linear = client.connection.list_app_connections(provider="LINEAR")[0].connections
    assert {one.provider_key for one in linear} == {"LINEAR"}
    there = house.connector()
    assert [one.key_id for one in client.connection.list_app_connections(query=there)[0].connections] == [there]


def test_bad_connections_are_refused_by_name(client: ScalekitClient) -> None:
    with pytest.raises(ScalekitNotFoundException):
        client.connection.get_environment_connection("conn_01JZZZZZZZZZZZZZZZZZZZZZZZ")
    with pytest.raises(ScalekitNotFoundException):
        client.connection.create_environment_connection(CreateConnection(provider_key="NOSUCH", type=OAUTH))
    with pytest.raises(ScalekitBadRequestException) as refused:
        client.connection.list_app_connections(page_size=31)
    assert refused.value.error_code == "INVALID_ARGUMENT"
    violations = refused.value._unpacked_details[0].validation_error_info.field_violations
    assert [(item.field, item.constraint) for item in violations] == [("page_size", "lte")]


def test_an_organization_has_a_context_of_its_own(house: House, client: ScalekitClient) -> None:
    made = client.connection.create_environment_connection(
        CreateConnection(provider_key="ZENDESK", key_id=house.new("desk").replace("_", "-"))
    )[0].connection
    stub, execute = client.connection.connection_service, client.core_client.grpc_exec
    asked = UpdateConnectionContextRequest(connection_id=made.id, organization_id="org_acme")
    asked.context.update({"subdomain": "acme"})
    execute(stub.UpdateConnectionContext.with_call, asked)
    where = GetConnectionContextRequest(connection_id=made.id, organization_id="org_acme")
    found = execute(stub.GetConnectionContext.with_call, where)[0]
    assert dict(found.context) == {"subdomain": "acme"}
    everybodys = execute(stub.GetConnectionContext.with_call, GetConnectionContextRequest(connection_id=made.id))[0]
    assert dict(everybodys.context) == {}
