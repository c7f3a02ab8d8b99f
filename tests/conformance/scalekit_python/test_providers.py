"""`client.actions.providers`: providers that an environment defines, as the SDK's own models write and read them."""

import pytest
from scalekit import ScalekitClient
from scalekit.actions.models.custom_provider import AuthField, AuthPattern, OAuthConfig
from scalekit.actions.models.requests.create_custom_provider_request import CreateCustomProviderRequest
from scalekit.actions.models.requests.delete_custom_provider_request import DeleteCustomProviderRequest
from scalekit.actions.models.requests.list_providers_request import ListProvidersRequest
from scalekit.actions.models.requests.update_custom_provider_request import UpdateCustomProviderRequest
from scalekit.common.exceptions import ScalekitBadRequestException, ScalekitNotFoundException
from scalekit.v1.connections.connections_pb2 import CreateConnection, UpdateConnection

from tests.conformance.report import proves
from tests.conformance.scalekit_house import House

URL = "https://api.acme.example"


@proves(
    "actions.providers.create_custom_provider",
    "actions.providers.list_providers",
    "actions.providers.update_custom_provider",
    "actions.providers.delete_custom_provider",
)
def test_a_provider_is_defined_changed_and_deleted(house: House, client: ScalekitClient) -> None:
    providers = client.actions.providers
    field = AuthField(field_name="api_key", label="API key", input_type="password", required=True)
    pattern = AuthPattern(type="API_KEY", display_name="Key", fields=[field], auth_header_key_override="x-api-key")
    made = providers.create_custom_provider(
        CreateCustomProviderRequest(
            display_name="Acme Rockets", proxy_url=URL, auth_patterns=[pattern], metadata={"tier": "gold"}
        )
    ).provider
    assert made.is_custom and made.proxy_enabled and made.identifier == made.identifier.upper()
    assert [one.to_dict() for one in made.auth_patterns] == [pattern.to_dict()]
    listed = providers.list_providers(ListProvidersRequest(identifier=made.identifier)).providers
    assert listed == [made]
    changed = providers.update_custom_provider(
        UpdateCustomProviderRequest(identifier=made.identifier, display_name="Acme Two", proxy_url=f"{URL}/v2")
    ).provider
    assert (changed.display_name, changed.proxy_url, changed.proxy_enabled) == ("Acme Two", f"{URL}/v2", True)
    assert changed.auth_patterns == made.auth_patterns and changed.metadata == {"tier": "gold"}
    key = client.connection.create_environment_connection(CreateConnection(provider_key=made.identifier))[0].connection
    user = house.new("user")
    client.actions.create_connected_account(key.key_id, user, {"static_auth": {"api_key": "k-1234567"}})
    found = client.actions.get_connected_account(key.key_id, user).connected_account
    assert (found.provider, found.status) == (made.identifier, "ACTIVE")
    with pytest.raises(ScalekitBadRequestException):
        providers.delete_custom_provider(DeleteCustomProviderRequest(identifier=made.identifier))
    unused = providers.create_custom_provider(
        CreateCustomProviderRequest(display_name="Unused", proxy_url=URL, auth_patterns=[pattern])
    ).provider
    providers.delete_custom_provider(DeleteCustomProviderRequest(identifier=unused.identifier))
    with pytest.raises(ScalekitNotFoundException):
        providers.delete_custom_provider(DeleteCustomProviderRequest(identifier=unused.identifier))


def test_accounts_connect_to_a_provider_that_was_defined_with_endpoints(house: House, client: ScalekitClient) -> None:
    config = OAuthConfig(
        pkce_enabled=True,
        authorize_uri=house.sandbox.authorize_url,
        token_uri=house.sandbox.token_url,
        token_endpoint_auth_method="client_secret_basic",
        available_scopes=[{"scope": "read", "required": True}],
    )
    pattern = AuthPattern(type="OAUTH", display_name="Acme", oauth_config=config)
    made = client.actions.providers.create_custom_provider(
        CreateCustomProviderRequest(display_name="Acme", proxy_url=URL, auth_patterns=[pattern])
    ).provider
    connection = client.connection.create_environment_connection(CreateConnection(provider_key=made.identifier))[0]
    update = UpdateConnection()
    update.oauth_config.client_id.value = house.sandbox.client_id
    update.oauth_config.client_secret.value = house.sandbox.client_secret
    client.connection.update_environment_connection(connection.connection.id, update)
    name, user, tokens = connection.connection.key_id, house.new("user"), house.granted()
    client.actions.create_connected_account(name, user, {"oauth_token": {"refresh_token": tokens.refresh}})
    found = client.actions.get_connected_account(name, user).connected_account
    assert house.sandbox.admits(found.authorization_details["oauth_token"]["access_token"])


@proves("actions.providers.list_providers")
def test_the_catalogue_can_be_read_by_the_sdks_models(client: ScalekitClient) -> None:
    seen, token = [], None
    while True:
        page = client.actions.providers.list_providers(
            ListProvidersRequest(provider_type=0, page_size=10, page_token=token)
        )
        seen += page.providers
        token = page.next_page_token
        if not token:
            break
    assert len({one.identifier for one in seen}) == len(seen) > 30
    github = next(one for one in seen if one.identifier == "GITHUB")
    assert [one.type for one in github.auth_patterns] == ["OAUTH"]
    assert not any(one.is_custom for one in seen)
