"""What this door accepts: bodies and queries. UNSET = the caller did not mention it; null is a value of its own."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

Text = Annotated[str, Meta(min_length=1, max_length=2048)]
OwnerId = Annotated[str, Meta(min_length=1, max_length=256)]
SecretText = Annotated[str, Meta(min_length=1, max_length=16384)]
Label = Annotated[str, Meta(max_length=512)]
Slug = Annotated[str, Meta(min_length=1, max_length=128)]
Scopes = Annotated[list[Annotated[str, Meta(min_length=1, max_length=512)]], Meta(max_length=200)]
Config = dict[Annotated[str, Meta(max_length=128)], Annotated[str, Meta(max_length=2048)]]
AccountId = Annotated[str, Meta(pattern="^data_installation_.+$", max_length=64)]
Ownership = Literal["user", "organization"]
AuthMethod = Literal["oauth", "api_key", "client_credentials"]
Order = Literal["asc", "desc", "normal"]
Limit = Annotated[int, Meta(ge=1, le=100)]


class _In(msgspec.Struct, frozen=True, kw_only=True):
    pass


class PageQuery(_In, frozen=True, kw_only=True):
    limit: Limit = 10
    before: str | None = None
    after: str | None = None
    order: Order = "normal"


class IntegrationsQuery(PageQuery, frozen=True, kw_only=True):
    ownership: Ownership | None = None


class CredentialsIn(_In, frozen=True, kw_only=True):
    type: Literal["custom", "organization"]
    client_id: Text | None = None
    client_secret: SecretText | None = None


class ApiKeyInstallationIn(_In, frozen=True, kw_only=True):
    secret: SecretText
    user_id: OwnerId
    organization_id: OwnerId | None = None


class CustomProviderIn(_In, frozen=True, kw_only=True):
    """For a new provider `name` is required; in an update what is left out stays."""

    name: Text | UnsetType = UNSET
    authorization_url: Text | None | UnsetType = UNSET
    token_url: Text | None | UnsetType = UNSET
    refresh_token_url: Text | None | UnsetType = UNSET
    pkce_enabled: bool | UnsetType = UNSET
    request_scope_separator: Annotated[str, Meta(min_length=1, max_length=4)] | UnsetType = UNSET
    scopes_required: bool | UnsetType = UNSET
    client_secret_required: bool | UnsetType = UNSET
    additional_authorization_parameters: Config | UnsetType = UNSET
    token_body_content_type: Literal["application/x-www-form-urlencoded", "application/json"] | UnsetType = UNSET
    authenticate_via: Literal["request_body", "basic_auth_header"] | UnsetType = UNSET


class CreateDataIntegration(_In, frozen=True, kw_only=True):
    provider: Slug
    ownership: Ownership = "user"
    description: Label | None = None
    enabled: bool = False
    scopes: Scopes | None = None
    auth_methods: Annotated[list[AuthMethod], Meta(min_length=1, max_length=1)] | None = None
    config: Config | None = None
    credentials: CredentialsIn | None = None
    api_key: ApiKeyInstallationIn | None = None
    custom_provider: CustomProviderIn | None = None


class UpdateDataIntegration(_In, frozen=True, kw_only=True):
    description: Label | None | UnsetType = UNSET
    enabled: bool | None = None
    scopes: Scopes | None | UnsetType = UNSET
    required_scopes: Scopes | None = None
    """Ours: scopes without which an account needs a new authorisation."""
    credentials: CredentialsIn | None = None
    api_key: ApiKeyInstallationIn | None = None
    custom_provider: CustomProviderIn | None = None


class Authorize(_In, frozen=True, kw_only=True):
    user_id: OwnerId
    organization_id: OwnerId | None = None
    connection_owner: Ownership | None = None
    return_to: Annotated[str, Meta(min_length=1, max_length=2048)] | None = None
    code_challenge: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{43}$")] | None = None
    code_challenge_method: Literal["S256"] | None = None
    config: Config | None = None
    connection_intent: Literal["add", "reauthorize"] | None = None
    connected_account_id: AccountId | None = None
    account_display_name: Label | None | UnsetType = UNSET
    allow_account_switch: bool = False
    """Ours: let a reconnect come back as another account at the provider."""


class Finish(_In, frozen=True, kw_only=True):
    connect_code: Text
    code_verifier: Annotated[str, Meta(pattern="^[A-Za-z0-9._~-]{43,128}$")]
    state: Annotated[str, Meta(max_length=2048)] | None = None


class Vend(_In, frozen=True, kw_only=True):
    """Body of /token and /credentials."""

    user_id: OwnerId
    organization_id: OwnerId | None = None
    connected_account_id: AccountId | None = None
    connection_owner: Ownership | None = None
    supports_multiple_connections: bool | None = None
    min_ttl: Annotated[int, Meta(ge=0, le=3600)] | None = None
    """Ours: seconds the token must still live; one with less is refreshed first."""


class _Labels(_In, frozen=True, kw_only=True):
    account_display_name: Label | None | UnsetType = UNSET
    account_identifier: Label | None | UnsetType = UNSET


class CreateApiKey(_Labels, frozen=True, kw_only=True):
    user_id: OwnerId
    secret: SecretText
    connection_intent: Literal["add"]
    organization_id: OwnerId | None = None
    connection_owner: Ownership | None = None


class PutApiKey(_Labels, frozen=True, kw_only=True):
    user_id: OwnerId
    secret: SecretText
    organization_id: OwnerId | None = None
    connection_owner: Ownership | None = None
    connection_intent: Literal["reauthorize"] | None = None
    connected_account_id: AccountId | None = None


class CreateClientCredentials(_Labels, frozen=True, kw_only=True):
    user_id: OwnerId
    client_id: Text
    client_secret: SecretText
    connection_intent: Literal["add"]
    organization_id: OwnerId | None = None
    connection_owner: Ownership | None = None
    config: Config | None = None


class PutClientCredentials(_Labels, frozen=True, kw_only=True):
    user_id: OwnerId
    client_id: Text
    client_secret: SecretText
    organization_id: OwnerId | None = None
    connection_owner: Ownership | None = None
    connection_intent: Literal["reauthorize"] | None = None
    connected_account_id: AccountId | None = None
    config: Config | None = None


class OneAccountQuery(_In, frozen=True, kw_only=True):
    organization_id: OwnerId | None = None
    supports_multiple_connections: bool = False
    connected_account_id: AccountId | None = None
    connection_intent: Literal["reauthorize"] | None = None


class ImportQuery(_In, frozen=True, kw_only=True):
    organization_id: OwnerId | None = None


class ImportTokens(_Labels, frozen=True, kw_only=True):
    """Body of the import calls; `user_id` is the acting member where an organization owns the account."""

    user_id: OwnerId | None = None
    access_token: SecretText | None = None
    refresh_token: SecretText | None = None
    expires_at: str | None | UnsetType = UNSET
    scopes: Scopes | None | UnsetType = UNSET
    state: Literal["connected", "needs_reauthorization"] | None = None
    connection_intent: Literal["add"] | None = None


class ProvidersQuery(_In, frozen=True, kw_only=True):
    organization_id: OwnerId | None = None
    supports_multiple_connections: bool = False


class Configure(_In, frozen=True, kw_only=True):
    enabled: bool | None = None
    scopes: Scopes | None | UnsetType = UNSET
    client_id: Text | None = None
    client_secret: SecretText | None = None
    config: Config | None = None


class EventsQuery(_In, frozen=True, kw_only=True):
    events: Annotated[list[str], Meta(min_length=1)]
    limit: Limit = 10
    before: str | None = None
    after: str | None = None
    order: Order = "asc"
    range_start: str | None = None
    range_end: str | None = None
    organization_id: str | None = None


class CreateWebhookEndpoint(_In, frozen=True, kw_only=True):
    endpoint_url: Text
    events: Annotated[list[Text], Meta(min_length=1, max_length=100)]


class UpdateWebhookEndpoint(_In, frozen=True, kw_only=True):
    endpoint_url: Text | None = None
    status: Literal["enabled", "disabled"] | None = None
    events: Annotated[list[Text], Meta(min_length=1, max_length=100)] | None = None


class MembershipsQuery(PageQuery, frozen=True, kw_only=True):
    user_id: OwnerId | None = None
    organization_id: OwnerId | None = None
    statuses: list[Literal["active", "inactive", "pending"]] = []


class CreateMembership(_In, frozen=True, kw_only=True):
    user_id: OwnerId
    organization_id: OwnerId
    role_slug: Slug | None = None
    role_slugs: list[Slug] | None = None


class UpdateMembership(_In, frozen=True, kw_only=True):
    role_slug: Slug | None = None
    role_slugs: list[Slug] | None = None


class CreateRedirectUri(_In, frozen=True, kw_only=True):
    uri: Text
