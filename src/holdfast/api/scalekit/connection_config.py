"""What callers say of a connection, as our own values. What is not kept here is refused rather than dropped.

Of `scopes`, `optional_scopes` and `required_scopes` we keep two lists: all that are asked for at consent, and those
without which an account cannot be used. Where optional ones are named, the others are required unless that is said too.
"""

import re
from typing import Any

from msgspec import UNSET, UnsetType

from holdfast.api.scalekit import connection_oauth
from holdfast.api.scalekit.connection_rendering import oauth_config
from holdfast.api.scalekit.descriptors import Message
from holdfast.api.scalekit.fault_fields import bad
from holdfast.api.scalekit.inputs import texts_in
from holdfast.api.scalekit.naming import METHODS, connection_type, provider_key
from holdfast.connections import Client, Connection
from holdfast.connections.changes import Changes
from holdfast.connections.clients import ClientInput
from holdfast.connections.connection import OwnerKind
from holdfast.providers.custom import RESERVED
from holdfast.providers.entry import Method, Provider
from holdfast.secret import Secret

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,126}[A-Za-z0-9])?")
_LONGEST_SCOPE, _MOST_SCOPES = 512, 200
_OURS = frozenset(
    {"client_id", "client_secret", "scopes", "optional_scopes", "required_scopes", "required_optional_scopes"}
)
_IGNORED = frozenset({"redirect_uri", "is_cimd", "sync_user_profile_on_login"})
"""Ours to say; and one that is about signing in."""


def provider_asked(asked: Message) -> str:
    """Return the provider's key: `provider_key`, or the older enum's name."""
    if asked.provider_key:
        return str(asked.provider_key)
    if not asked.provider:
        raise bad("connection.provider_key", "is required", "required")
    return str(asked.DESCRIPTOR.fields_by_name["provider"].enum_type.values_by_number[asked.provider].name)


def name_in(given: str) -> str | None:
    """Return the name asked for; it stands in addresses, so it is of letters, digits, '-' and '_'."""
    if not given:
        return None
    if not _NAME.fullmatch(given) or given in RESERVED:
        raise bad(
            "connection.key_id", "takes 1 to 128 letters, digits, '-' or '_', and no word reserved for paths", "pattern"
        )
    return given


def method_in(kind: int, provider: Provider) -> Method:
    """Return how accounts connect, by ConnectionType; not given = as is usual at the provider."""
    methods = provider.connect_methods()
    if not kind:
        return methods[0]
    wanted = METHODS.get(kind)
    if wanted is None or wanted not in methods:
        words = " or ".join(dict.fromkeys(connection_type(method, provider) for method in methods))
        raise bad("connection.type", f"'{provider.name}' connects by {words}", "in")
    return wanted


def owner_kind_in(auth_mode: int) -> OwnerKind:
    return "organization" if auth_mode == 2 else "user"


def changes_in(
    asked: Message, connection: Connection, provider: Provider, client: Client | None, base_url: str
) -> Changes:
    """Return what an UpdateConnection changes: what it does not mention stays. Raises Unprocessable."""
    if asked.key_id and asked.key_id != connection.name:
        raise bad("connection.key_id", "cannot be changed: apps name the connection by it", "in")
    if asked.provider_key and provider_key(asked.provider_key) != provider_key(provider.slug):
        raise bad("connection.provider_key", "cannot be changed", "in")
    if asked.type and METHODS.get(asked.type) != connection.method:
        raise bad("connection.type", "cannot be changed", "in")
    match asked.WhichOneof("settings"):
        case None:
            return Changes()
        case "static_config":
            return Changes(config=texts_in(asked.static_config.static_config))
        case "oauth_config" if connection.method == "oauth":
            return _oauth_changes(asked.oauth_config, connection, provider, client, base_url)
        case other:
            raise bad(f"connection.{other}", "does not belong to a connection of this type", "in")


def _oauth_changes(
    given: Message, connection: Connection, provider: Provider, client: Client | None, base_url: str
) -> Changes:
    _refuse_unkept(given, oauth_config(connection, provider, client, base_url), provider)
    scopes, required = _scopes(given)
    return Changes(
        scopes=scopes,
        required_scopes=required,
        client=_client(given, client),
        oauth_settings=connection_oauth.settings_in(given, connection, provider),
        config=connection_oauth.config_in(given, connection, provider),
    )


def _scopes(given: Message) -> tuple[list[str] | UnsetType, list[str] | None]:
    for field in ("scopes", "required_scopes", "required_optional_scopes"):
        _check_scopes(f"connection.oauth_config.{field}", getattr(given, field))
    optional = list(given.optional_scopes.scopes)
    _check_scopes("connection.oauth_config.optional_scopes.scopes", optional)
    asked = list(dict.fromkeys((*given.scopes, *optional)))
    required = list(dict.fromkeys((*given.required_scopes, *given.required_optional_scopes)))
    if not asked:
        return UNSET, required or None
    unasked = [scope for scope in required if scope not in asked]
    if unasked:
        raise bad("connection.oauth_config.required_scopes", f"'{unasked[0]}' is not among the scopes", "in")
    if optional and not required:
        required = [scope for scope in given.scopes if scope not in optional]
    return asked, required


def _check_scopes(field: str, scopes: Any) -> None:
    if len(scopes) > _MOST_SCOPES:
        raise bad(field, f"takes {_MOST_SCOPES} at most", "max_items")
    for place, scope in enumerate(scopes):
        if not scope or len(scope) > _LONGEST_SCOPE or any(ord(letter) <= 32 for letter in scope):
            raise bad(f"{field}[{place}]", f"takes 1 to {_LONGEST_SCOPE} characters without spaces", "pattern")


def _client(given: Message, client: Client | None) -> ClientInput | None:
    client_id, secret = given.client_id.value, given.client_secret.value
    if not client_id and not secret:
        return None
    if not client_id and client is None:
        raise bad("connection.oauth_config.client_id", "is required with the first client_secret", "required")
    return ClientInput(client_id or (client.client_id if client else ""), Secret(secret) if secret else None)


def _refuse_unkept(given: Message, shown: Message, provider: Provider) -> None:
    """Settings of the provider's entry may be sent back as they are shown, and not changed here."""
    for field, value in given.ListFields():
        if field.name in _OURS or field.name in _IGNORED or field.name in connection_oauth.KEPT:
            continue
        wrapped = field.message_type is not None and "value" in field.message_type.fields_by_name
        if wrapped and not value.value:
            continue
        if value != getattr(shown, field.name):
            raise bad(connection_oauth.AT + field.name, connection_oauth.refusal(field.name, provider), "in")
