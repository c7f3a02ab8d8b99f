"""What one connection sets of the requests it makes: parameters of consent, PKCE, how its client proves itself. Pure.

The provider's entry says what is usual; these lie over it for this connection alone, also where an organization brings
its own client. Endpoints are not among them: a client's secret goes to the hosts that its provider's entry names.
"""

import re
from collections.abc import Mapping

import msgspec

from holdfast.errors import Invalid
from holdfast.oauth2.dialect import ClientAuth, Dialect
from holdfast.providers.entry import Provider

MOST_PARAMS = 20
_NAME = re.compile(r"[A-Za-z0-9_.~-]{1,64}")
_VALUE = re.compile(r"[\x20-\x7a|~]{0,512}")
"""Printable ASCII without braces: those are an entry's placeholders."""
_PROTECTED = frozenset(
    {"response_type", "response_mode", "client_id", "redirect_uri", "state", "scope", "resource", "request"}
    | {"request_uri", "code_challenge", "code_challenge_method", "code_verifier", "code"}
    | {"client_secret", "client_assertion", "client_assertion_type"}
)
"""What binds an answer to its attempt, decides where it goes or is set elsewhere; and what is no browser's to carry."""
_SECRETS: tuple[ClientAuth, ...] = ("client_secret_basic", "client_secret_post", "none")


class OAuthSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of a connection: what differs from its provider's entry. As a change: what to set; left out = as it is."""

    params: Mapping[str, str] = {}
    """Parameters of the authorization request. "" = not sent, though the provider's entry has it."""
    pkce: bool | None = None
    client_auth: ClientAuth | None = None

    def __bool__(self) -> bool:
        return bool(self.params) or self.pkce is not None or self.client_auth is not None


UNSET = OAuthSettings()


def merged(before: OAuthSettings, change: OAuthSettings, provider: Provider) -> OAuthSettings:
    """Return the settings after a change. What is then as the provider's entry says is no setting any more.

    Raises Invalid, with the setting's name as the wires have it in `fields`.
    """
    dialect = provider.oauth2
    if dialect is None:
        if change:
            raise _bad("oauth_settings", "unexpected", f"'{provider.name}' does not connect by OAuth")
        return UNSET
    for name, value in change.params.items():
        _check_param(name, value, dialect)
    params = {**before.params, **change.params}
    kept = {name: value for name, value in params.items() if value != dialect.authorize_params.get(name, "")}
    if len(kept) > MOST_PARAMS:
        raise _bad("extra_authorize_params", "too_many", f"takes {MOST_PARAMS} at most")
    if change.pkce is False and dialect.pkce == "required":
        raise _bad("pkce_enabled", "pkce_required", f"cannot be turned off: '{provider.name}' requires PKCE")
    allowed = methods(dialect)
    if change.client_auth is not None and change.client_auth not in allowed:
        words = f"takes {' or '.join(allowed)} at '{provider.name}', not '{change.client_auth[:40]}'"
        raise _bad("token_endpoint_auth_method", "unsupported", words)
    pkce = before.pkce if change.pkce is None else change.pkce
    auth = before.client_auth if change.client_auth is None else change.client_auth
    named = change.pkce is not None or change.client_auth is not None
    if named and pkce is False and dialect.pkce != "omit" and _public(dialect, auth):
        raise _bad("pkce_enabled", "pkce_required", "must be on: nothing else protects the codes of a public client")
    return OAuthSettings(
        params=kept,
        pkce=None if pkce == (dialect.pkce != "omit") else pkce,
        client_auth=None if auth == dialect.client_auth else auth,
    )


def varied(provider: Provider, settings: OAuthSettings) -> Provider:
    """Return the provider as this connection uses it: its entry with the settings over it."""
    dialect = provider.oauth2
    if dialect is None or not settings:
        return provider
    auth = settings.client_auth if settings.client_auth in methods(dialect) else None
    pkce = dialect.pkce
    # A custom provider's entry may have become stricter since.
    if settings.pkce is False and pkce != "required" and not _public(dialect, auth):
        pkce = "omit"
    elif settings.pkce and pkce == "omit":
        pkce = "supported"
    params = {**dialect.authorize_params, **settings.params}
    changed = msgspec.structs.replace(
        dialect,
        authorize_params={name: value for name, value in params.items() if value},
        pkce=pkce,
        client_auth=auth or dialect.client_auth,
    )
    return msgspec.structs.replace(provider, oauth2=changed)


def methods(dialect: Dialect) -> tuple[ClientAuth, ...]:
    """Return the methods that a connection may choose from, the provider's own first.

    None that sends as a secret what is kept as a private key, nor one that would sign with a secret.
    """
    own = dialect.client_auth
    if own == "private_key_jwt" or dialect.generated_secret is not None:
        return (own,)
    signed = tuple(one for one in dialect.client_auth_also if one in ("client_secret_jwt", "secret_as_basic_user"))
    return tuple(dict.fromkeys((own, *_SECRETS, *signed)))


def _public(dialect: Dialect, auth: ClientAuth | None) -> bool:
    return (auth or dialect.client_auth) == "none" or not dialect.client_secret_required


def _check_param(name: str, value: str, dialect: Dialect) -> None:
    own = {*dialect.rename, *dialect.rename.values(), *dialect.extra_scope_params}
    if not _NAME.fullmatch(name):
        raise _bad("extra_authorize_params", "invalid_name", f"'{name[:64]}' is no name of a parameter")
    if name in _PROTECTED or name in own:
        raise _bad(name, "protected", f"'{name}' is the server's to send: it protects the sign-in or is set elsewhere")
    if value != dialect.authorize_params.get(name) and not _VALUE.fullmatch(value):
        raise _bad(name, "invalid_value", f"'{name}' takes 512 printable ASCII characters at most, and no braces")


def _bad(field: str, code: str, problem: str) -> Invalid:
    return Invalid(f"{field}: {problem}", fields=[{"field": field, "code": code, "message": problem}])
