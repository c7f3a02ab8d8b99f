"""The wizard's fields and the provider's entry, each made from the other (pure)."""

import re
from collections.abc import Mapping
from typing import Any, cast, get_args

import msgspec

from holdfast.errors import Unprocessable
from holdfast.oauth2.dialect import ClientAuth, Dialect, Pkce, ReplyDialect
from holdfast.providers.entry import Api, AuthKind, CredentialField, Placement, Provider

FIELD_ROWS = 4
"""Fields that a typed credential may have: a host, a user, a key and one to spare."""
AUTHS: tuple[AuthKind, ...] = ("oauth2", "oauth2_client_credentials", "api_key", "basic")
_SEPARATORS = {"space": " ", "comma": ","}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")


def slug_of(name: str) -> str:
    """Return a slug made of a name: `Acme CRM` becomes `acme-crm`."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:64]


def entry_of(typed: Mapping[str, str], before: Provider | None) -> Provider:
    """Return the entry that the fields stand for; what the wizard does not ask stays as it was. Raises Unprocessable
    naming the first field that is wrong; the endpoints' rules are `providers.custom`'s."""
    name = " ".join(typed["name"].split())
    if not 1 <= len(name) <= 100:
        raise _wrong("name", "a name of 1 to 100 characters, please")
    auth = typed["auth"]
    if auth not in AUTHS:
        raise _wrong("auth", "choose one of these")
    if typed["docs"] and not typed["docs"].startswith("https://"):
        raise _wrong("docs", "an https address, or nothing")
    blank = Provider(slug=typed["slug"], name=name, auth=auth, custom=True)
    values: dict[str, Any] = {"name": name, "docs": typed["docs"] or None, "api": _api(typed, before)}
    if auth in ("oauth2", "oauth2_client_credentials"):
        values["oauth2"] = _dialect(typed, before)
        values["client_credentials"] = auth == "oauth2_client_credentials"
        values["scope_help"] = _scope_help(typed["scope_help"])
    else:
        values["credential"] = _credential(typed)
    return msgspec.structs.replace(before or blank, **values)


def fields_of(provider: Provider) -> dict[str, str]:
    """Return the fields as the wizard would show this entry."""
    dialect, api = provider.oauth2 or Dialect(), provider.api
    typed = {
        "name": provider.name,
        "slug": provider.slug,
        "auth": provider.auth,
        "docs": provider.docs or "",
        "authorization_url": dialect.authorize_url or "",
        "token_url": dialect.token_url or "",
        "refresh_token_url": dialect.refresh_url or "",
        "api_base_url": api.base_url if api else "",
        "client_auth": dialect.client_auth,
        "pkce": dialect.pkce,
        "separator": "comma" if dialect.scope_separator == "," else "space",
        "scopes": " ".join(dialect.scopes),
        "scope_help": "\n".join(f"{scope} = {words}" for scope, words in provider.scope_help.items()),
        "where": api.credential.where if api else "bearer",
        "place": (api.credential.name or "") if api else "",
    }
    for row, (name, item) in enumerate(list(provider.credential.items())[:FIELD_ROWS], 1):
        typed |= {f"label_{row}": item.label, f"name_{row}": name, f"secret_{row}": "1" if item.is_secret else ""}
    return typed


def _dialect(typed: Mapping[str, str], before: Provider | None) -> Dialect:
    base = before.oauth2 if before and before.oauth2 else Dialect(response=ReplyDialect(errors_with_http_200=True))
    client_auth, pkce = typed["client_auth"] or "client_secret_post", typed["pkce"] or "supported"
    if client_auth not in ("client_secret_post", "client_secret_basic", "none", base.client_auth):
        raise _wrong("client_auth", "choose one of these")
    if pkce not in get_args(Pkce):
        raise _wrong("pkce", "choose one of these")
    return msgspec.structs.replace(
        base,
        authorize_url=typed["authorization_url"] or None,
        token_url=typed["token_url"] or None,
        refresh_url=typed["refresh_token_url"] or None,
        client_auth=cast(ClientAuth, client_auth),
        client_secret_required=client_auth != "none",
        pkce=cast(Pkce, pkce),
        scope_separator=_SEPARATORS.get(typed["separator"], " "),
        scopes=tuple(dict.fromkeys(typed["scopes"].replace(",", " ").split())),
    )


def _api(typed: Mapping[str, str], before: Provider | None) -> Api | None:
    base = typed["api_base_url"].rstrip("/")
    if not base:
        return None
    keyed = typed["auth"] not in ("oauth2", "oauth2_client_credentials")
    place = _placement(typed) if keyed else Placement()
    if before is not None and before.api is not None:
        return msgspec.structs.replace(before.api, base_url=base, credential=place if keyed else before.api.credential)
    return Api(base_url=base, credential=place)


def _placement(typed: Mapping[str, str]) -> Placement:
    where, name = typed["where"] or "bearer", typed["place"]
    if typed["auth"] == "basic" or where == "basic":
        names = [typed[f"name_{row}"] or slug_of(typed[f"label_{row}"]).replace("-", "_") for row in (1, 2)]
        return Placement(where="basic", username=f"{{{names[0]}}}", password=f"{{{names[1]}}}" if names[1] else None)
    if where == "header":
        if not re.fullmatch(r"[A-Za-z0-9-]{1,64}", name):
            raise _wrong("place", "the header's name, such as X-Api-Key")
        return Placement(where="header", name=name)
    if where == "query":
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name):
            raise _wrong("place", "the parameter's name, such as api_key")
        return Placement(where="query", name=name)
    if where != "bearer":
        raise _wrong("where", "choose one of these")
    return Placement()


def _credential(typed: Mapping[str, str]) -> dict[str, CredentialField]:
    found: dict[str, CredentialField] = {}
    for row in range(1, FIELD_ROWS + 1):
        label = typed[f"label_{row}"]
        name = typed[f"name_{row}"] or slug_of(label).replace("-", "_")
        if not label:
            continue
        if not _NAME.fullmatch(name):
            raise _wrong(f"name_{row}", "lower-case letters, digits and _, beginning with a letter")
        if name in found:
            raise _wrong(f"name_{row}", "this name is taken by a field above")
        found[name] = CredentialField(label=label, input="password" if typed[f"secret_{row}"] else "text")
    if not found:
        return {"api_key": CredentialField(label="API key", input="password")}
    return found


def _scope_help(text: str) -> dict[str, str]:
    """Return what scopes mean, from lines of `scope = words`."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        scope, _, words = (part.strip() for part in line.partition("="))
        if scope and " " in scope:
            raise _wrong("scope_help", "one scope a line, then = and what it means")
        if scope:
            found[scope] = words or scope
    return found


def _wrong(field: str, message: str) -> Unprocessable:
    return Unprocessable(message, fields=[{"field": field, "message": message}])
