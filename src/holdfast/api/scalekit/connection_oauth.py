"""The OAuth settings of a connection in the wire's words: what callers may set, and why not what they may not.

A setting that is not sent stays. An empty text takes a parameter away, the provider's own among them; the provider's
own value sent back is no setting. `extensions.extra_authorize_params` stand for all other parameters at once.
"""

from collections.abc import Mapping
from typing import Any, cast

from holdfast.api.scalekit.descriptors import Message
from holdfast.api.scalekit.fault_fields import bad
from holdfast.connections import Connection, effective
from holdfast.connections.oauth_settings import OAuthSettings, merged
from holdfast.errors import Invalid
from holdfast.oauth2.dialect import ClientAuth, Dialect
from holdfast.providers.entry import Provider

AT = "connection.oauth_config."
NAMED = ("prompt", "access_type", "token_access_type")
"""Parameters of the authorization request that the wire has fields for, of the same names."""
KEPT = frozenset({*NAMED, "pkce_enabled", "token_endpoint_auth_method", "extensions", "tenant_id"})
_ENDPOINTS = frozenset({"authorize_uri", "token_uri", "user_info_uri"})
_WHY = {
    "custom_scope_name": "is the provider's to say: write a scope as <parameter>:<scope> where it has such a parameter",
    "use_platform_creds": "cannot be true: there are no clients of the platform's own. Register one at the provider"
    " and set client_id and client_secret",
    "googleads_developer_token": "is not kept here: send it as a header of the calls that need it",
    "app_name": "is not kept here: the provider shows the name that its own settings of your client have",
    "scope_selection_allowed": "is not kept here: name in optional_scopes what users may leave out",
}


def settings_in(given: Message, connection: Connection, provider: Provider) -> OAuthSettings:
    """Return what an OAuthConnectionConfig changes of the settings, checked. Raises Unprocessable."""
    dialect = effective(connection, provider).provider.oauth2 or Dialect()
    params = {name: str(getattr(given, name).value) for name in NAMED if given.HasField(name)}
    if given.HasField("extensions"):
        params |= _extra(given.extensions, dialect.authorize_params)
    method = given.token_endpoint_auth_method.value
    change = OAuthSettings(
        params=params,
        pkce=bool(given.pkce_enabled.value) if given.HasField("pkce_enabled") else None,
        client_auth=cast(ClientAuth, method) if method else None,
    )
    try:
        merged(connection.oauth_settings, change, provider)
    except Invalid as error:
        name = error.fields[0]["field"]
        field = name if name in KEPT else "extensions.extra_authorize_params"
        raise bad(AT + field, error.fields[0]["message"], error.fields[0]["code"]) from None
    return change


def config_in(given: Message, connection: Connection, provider: Provider) -> Mapping[str, str] | None:
    """Return the connection's values with the tenant that is asked for; None if none is. Empty = the provider's own.

    Raises Unprocessable where the provider's addresses have no tenant.
    """
    if not given.HasField("tenant_id"):
        return None
    name, wanted = tenant_field(provider), str(given.tenant_id.value)
    if name is None:
        if not wanted:
            return None
        raise bad(AT + "tenant_id", f"the addresses of '{provider.name}' have no tenant", "in")
    others = {key: value for key, value in connection.config.items() if key != name}
    return {**others, name: wanted} if wanted else others


def tenant_field(provider: Provider) -> str | None:
    """Return the name of the provider's value that is the wire's tenant_id, if it has one."""
    return next((name for name in ("tenant_id", "tenant") if name in provider.config), None)


def shown(connection: Connection, provider: Provider) -> dict[str, Any]:
    """Return the fields that show how this connection asks: the provider's entry with its settings over it."""
    dialect = effective(connection, provider).provider.oauth2
    if dialect is None:
        return {}
    more, tenant = dict(dialect.authorize_params), tenant_field(provider)
    named = {name: _value(more.pop(name, None)) for name in NAMED}
    default = provider.config[tenant].default if tenant else None
    return {
        **named,
        "authorize_uri": _value(dialect.authorize_url),
        "token_uri": _value(dialect.token_url),
        "pkce_enabled": {"value": dialect.pkce != "omit"},
        "token_endpoint_auth_method": _value(dialect.client_auth),
        "tenant_id": _value(connection.config.get(tenant, default)) if tenant else None,
        "extensions": {"extra_authorize_params": more} if more else None,
    }


def refusal(field: str, provider: Provider) -> str:
    """Return why a field that is not kept cannot be set, and what to do."""
    if field not in _ENDPOINTS:
        return _WHY.get(field, "is the provider's to say: not kept here")
    if provider.custom:
        return "is the provider's to say: set it in the provider's own oauth_config, with UpdateCustomProvider"
    return (
        "is the provider's to say: a built-in provider's hosts are reviewed, as client secrets go there."
        " Define a custom provider with your endpoints and connect to that"
    )


def _extra(extensions: Message, current: Mapping[str, str]) -> dict[str, str]:
    if extensions.HasField("smart"):
        raise bad(AT + "extensions.smart", "SMART on FHIR is not served here", "in")
    given = dict(extensions.extra_authorize_params)
    for name in NAMED:
        if name in given:
            raise bad(f"{AT}extensions.extra_authorize_params", f"'{name}' has a field of its own", "in")
    return {**{name: "" for name in current if name not in NAMED}, **given}


def _value(text: str | None) -> dict[str, str] | None:
    return None if not text else {"value": text}
