"""What this door answers with. Member names and nullability are the wire's; every required key is always there."""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType


class ListMetadata(msgspec.Struct, frozen=True, kw_only=True):
    before: str | None = None
    after: str | None = None


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error body."""

    message: str
    code: str | UnsetType = UNSET
    errors: list[dict[str, str]] | UnsetType = UNSET
    retry_after: int | UnsetType = UNSET


class AccountWarning(msgspec.Struct, frozen=True):
    code: str
    message: str


class ConnectedAccount(msgspec.Struct, frozen=True, kw_only=True):
    object: Literal["connected_account"] = "connected_account"
    id: str
    connection_role: Literal["compatibility", "standard"]
    account_identifier: str | None
    account_display_name: str | None
    user_id: str | None
    organization_id: str | None
    scopes: list[str]
    state: Literal["connected", "needs_reauthorization", "disconnected"]
    auth_method: Literal["oauth", "api_key", "client_credentials"]
    api_key_last_4: str | None
    client_id: str | None | UnsetType = UNSET
    client_secret_last_4: str | None | UnsetType = UNSET
    config: dict[str, str]
    established_by_user_id: str | None
    state_reason: str | None
    warnings: list[AccountWarning] | UnsetType = UNSET
    created_at: str
    updated_at: str


class FinishedConnection(msgspec.Struct, frozen=True):
    connected_account: ConnectedAccount


class DataProvider(msgspec.Struct, frozen=True, kw_only=True):
    object: Literal["data_provider"] = "data_provider"
    id: str
    name: str
    description: str | None
    slug: str
    integration_type: str
    credentials_type: str
    scopes: list[str] | None
    connection_owner: Literal["user", "organization"]
    ownership: Literal["userland_user", "organization"]
    auth_methods: list[str]
    connected_account: ConnectedAccount | None
    connected_accounts: list[ConnectedAccount]
    created_at: str
    updated_at: str


class DataProviderList(msgspec.Struct, frozen=True, kw_only=True):
    object: Literal["list"] = "list"
    data: list[DataProvider]


class IntegrationCredentials(msgspec.Struct, frozen=True, kw_only=True):
    type: Literal["custom", "organization"]
    client_id: str | None
    redacted_client_secret: str | None


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    connection_role: Literal["compatibility", "standard"]
    account_identifier: str | None
    account_display_name: str | None
    user_id: str | None
    organization_id: str | None
    api_key_last_4: str | None


class CustomProvider(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    authorization_url: str | None
    token_url: str | None
    refresh_token_url: str | None
    pkce_enabled: bool
    request_scope_separator: str
    scopes_required: bool
    client_secret_required: bool
    additional_authorization_parameters: dict[str, str]
    token_body_content_type: str
    authenticate_via: Literal["request_body", "basic_auth_header"]


class DataIntegration(msgspec.Struct, frozen=True, kw_only=True):
    object: Literal["data_integration"] = "data_integration"
    id: str
    slug: str
    integration_type: str
    ownership: Literal["user", "organization"]
    description: str | None
    enabled: bool
    state: Literal["valid", "invalid", "requested"]
    scopes: list[str] | None
    redirect_uri: str
    auth_methods: list[str]
    credentials: IntegrationCredentials | None
    installation: Installation | None
    config: dict[str, str]
    custom_provider: CustomProvider | None
    created_at: str
    updated_at: str


class DataIntegrationList(msgspec.Struct, frozen=True, kw_only=True):
    object: Literal["list"] = "list"
    data: list[DataIntegration]
    list_metadata: ListMetadata


class AuthorizeUrl(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    state: str
    completion: Literal["finish_required"] | UnsetType = UNSET


class AccessToken(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    object: Literal["access_token"] = "access_token"
    access_token: str
    expires_at: str | None
    scopes: list[str]
    missing_scopes: list[str]

    def __repr__(self) -> str:
        return "AccessToken(<sealed>)"


class TokenReply(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`active` true comes with `access_token`, false with `error`."""

    active: bool
    access_token: AccessToken | UnsetType = UNSET
    error: str | UnsetType = UNSET


class VendedCredential(msgspec.Struct, frozen=True, kw_only=True):
    object: Literal["credential"] = "credential"
    auth_method: Literal["oauth", "api_key", "client_credentials"]
    value: str
    expires_at: str | None | UnsetType = UNSET
    scopes: list[str] | UnsetType = UNSET
    missing_scopes: list[str] | UnsetType = UNSET
    metadata: dict[str, str] | UnsetType = UNSET
    config: dict[str, str]

    def __repr__(self) -> str:
        return "VendedCredential(<sealed>)"


class CredentialReply(msgspec.Struct, frozen=True, kw_only=True):
    active: bool
    credential: VendedCredential | UnsetType = UNSET
    error: str | UnsetType = UNSET


class ConfigurationCredentials(msgspec.Struct, frozen=True, kw_only=True):
    credentials_type: Literal["shared", "custom", "organization"]
    has_credentials: bool
    client_id: str | None
    client_secret_last_four: str | None
    redirect_uri: str


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    object: Literal["data_integration_configuration"] = "data_integration_configuration"
    id: str
    organization_id: str
    slug: str
    name: str
    enabled: bool
    scopes: list[str] | None
    config: dict[str, str]
    credentials: ConfigurationCredentials | UnsetType = UNSET
    created_at: str
    updated_at: str


class ConfigurationList(msgspec.Struct, frozen=True, kw_only=True):
    object: Literal["list"] = "list"
    data: list[Configuration]


class EventActor(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    source: Literal["api", "dashboard", "admin_portal", "system"]
    name: str | None


class EventContext(msgspec.Struct, frozen=True, kw_only=True):
    actor: EventActor


class Event(msgspec.Struct, frozen=True, kw_only=True):
    object: Literal["event"] = "event"
    id: str
    event: str
    data: dict[str, Any]
    created_at: str
    context: EventContext


class EventList(msgspec.Struct, frozen=True, kw_only=True):
    object: Literal["list"] = "list"
    data: list[Event]
    list_metadata: ListMetadata


class WebhookEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    object: Literal["webhook_endpoint"] = "webhook_endpoint"
    id: str
    endpoint_url: str
    secret: str
    status: Literal["enabled", "disabled"]
    events: list[str]
    created_at: str
    updated_at: str

    def __repr__(self) -> str:
        return f"WebhookEndpoint({self.id})"


class WebhookEndpointList(msgspec.Struct, frozen=True, kw_only=True):
    object: Literal["list"] = "list"
    data: list[WebhookEndpoint]
    list_metadata: ListMetadata


class Role(msgspec.Struct, frozen=True):
    slug: str


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A user is an id of the caller's; the rest of the wire's shape is empty here."""

    object: Literal["user"] = "user"
    id: str
    email: str = ""
    email_verified: bool = False
    first_name: str | None = None
    last_name: str | None = None
    profile_picture_url: str | None = None
    external_id: str | None = None
    last_sign_in_at: str | None = None
    created_at: str
    updated_at: str


class OrganizationMembership(msgspec.Struct, frozen=True, kw_only=True):
    object: Literal["organization_membership"] = "organization_membership"
    id: str
    user_id: str
    organization_id: str
    status: Literal["active", "inactive", "pending"]
    directory_managed: bool = False
    role: Role
    roles: list[Role]
    user: User
    created_at: str
    updated_at: str


class OrganizationMembershipList(msgspec.Struct, frozen=True, kw_only=True):
    object: Literal["list"] = "list"
    data: list[OrganizationMembership]
    list_metadata: ListMetadata


class RedirectUri(msgspec.Struct, frozen=True, kw_only=True):
    object: Literal["redirect_uri"] = "redirect_uri"
    id: str
    uri: str
    default: bool
    created_at: str
    updated_at: str


class RedirectUriList(msgspec.Struct, frozen=True, kw_only=True):
    object: Literal["list"] = "list"
    data: list[RedirectUri]
    list_metadata: ListMetadata
