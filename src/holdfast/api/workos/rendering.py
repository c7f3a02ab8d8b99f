"""Our records in this wire's shapes."""

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import UNSET, UnsetType

from holdfast import ids
from holdfast.accounts import Account, Reason
from holdfast.api.workos.naming import ACCOUNT, INTEGRATION, State, is_shown, state_of
from holdfast.api.workos.outputs import (
    AccountWarning,
    Configuration,
    ConfigurationCredentials,
    ConnectedAccount,
    CustomProvider,
    DataIntegration,
    DataProvider,
    Installation,
    IntegrationCredentials,
)
from holdfast.clock import iso
from holdfast.connections import Client, Connection, Effective, Override
from holdfast.connections.connection import redirect_uri
from holdfast.oauth2.dialect import Dialect
from holdfast.oauth2.scopes import missing
from holdfast.providers.entry import Method, Provider
from holdfast.tokens.policy import missing_required

DUPLICATE_LABEL = AccountWarning(
    "duplicate_account_display_name", "another account of this owner has the same display name"
)


def connected_account(account: Account, effective: Effective, *, duplicate_label: bool = False) -> ConnectedAccount:
    """Render an account. Only a write whose label is another account's too carries warnings."""
    secret_client = account.method == "client_credentials"
    warnings: list[AccountWarning] | UnsetType = UNSET
    if duplicate_label:
        warnings = [DUPLICATE_LABEL]
    return ConnectedAccount(
        id=ids.with_prefix(ACCOUNT, account.id),
        connection_role=account.role,
        account_identifier=account.identifier,
        account_display_name=account.label,
        user_id=account.owner.user_id or None,
        organization_id=account.owner.organization_id or None,
        scopes=list(account.scopes),
        state=_state(account, effective),
        auth_method=shown_method(account.method),
        api_key_last_4=account.last4 if account.method == "api_key" else None,
        client_id=account.oauth_client_id if secret_client else UNSET,
        client_secret_last_4=account.last4 if secret_client else UNSET,
        config=_installation_config(account.config, effective.provider),
        established_by_user_id=account.established_by,
        state_reason=account.reason.value if account.reason is Reason.MEMBERSHIP_ENDED else None,
        warnings=warnings,
        created_at=iso(account.created_at),
        updated_at=iso(account.updated_at),
    )


def _state(account: Account, effective: Effective) -> State:
    state = state_of(account)
    dialect = effective.provider.oauth2
    if state == "connected" and account.method == "oauth" and dialect is not None:
        absent = missing(effective.scopes, account.scopes, dialect.scope_implies)
        if missing_required(account, effective.connection.required_scopes, absent):
            return "needs_reauthorization"
    return state


def _installation_config(config: Mapping[str, str], provider: Provider) -> dict[str, str]:
    declared = {name for name, item in provider.config.items() if item.scope == "installation" and not item.secret}
    return {name: value for name, value in config.items() if name in declared}


def data_integration(
    connection: Connection,
    provider: Provider,
    client: Client | None,
    base_url: str,
    installation: Account | None = None,
) -> DataIntegration:
    oauth = connection.method == "oauth"
    complete = (
        not oauth
        or connection.client_supply == "organization"
        or (client is not None and (client.secret is not None or not _needs_secret(provider)))
    )
    return DataIntegration(
        id=ids.with_prefix(INTEGRATION, connection.id),
        slug=connection.name,
        integration_type=connection.name,
        ownership=connection.owner_kind,
        description=connection.description,
        enabled=connection.enabled,
        state="valid" if complete and connection.alert is None else "invalid",
        scopes=None if connection.scopes is None else list(connection.scopes),
        redirect_uri=redirect_uri(base_url, connection),
        auth_methods=[connection.method],
        credentials=_credentials(connection, client) if oauth else None,
        installation=None if installation is None else _installation(installation),
        config=_disclosed(connection.config, provider),
        custom_provider=custom_provider(provider) if provider.custom else None,
        created_at=iso(connection.created_at),
        updated_at=iso(connection.updated_at),
    )


def _needs_secret(provider: Provider) -> bool:
    return provider.oauth2 is not None and provider.oauth2.client_secret_required


def _disclosed(config: Mapping[str, str], provider: Provider) -> dict[str, str]:
    secret = {name for name, item in provider.config.items() if item.secret}
    return {name: value for name, value in config.items() if name not in secret}


def _credentials(connection: Connection, client: Client | None) -> IntegrationCredentials:
    if connection.client_supply == "organization" or client is None:
        supply = connection.client_supply or "custom"
        return IntegrationCredentials(type=supply, client_id=None, redacted_client_secret=None)
    return IntegrationCredentials(
        type="custom", client_id=client.client_id, redacted_client_secret=client.secret_last4 or None
    )


def _installation(account: Account) -> Installation:
    return Installation(
        id=ids.with_prefix(ACCOUNT, account.id),
        connection_role=account.role,
        account_identifier=account.identifier,
        account_display_name=account.label,
        user_id=account.owner.user_id or None,
        organization_id=account.owner.organization_id or None,
        api_key_last_4=account.last4 or None,
    )


def custom_provider(provider: Provider) -> CustomProvider:
    """Render a custom provider; one that connects by API key has no endpoints, and the defaults for the rest."""
    dialect = provider.oauth2 or Dialect()
    return CustomProvider(
        name=provider.name,
        authorization_url=dialect.authorize_url,
        token_url=dialect.token_url,
        refresh_token_url=dialect.refresh_url,
        pkce_enabled=dialect.pkce != "omit",
        request_scope_separator=dialect.scope_separator,
        scopes_required=dialect.scopes_required,
        client_secret_required=dialect.client_secret_required,
        additional_authorization_parameters=dict(dialect.authorize_params),
        token_body_content_type="application/json" if dialect.body == "json" else "application/x-www-form-urlencoded",
        authenticate_via="basic_auth_header" if dialect.client_auth == "client_secret_basic" else "request_body",
    )


def data_provider(effective: Effective, accounts: Sequence[Account], *, plural: bool) -> DataProvider:
    """Render a connection as one owner sees it. Callers that know of one account only are shown that one."""
    connection = effective.connection
    shown = [account for account in accounts if is_shown(account)]
    main = next((account for account in shown if account.role == "compatibility"), None)
    listed = shown if plural else [main] if main else []
    return DataProvider(
        id=ids.with_prefix(INTEGRATION, connection.id),
        name=effective.provider.name,
        description=connection.description,
        slug=connection.name,
        integration_type=connection.name,
        credentials_type=connection.client_supply or "custom",
        scopes=None if connection.scopes is None else list(connection.scopes),
        connection_owner=connection.owner_kind,
        ownership="userland_user" if connection.owner_kind == "user" else "organization",
        auth_methods=[connection.method],
        connected_account=None if main is None else connected_account(main, effective),
        connected_accounts=[connected_account(account, effective) for account in listed],
        created_at=iso(connection.created_at),
        updated_at=iso(connection.updated_at),
    )


def configuration(
    effective: Effective,
    override: Override | None,
    client: Client | None,
    organization_id: str,
    base_url: str,
) -> Configuration:
    connection, provider = effective.connection, effective.provider
    by_organization = connection.client_supply == "organization"
    own = override.scopes if override is not None and override.scopes is not None else connection.scopes
    return Configuration(
        id=ids.with_prefix(INTEGRATION, connection.id),
        organization_id=organization_id,
        slug=connection.name,
        name=provider.name,
        enabled=effective.enabled,
        scopes=None if own is None else list(own),
        config=_disclosed((override.config if override else {}) if by_organization else connection.config, provider),
        credentials=ConfigurationCredentials(
            credentials_type="organization",
            has_credentials=client is not None,
            client_id=client.client_id if client else None,
            client_secret_last_four=client.secret_last4 if client else None,
            redirect_uri=redirect_uri(base_url, connection),
        )
        if by_organization
        else UNSET,
        created_at=iso(override.created_at if override else connection.created_at),
        updated_at=iso(override.updated_at if override else connection.updated_at),
    )


def shown_method(method: Method) -> Literal["oauth", "api_key", "client_credentials"]:
    """Return this wire's word for a method. Of those it does not know, client credentials are nearest: no consent."""
    return method if method in ("oauth", "api_key", "client_credentials") else "client_credentials"
