"""The fields of a credential that is typed in, and reading what was typed: pure rules over an entry.

A form asks for the entry's own `credential` fields (an API key where it names none), and for the settings that each
account has (`config`), unless the connection has fixed them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from holdfast.errors import Invalid
from holdfast.providers.entry import CredentialField, Method, Provider
from holdfast.providers.templates import check_config
from holdfast.secret import Secret

LONGEST_VALUE = 16_384
"""Characters: a private key with its certificates fits."""
MAIN_NAMES = ("api_key", "token", "access_token", "key", "password", "secret")
"""Under which of these names, in this order, an app that brings fields along gives the one that is vended alone."""
_THE_KEY: Mapping[str, CredentialField] = {"api_key": CredentialField(label="API key", input="password")}
_THE_CLIENT: Mapping[str, CredentialField] = {
    "client_id": CredentialField(label="Client ID"),
    "client_secret": CredentialField(label="Client secret", input="password"),
}
_LINE_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_TEXT_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class FormField:
    name: str
    label: str
    hint: str
    input: Literal["text", "password", "select", "textarea"]
    required: bool
    options: tuple[str, ...]
    secret: bool
    example: str = ""


@dataclass(frozen=True, slots=True)
class Typed:
    """What was typed, read: the secret that is vended alone, all fields of the credential as JSON, and settings."""

    key: Secret
    details: Secret
    config: Mapping[str, str]


def form_of(provider: Provider, pinned: Mapping[str, str], *, method: Method = "api_key") -> tuple[FormField, ...]:
    """Return the fields to ask for: settings first, `pinned` ones left out; then the credential's, if it is typed."""
    settings = [
        FormField(
            name=name,
            label=field.label or name,
            hint=field.description or "",
            input="select" if field.enum else "password" if field.secret else "text",
            required=field.required and field.default is None,
            options=field.enum,
            secret=field.secret,
            example=field.example or "",
        )
        for name, field in provider.config.items()
        if field.source == "user" and field.scope == "installation" and name not in pinned
    ]
    asked = [
        FormField(name, item.label, item.hint or "", item.input, item.required, item.options, item.is_secret)
        for name, item in credential_fields(provider, method).items()
    ]
    return (*settings, *asked)


def credential_fields(provider: Provider, method: Method = "api_key") -> Mapping[str, CredentialField]:
    match method:
        case "api_key":
            return provider.credential or _THE_KEY
        case "client_credentials":
            return _THE_CLIENT
        case _:
            return {}


def main_field(provider: Provider) -> str:
    """Return the name of the field that is vended alone: the first secret one, else the first."""
    return _main(credential_fields(provider))


def _main(fields: Mapping[str, CredentialField]) -> str:
    return next((name for name, item in fields.items() if item.is_secret), next(iter(fields)))


def read_form(
    provider: Provider, pinned: Mapping[str, str], typed: Mapping[str, str], *, method: Method = "api_key"
) -> Typed:
    """Return what a person typed. Raises Invalid with one item in `fields` for each field that is wrong."""
    fields = credential_fields(provider, method)
    values: dict[str, str] = {}
    faults: list[dict[str, str]] = []
    for name, item in fields.items():
        value = typed.get(name, "").strip()
        fault = _fault(name, item, value)
        if fault:
            faults.append(fault)
        elif value:
            values[name] = value
    names = {item.name for item in form_of(provider, pinned, method=method)} - fields.keys()
    settings = {name: typed[name].strip() for name in names if typed.get(name, "").strip()}
    try:
        config = check_config(provider, settings, scope="installation", pinned=pinned)
    except Invalid as error:
        faults = [*error.fields, *faults]
        config = {}
    if faults:
        raise Invalid(faults[0]["message"], code="invalid_credential_fields", fields=faults)
    return _typed(provider, values, config, _main(fields))


def read_details(provider: Provider, pinned: Mapping[str, str], given: Mapping[str, Any]) -> Typed:
    """Return what an app brought along under the entry's field names. Fields the entry does not know are kept too.

    Raises Invalid if nothing in it can be vended, if a field the entry names and requires is missing, or a setting
    does not fit.
    """
    settings = {
        name: str(given[name])
        for name, field in provider.config.items()
        if name in given and field.scope == "installation" and field.source == "user" and not field.secret
    }
    config = check_config(provider, settings, scope=None, pinned=pinned) if settings else {}
    values = {name: value for name, value in given.items() if name not in settings}
    missing = [name for name, item in provider.credential.items() if item.required and not given.get(name)]
    if missing:
        faults = [_required(name, provider.credential[name].label) for name in missing]
        raise Invalid(f"the credential needs {', '.join(missing)}", code="invalid_credential_fields", fields=faults)
    declared = main_field(provider)
    candidates = [name for name in (declared, *MAIN_NAMES, *values) if isinstance(values.get(name), str)]
    main = next((name for name in candidates if values[name]), None)
    if main is None:
        raise Invalid("the credential holds no value", code="invalid_credential_fields")
    return _typed(provider, values, config, main)


def _typed(provider: Provider, values: Mapping[str, Any], config: Mapping[str, str], main: str) -> Typed:
    secret_settings = {name for name in config if provider.config[name].secret}
    document = {**values, **{name: config[name] for name in secret_settings}}
    plain = {name: value for name, value in config.items() if name not in secret_settings}
    return Typed(Secret(str(values[main])), Secret(msgspec.json.encode(document).decode()), plain)


def _fault(name: str, field: CredentialField, value: str) -> dict[str, str] | None:
    if not value:
        return _required(name, field.label) if field.required else None
    if field.options and value not in field.options:
        return {"field": name, "code": "invalid", "message": f"{field.label}: choose one of the list."}
    control = _TEXT_CONTROL if field.input == "textarea" else _LINE_CONTROL
    unfit = len(value) > LONGEST_VALUE or control.search(value)
    if unfit or (field.pattern and not re.fullmatch(field.pattern, value)):
        return {"field": name, "code": "invalid", "message": f"{field.label} does not have the expected form."}
    return None


def _required(name: str, label: str) -> dict[str, str]:
    return {"field": name, "code": "required", "message": f"{label} is needed."}
