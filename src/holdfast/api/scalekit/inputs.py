"""What callers send as credentials and api_config, as our own values."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import json_format

from holdfast.accounts import ApiKey, ClientCredential, Credential, Delegated, OAuthCredential
from holdfast.api.scalekit.descriptors import Message
from holdfast.api.scalekit.fault_fields import bad
from holdfast.api.scalekit.naming import DELEGATED
from holdfast.connections import Effective
from holdfast.errors import Invalid, Unprocessable
from holdfast.providers.forms import read_details
from holdfast.providers.templates import check_config
from holdfast.secret import Secret

_YEAR_10000 = 253_402_300_800

_AT = "connected_account.authorization_details"


@dataclass(frozen=True, slots=True)
class Sent:
    """A credential as it was sent, and the provider's settings that came along with it."""

    credential: Credential | None = None
    config: Mapping[str, str] = field(default_factory=dict)


def credential_in(details: Message, effective: Effective, known: Mapping[str, str]) -> Sent:
    """Return what was sent; `known` are the account's settings besides. An empty OauthToken or StaticAuth, which an SDK
    sends for nothing, is nothing, as is a message without any member. Whether the connection takes this kind is not
    checked, except where it tells how to read the fields. Raises Unprocessable, naming the field."""
    kind = details.WhichOneof("details")
    match kind:
        case "oauth_token":
            given = details.oauth_token
            if not given.access_token and not given.refresh_token:
                return Sent()
            return Sent(
                OAuthCredential(
                    access=Secret(given.access_token) if given.access_token else None,
                    refresh=Secret(given.refresh_token) if given.refresh_token else None,
                    scopes=tuple(given.scopes),
                )
            )
        case "static_auth":
            return _static(json_format.MessageToDict(details.static_auth.details), effective, known)
        case "trusted_idp":
            user = details.trusted_idp.db_user.strip()
            return Sent(Delegated("trusted_idp", user)) if user else Sent()
    if kind == DELEGATED:
        subject = getattr(details, DELEGATED).subject.strip()
        return Sent(Delegated("delegated", subject)) if subject else Sent()
    return Sent()


def settings_in(given: Message, effective: Effective) -> dict[str, str]:
    """Return those values of api_config that the provider declares as an account's settings, as they came."""
    declared = effective.provider.config
    return {name: value for name, value in texts_in(given).items() if name in declared}


def check_settings(mine: Mapping[str, str], effective: Effective, *, known: Collection[str], complete: bool) -> None:
    """Check an account's settings. `complete`: a credential is there, so what the provider needs must be too; without
    one the account waits for its owner, who is asked for it."""
    check_config(
        effective.provider, mine, scope="installation", pinned=effective.config, known=known, complete=complete
    )


def texts_in(given: Message) -> dict[str, str]:
    """Return a Struct's values as texts; those that are null are left out."""
    return {name: _text(value) for name, value in json_format.MessageToDict(given).items() if value is not None}


def time_in(given: Message, field: str, at: str = "") -> float | None:
    """Return a Timestamp in seconds; None if it is unset. Raises Unprocessable for one before 1970 or after 9999."""
    if not given.HasField(field):
        return None
    found = getattr(given, field)
    if not 0 <= found.seconds < _YEAR_10000 or not 0 <= found.nanos < 1_000_000_000:
        raise bad(at + field, "is a time from 1970 to 9999", "timestamp")
    return float(found.seconds + found.nanos / 1e9)


def api_config_in(given: Message, effective: Effective) -> Mapping[str, Any]:
    """Return the rest of api_config: what the app keeps with the account. Null takes a member away."""
    values = json_format.MessageToDict(given)
    return {name: _whole(value) for name, value in values.items() if name not in effective.provider.config}


def _static(values: Mapping[str, Any], effective: Effective, known: Mapping[str, str]) -> Sent:
    fields = {name: _text(value) if isinstance(value, float | bool) else value for name, value in values.items()}
    fields = {name: value for name, value in fields.items() if value not in (None, "")}
    if not fields:
        return Sent()
    if effective.connection.method == "client_credentials":
        missing = [name for name in ("client_id", "client_secret") if not isinstance(fields.get(name), str)]
        if missing:
            raise _wrong([{"field": name, "message": f"{name} is needed"} for name in missing])
        return Sent(ClientCredential(fields["client_id"], Secret(fields["client_secret"])))
    try:
        typed = read_details(effective.provider, {**known, **effective.config}, fields)
    except Invalid as error:
        raise _wrong(error.fields or [{"field": "", "message": error.message}]) from None
    return Sent(ApiKey(typed.key, typed.details), typed.config)


def _wrong(faults: Any) -> Unprocessable:
    broken = [
        {
            "field": f"{_AT}.static_auth.details.{fault.get('field', '')}".rstrip("."),
            "description": fault.get("message", "is not valid"),
            "code": fault.get("code", "required"),
        }
        for fault in faults
    ]
    return Unprocessable(f"{broken[0]['field']}: {broken[0]['description']}", fields=broken, code="invalid_credential")


def _whole(value: Any) -> Any:
    """Return a Struct's value with its whole numbers as such: 5 arrives as 5.0."""
    match value:
        case float() if value.is_integer() and abs(value) < 2**53:
            return int(value)
        case dict():
            return {name: _whole(item) for name, item in value.items()}
        case list():
            return [_whole(item) for item in value]
    return value


def _text(value: Any) -> str:
    """Return a Struct's value as text. Its numbers are doubles: 5 arrives as 5.0."""
    value = _whole(value)
    return value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
