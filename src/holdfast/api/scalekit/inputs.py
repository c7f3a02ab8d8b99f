"""What callers send as credentials and api_config, as our own values."""

from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format

from holdfast.accounts import ApiKey, Credential, OAuthCredential
from holdfast.api.scalekit.descriptors import Message
from holdfast.connections import Effective
from holdfast.errors import Unprocessable
from holdfast.providers.templates import check_config
from holdfast.secret import Secret

_YEAR_10000 = 253_402_300_800


def credential_in(details: Message) -> Credential | None:
    """Return the credential given; None for none. An empty OauthToken, which one SDK sends for nothing, is none."""
    match details.WhichOneof("details"):
        case "oauth_token":
            given = details.oauth_token
            if not given.access_token and not given.refresh_token:
                return None
            return OAuthCredential(
                access=Secret(given.access_token) if given.access_token else None,
                refresh=Secret(given.refresh_token) if given.refresh_token else None,
                scopes=tuple(given.scopes),
            )
        case "static_auth":
            return _static(json_format.MessageToDict(details.static_auth.details))
        case None:
            return None
        case other:
            field = f"connected_account.authorization_details.{other}"
            words = "credentials of this kind are not kept here"
            raise Unprocessable(f"{field}: {words}", fields=[{"field": field, "description": words, "code": "in"}])


def config_in(given: Message, effective: Effective) -> Mapping[str, str]:
    """Return the account's own config values, checked against what the provider declares."""
    values = texts_in(given)
    declared = effective.provider.config
    mine = {name: value for name, value in values.items() if name in declared}
    return check_config(effective.provider, mine, scope="installation", pinned=effective.config)


def texts_in(given: Message) -> dict[str, str]:
    """Return a Struct's values as texts; those that are null are left out."""
    return {name: _text(value) for name, value in json_format.MessageToDict(given).items() if value is not None}


def time_in(given: Message, field: str, at: str = "") -> float | None:
    """Return a Timestamp in seconds; None if it is unset. Raises Unprocessable for one before 1970 or after 9999."""
    if not given.HasField(field):
        return None
    found = getattr(given, field)
    if not 0 <= found.seconds < _YEAR_10000 or not 0 <= found.nanos < 1_000_000_000:
        broken = {"field": at + field, "description": "is a time from 1970 to 9999", "code": "timestamp"}
        raise Unprocessable(f"{at}{field}: is a time from 1970 to 9999", fields=[broken], code="validation_failed")
    return float(found.seconds + found.nanos / 1e9)


def vended_part(credential: Credential) -> Secret | None:
    """Return what of a credential its caller is shown again."""
    match credential:
        case ApiKey(key):
            return key
        case OAuthCredential(access=access):
            return access
    return None


def _static(values: Mapping[str, Any]) -> Credential | None:
    if not values:
        return None
    if len(values) == 1:
        return ApiKey(Secret(_text(next(iter(values.values())))))
    field, words = "connected_account.authorization_details.static_auth", "takes one value: the key or token"
    raise Unprocessable(f"{field}: {words}", fields=[{"field": field, "description": words, "code": "max_items"}])


def _text(value: Any) -> str:
    """Return a Struct's value as text. Its numbers are doubles: 5 arrives as 5.0."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
