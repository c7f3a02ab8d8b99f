"""`{placeholder}` templates of an entry, and the values that may go into them.

A value can decide where a token is sent, so it is checked before it is used: against its field's pattern or
choices, full-matched; or, where the entry says nothing of it, against the few characters that cannot move a
URL's host or path. `settle` does that once and returns `Settled` values; `fill_url` takes those that a
pattern proved at their word and checks all others.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from holdfast.errors import Invalid
from holdfast.oauth2.dialect import Dialect
from holdfast.providers.entry import ConfigField, Provider

PROTOCOL_NAMES = frozenset({"token", "access_token", "client_id", "client_secret", "token_type_hint"})
"""Placeholders that the protocol code and `calls` fill in; no config field may bear such a name."""

LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
"""One label of a host name (RFC 1123, section 2.1): no dot, so that it cannot name another host."""
HOST_NAME = rf"{LABEL}(?:\.{LABEL})+"

_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# The unreserved characters of RFC 3986, section 2.3: none of them can end a host, begin a port, a user
# part, a query or a fragment, or be decoded into what does. A field that needs more (a host with a port)
# has a pattern.
_URL_SAFE = re.compile(r"[A-Za-z0-9._~-]+")
_URL_FIELDS = (
    "discovery",
    "issuer",
    "authorize_url",
    "token_url",
    "refresh_url",
    "introspect_url",
    "registration_url",
)
_TEXT_FIELDS = ("assertion_audience", "resource")
_PARAM_FIELDS = ("authorize_params", "token_params", "refresh_params", "token_headers", "generated_secret")
_EXCHANGE_FIELDS = ("refresh_with_access_token", "second_exchange")


class Settled(Mapping[str, str]):
    """Values that stood the checks of one entry; its patterns or choices vouch for the `proven` ones."""

    __slots__ = ("_values", "proven")

    def __init__(self, values: Mapping[str, str], proven: frozenset[str]) -> None:
        self._values = dict(values)
        self.proven = proven

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def placeholders(text: str) -> set[str]:
    """Return the names of the `{placeholder}`s in `text`."""
    return set(_PLACEHOLDER.findall(text))


def check_config(
    provider: Provider,
    values: Mapping[str, str],
    *,
    scope: Literal["integration", "installation"] | None,
    pinned: Mapping[str, str] | None = None,
    known: Collection[str] = (),
    complete: bool = True,
) -> dict[str, str]:
    """Return `values` if they fit the provider's declared config fields.

    At `integration` scope every field may be set (a value set there is pinned for all accounts) and that
    scope's fields are required; at `installation` scope only that scope's fields may be set, and those in
    `pinned` are not asked for again; with no scope all required fields are. Nor is anything `known` from elsewhere
    asked for, nor anything at all unless `complete`. Adds no defaults. Raises Invalid with one item in `fields` per
    fault.
    """
    faults = [
        fault for name, value in values.items() if (fault := _config_fault(provider, name, value, scope, pinned or {}))
    ]
    given = {*values, *(pinned or {}), *known}
    for name, field in provider.config.items():
        asked = complete and field.source == "user" and field.required and field.default is None
        if asked and name not in given and scope in (None, field.scope):
            faults.append(_fault(name, "missing_config", f"{provider.name} needs {_shown(name, field)}."))
    if faults:
        raise Invalid(" ".join(fault["message"] for fault in faults), code=faults[0]["code"], fields=faults)
    return dict(values)


def settle(provider: Provider, values: Mapping[str, str]) -> Settled:
    """Return the values with the config's defaults added, each checked against its pattern or choices.

    Takes config values and values kept from the callback, the token reply or discovery. Raises Invalid.
    """
    settled = {name: field.default for name, field in provider.config.items() if field.default is not None}
    settled.update(values)
    kept = provider.oauth2.keep_pattern if provider.oauth2 else {}
    proven: set[str] = set()
    for name, value in settled.items():
        field = provider.config.get(name)
        fault = _value_fault(name, value, field) or _kept_fault(name, value, kept.get(name))
        if fault:
            raise Invalid(fault["message"], code=fault["code"], fields=[fault])
        if name in kept or (field and (field.pattern or field.enum)):
            proven.add(name)
    return Settled(settled, frozenset(proven))


def resolve_dialect(provider: Provider, values: Mapping[str, str]) -> Dialect:
    """Return the provider's dialect with every URL and parameter template filled.

    Raises Invalid: `missing_config` naming a value that is not there, `invalid_config` for one that may not
    be used, `auth_method_mismatch` if the provider has no OAuth.
    """
    dialect = provider.oauth2
    if dialect is None:
        raise Invalid(f"{provider.name} does not connect by OAuth.", code="auth_method_mismatch")
    settled = settle(provider, values)
    changes: dict[str, Any] = {}
    for name in _URL_FIELDS:
        if text := getattr(dialect, name):
            changes[name] = fill_url(text, settled)
    for name in _TEXT_FIELDS:
        if text := getattr(dialect, name):
            changes[name] = fill(text, settled)
    for name in _PARAM_FIELDS:
        if params := getattr(dialect, name):
            changes[name] = _filled(params, settled)
    for name in _EXCHANGE_FIELDS:
        if exchange := getattr(dialect, name):
            changes[name] = msgspec.structs.replace(
                exchange, url=fill_url(exchange.url, settled), params=_filled(exchange.params, settled)
            )
    if hmac := dialect.callback_hmac:
        changes["callback_hmac"] = msgspec.structs.replace(hmac, match=_filled(hmac.match, settled))
    return msgspec.structs.replace(dialect, **changes)


def fill(text: str, values: Mapping[str, str]) -> str:
    """Return `text` with its placeholders replaced. For parameters and headers, not URLs: see `fill_url`.

    The protocol's own names (`PROTOCOL_NAMES`) stay as they are unless `values` has them. Raises Invalid.
    """

    def value_of(match: re.Match[str]) -> str:
        name = match[1]
        if name not in values:
            return _left_or_missing(match)
        if _CONTROL.search(values[name]):
            raise _unusable(name)
        return values[name]

    return _PLACEHOLDER.sub(value_of, text)


def fill_url(text: str, values: Mapping[str, str]) -> str:
    """Return the URL `text`, its placeholders replaced by values that cannot move it elsewhere. Raises
    Invalid."""
    proven = values.proven if isinstance(values, Settled) else frozenset()

    def value_of(match: re.Match[str]) -> str:
        name = match[1]
        if name not in values:
            return _left_or_missing(match)
        value = values[name]
        if name not in proven and (value in (".", "..") or not _URL_SAFE.fullmatch(value)):
            raise _unusable(name)
        return value

    url = _PLACEHOLDER.sub(value_of, text)
    _check_url(url)
    return url


def _filled(params: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    return {key: fill(text, values) for key, text in params.items()}


def _left_or_missing(match: re.Match[str]) -> str:
    name = match[1]
    if name in PROTOCOL_NAMES:
        return match[0]
    message = f"The value {name!r} is needed and was not given."
    raise Invalid(message, code="missing_config", fields=[_fault(name, "missing_config", message)])


def _unusable(name: str) -> Invalid:
    message = f"The value of {name!r} holds characters that are not allowed there."
    return Invalid(message, code="invalid_config", fields=[_fault(name, "invalid_config", message)])


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("https", "http") or not parts.hostname or "@" in parts.netloc:
        raise Invalid(
            "The provider's address is not a web address once its values are filled in.",
            code="invalid_config",
        )


def _config_fault(
    provider: Provider, name: str, value: str, scope: str | None, pinned: Mapping[str, str]
) -> dict[str, str] | None:
    field = provider.config.get(name)
    if field is None or field.source != "user":
        return _fault(name, "unknown_config", f"{provider.name} has no setting {name!r}.")
    if scope == "installation" and field.scope != "installation":
        return _fault(name, "unknown_config", f"{name!r} is set once per connection, not per account.")
    if scope == "installation" and name in pinned and pinned[name] != value:
        return _fault(name, "invalid_config", f"{name!r} is fixed for every account of this connection.")
    return _value_fault(name, value, field)


def _value_fault(name: str, value: str, field: ConfigField | None) -> dict[str, str] | None:
    if field is None:
        return None
    if field.enum and value not in field.enum:
        return _fault(name, "invalid_config", f"{name!r} must be one of: {', '.join(field.enum)}.")
    # fullmatch, since `$` would accept a trailing newline.
    wrong = not value or bool(_CONTROL.search(value)) or (field.pattern and not re.fullmatch(field.pattern, value))
    if wrong and not (field.enum and not field.pattern):
        hint = f" Example: {field.example}." if field.example else ""
        return _fault(name, "invalid_config", f"{_shown(name, field)} does not have the expected form.{hint}")
    return None


def _kept_fault(name: str, value: str, pattern: str | None) -> dict[str, str] | None:
    if pattern is None or re.fullmatch(pattern, value):
        return None
    return _fault(name, "invalid_config", f"The value of {name!r} that the provider sent is not one we may use.")


def _shown(name: str, field: ConfigField) -> str:
    return f"{name!r} ({field.label})" if field.label else repr(name)


def _fault(name: str, code: str, message: str) -> dict[str, str]:
    return {"field": name, "code": code, "message": message}
