"""Connections as this wire's messages. A client secret is never shown."""

from collections.abc import Mapping
from typing import Any

from holdfast import ids
from holdfast.api.scalekit import connection_oauth
from holdfast.api.scalekit.descriptors import WIRE, Message, message
from holdfast.api.scalekit.naming import CONNECTION, connection_type, provider_key
from holdfast.api.scalekit.rendering import timestamp
from holdfast.connections import Client, Connection, effective
from holdfast.connections.connection import redirect_uri
from holdfast.errors import Invalid
from holdfast.providers.entry import Provider
from holdfast.providers.templates import fill_url, settle

_KNOWN = frozenset(WIRE.pool.FindEnumTypeByName("scalekit.v1.connections.ConnectionProvider").values_by_name)


def connection_shown(connection: Connection, provider: Provider, client: Client | None, base_url: str) -> Message:
    is_oauth = connection.method == "oauth"
    return message(
        "connections.Connection",
        id=ids.with_prefix(CONNECTION, connection.id),
        provider=_enum(connection),
        type=connection_type(connection.method, provider),
        status=_status(connection),
        enabled=connection.enabled,
        configuration_type="MANUAL" if is_oauth else None,
        create_time=timestamp(connection.created_at),
        update_time=timestamp(connection.updated_at),
        oauth_config=oauth_config(connection, provider, client, base_url) if is_oauth else None,
        static_config={"static_config": _public(connection.config, provider)} if not is_oauth else None,
        key_id=connection.name,
        provider_key=provider_key(provider.slug),
        resolved_proxy_url=_proxy_url(connection, provider),
        auth_mode=_auth_mode(connection),
    )


def listed_connection(connection: Connection, provider: Provider) -> Message:
    return message(
        "connections.ListConnection",
        id=ids.with_prefix(CONNECTION, connection.id),
        provider=_enum(connection),
        type=connection_type(connection.method, provider),
        status=_status(connection),
        enabled=connection.enabled,
        provider_key=provider_key(connection.provider_slug),
        key_id=connection.name,
        created_at=timestamp(connection.created_at),
        auth_mode=_auth_mode(connection),
    )


def oauth_config(connection: Connection, provider: Provider, client: Client | None, base_url: str) -> Message:
    """Render the client, the scopes, and how it asks for consent and tokens; the secret as nothing."""
    scopes = effective(connection, provider).scopes
    values: dict[str, Any] = {
        "client_id": _value(client.client_id if client else None),
        "scopes": list(scopes),
        "redirect_uri": redirect_uri(base_url, connection),
        "required_scopes": list(connection.required_scopes),
        "use_platform_creds": {"value": False},
    }
    optional = [scope for scope in scopes if scope not in connection.required_scopes]
    if connection.required_scopes and optional:
        values["optional_scopes"] = {"scopes": optional}
    return message("connections.OAuthConnectionConfig", **values, **connection_oauth.shown(connection, provider))


def _value(text: str | None) -> dict[str, str] | None:
    return None if not text else {"value": text}


def _enum(connection: Connection) -> str:
    key = provider_key(connection.provider_slug)
    return key if key in _KNOWN else "CONNECTION_PROVIDER_UNSPECIFIED"


def _status(connection: Connection) -> str:
    """An OAuth connection is a draft until it has a client."""
    return "DRAFT" if connection.method == "oauth" and connection.client_ref is None else "COMPLETED"


def _auth_mode(connection: Connection) -> str:
    return "ORG_WIDE" if connection.owner_kind == "organization" else "USER"


def _public(config: Mapping[str, str], provider: Provider) -> dict[str, str]:
    hidden = {name for name, field in provider.config.items() if field.secret}
    return {name: value for name, value in config.items() if name not in hidden}


def _proxy_url(connection: Connection, provider: Provider) -> str | None:
    """Return the API's address; None where it depends on the account."""
    if provider.api is None:
        return None
    try:
        return fill_url(provider.api.base_url, settle(provider, connection.config))
    except Invalid:
        return None
