"""An auth pattern, the wire's description of how one connects to a provider, read into a provider's entry and written
from one. What a definer says beyond what we understand is kept beside the entry, and shown again.

A keyed pattern's secret field becomes the credential and is `{token}` in the entry; its other fields, and the pattern's
`account_fields`, become the account's settings. `{{domain}}` in the proxy's URL is such a setting too.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.api.scalekit.fault_fields import bad
from holdfast.api.scalekit.naming import connection_type
from holdfast.api.scalekit.proxy_hosts import base_url_in, hosts_in
from holdfast.oauth2.dialect import Dialect, ReplyDialect
from holdfast.providers.entry import Api, ConfigField, CredentialField, Method, Placement, Provider
from holdfast.providers.templates import PROTOCOL_NAMES

KEYED = frozenset({"BASIC", "BEARER", "API_KEY"})
TYPES = KEYED | {"OAUTH", "OAUTH_M2M", "NO_AUTH"}
MOST_FIELDS, LONGEST_TEXT = 40, 4096
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_AT = "provider.auth_patterns[0]"
_FORBIDDEN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "cookie"})


def entry_of(*, slug: str, name: str, patterns: Sequence[Any], proxy_url: str, proxy_enabled: bool) -> Provider:
    """Return the entry that a definition means. Raises Unprocessable for one that contradicts itself."""
    if len(patterns) > 1:
        raise bad("provider.auth_patterns", "takes one pattern", "max_items")
    pattern = patterns[0] if patterns else {"type": "NO_AUTH"}
    if not isinstance(pattern, dict):
        raise bad(_AT, "is an object", "type")
    kind = pattern.get("type")
    if kind not in TYPES:
        raise bad(f"{_AT}.type", f"is one of {', '.join(sorted(TYPES))}", "in")
    fields, settings = _fields(pattern, "fields"), _fields(pattern, "account_fields")
    secret, others = _parted(str(kind), fields)
    config = {field["field_name"]: _setting(field) for field in (*others, *settings)}
    hosts = hosts_in(pattern)
    base_url = base_url_in(proxy_url, hosts, config)
    api = Api(base_url=base_url, hosts=hosts, credential=_placement(str(kind), pattern, fields, others))
    oauth = pattern.get("oauth_config")
    if oauth is not None and not isinstance(oauth, dict):
        raise bad(f"{_AT}.oauth_config", "is an object", "type")
    return Provider(
        slug=slug,
        name=name,
        auth=_auth(str(kind), pattern),
        oauth2=_dialect(oauth or {}) if kind in ("OAUTH", "OAUTH_M2M") else None,
        config=config,
        credential={} if secret is None else {secret["field_name"]: _credential(secret)},
        api=api if proxy_enabled else None,
        custom=True,
    )


def patterns_of(provider: Provider, said: Sequence[Any] | None) -> list[Any]:
    """Return a provider's patterns: as its definer said, or made from the entry. Endpoints are always the entry's."""
    if said:
        first = said[0]
        if provider.oauth2 is None or not isinstance(first, dict):
            return list(said)
        return [{**first, "oauth_config": {**(first.get("oauth_config") or {}), **_endpoints(provider.oauth2)}}]
    return [_pattern(provider, method) for method in provider.connect_methods()]


def _pattern(provider: Provider, method: Method) -> dict[str, Any]:
    account_fields = [
        {"field_name": name, "label": field.label or name, "input_type": "select" if field.enum else "text"}
        | ({"hint": field.description} if field.description else {})
        | ({"required": True} if field.required else {})
        | ({"options": [{"value": item, "display_name": item} for item in field.enum]} if field.enum else {})
        for name, field in provider.config.items()
        if field.source == "user"
    ]
    more: dict[str, Any] = {"account_fields": account_fields} if account_fields else {}
    if method in ("oauth", "client_credentials") and provider.oauth2 is not None:
        scopes = [{"scope": scope, "required": False} for scope in provider.oauth2.scopes]
        config = {**_endpoints(provider.oauth2), **({"available_scopes": scopes} if scopes else {})}
        kind = "OAUTH" if method == "oauth" else "OAUTH_M2M"
        return {"type": kind, "display_name": "OAuth 2.0", "fields": [], "oauth_config": config, **more}
    if method in ("delegated", "trusted_idp"):
        kind = connection_type(method, provider)
        return {"type": kind, "display_name": kind.replace("_", " ").title(), "fields": [], **more}
    if method in ("oauth", "none"):
        return {"type": "OAUTH" if method == "oauth" else "NO_AUTH", "display_name": "", "fields": [], **more}
    fields = provider.credential or {"api_key": CredentialField(label="API key", input="password")}
    return {
        "type": "BASIC" if provider.auth == "basic" else "API_KEY",
        "display_name": "User name and password" if provider.auth == "basic" else "API key",
        "fields": [
            {"field_name": name, "label": field.label, "input_type": field.input}
            | ({"hint": field.hint} if field.hint else {})
            | ({"required": True} if field.required else {})
            for name, field in fields.items()
        ],
        **more,
    }


def _endpoints(dialect: Dialect) -> dict[str, Any]:
    return {
        "pkce_enabled": dialect.pkce != "omit",
        **({"authorize_uri": dialect.authorize_url} if dialect.authorize_url else {}),
        **({"token_uri": dialect.token_url} if dialect.token_url else {}),
    }


def _fields(pattern: Mapping[str, Any], member: str) -> list[dict[str, Any]]:
    found = pattern.get(member) or []
    if not isinstance(found, list) or len(found) > MOST_FIELDS:
        raise bad(f"{_AT}.{member}", f"is a list of {MOST_FIELDS} fields at most", "max_items")
    for place, field in enumerate(found):
        at = f"{_AT}.{member}[{place}]"
        name = field.get("field_name") if isinstance(field, dict) else None
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise bad(f"{at}.field_name", "takes lower-case letters, digits and '_', a letter first", "pattern")
        for key in ("label", "hint"):
            if not isinstance(field.get(key, ""), str) or len(field.get(key, "")) > LONGEST_TEXT:
                raise bad(f"{at}.{key}", f"is a text of {LONGEST_TEXT} characters at most", "max_len")
        if not isinstance(field.get("options") or [], list):
            raise bad(f"{at}.options", "is a list", "type")
    return found


def _parted(kind: str, fields: list[dict[str, Any]]) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """Part a keyed pattern's secret field from the others; of a pattern that is not keyed all are settings."""
    if kind not in KEYED or not fields:
        return None, fields
    hidden = [field for field in fields if field.get("input_type") == "password"]
    if len(hidden) > 1:
        raise bad(f"{_AT}.fields", "one field of input_type 'password' is the credential: there are more", "max_items")
    openly = [field for field in fields if not field.get("is_path_param")] or fields
    secret = hidden[0] if hidden else openly[-1] if kind == "BASIC" else openly[0]
    others = [field for field in fields if field is not secret]
    taken = next((field for field in others if field["field_name"] in PROTOCOL_NAMES), None)
    if taken is not None:
        raise bad(f"{_AT}.fields", f"'{taken['field_name']}' is the credential's own name", "in")
    return secret, others


def _credential(field: Mapping[str, Any]) -> CredentialField:
    return CredentialField(
        label=field.get("label") or field["field_name"], hint=field.get("hint") or None, input="password", secret=True
    )


def _setting(field: Mapping[str, Any]) -> ConfigField:
    choices = (item.get("value") if isinstance(item, dict) else item for item in field.get("options") or [])
    return ConfigField(
        label=field.get("label") or field["field_name"],
        description=field.get("hint") or None,
        required=field.get("required") is True,
        enum=tuple(str(choice) for choice in choices if choice),
    )


def _placement(
    kind: str, pattern: Mapping[str, Any], fields: list[dict[str, Any]], others: list[dict[str, Any]]
) -> Placement:
    if kind == "BASIC":
        name = next((field["field_name"] for field in others if not field.get("is_path_param")), None)
        if fields and name is None:
            return Placement(where="basic", username="{token}", password="")
        if not fields:
            raise bad(f"{_AT}.fields", "a BASIC pattern names its fields", "required")
        return Placement(where="basic", username="{" + name + "}" if name else "", password="{token}")  # noqa: S106
    header = pattern.get("auth_header_key_override") or next(
        (field["header_name"] for field in fields if field.get("header_name")), ""
    )
    if (
        not isinstance(header, str)
        or (header and not _HEADER.fullmatch(header))
        or header.lower() in _FORBIDDEN_HEADERS
    ):
        raise bad(f"{_AT}.auth_header_key_override", "takes the name of a header", "pattern")
    before, after = _mutation(pattern, fields)
    if kind == "API_KEY" and header:
        return Placement(where="header", name=header, value=f"{before}{{token}}{after}")
    if before or after:
        return Placement(where="header", name=header or "Authorization", value=f"{before}{{token}}{after}")
    if header and header.lower() != "authorization":
        return Placement(where="header", name=header, value="Bearer {token}")
    return Placement()


def _mutation(pattern: Mapping[str, Any], fields: list[dict[str, Any]]) -> tuple[str, str]:
    """Return what stands before the credential and after it in its header, as `auth_field_mutations` has it."""
    found = pattern.get("auth_field_mutations") or {}
    if not isinstance(found, dict):
        raise bad(f"{_AT}.auth_field_mutations", "is an object", "type")
    names = [field["field_name"] for field in fields] or ["token", "api_key"]
    mine: dict[str, Any] = next((found[name] for name in names if isinstance(found.get(name), dict)), {})
    texts = [mine.get(member) or "" for member in ("prefix", "suffix")]
    if not all(isinstance(text, str) and re.fullmatch(r"[\x20-\x7a|~]{0,64}", text) for text in texts):
        raise bad(f"{_AT}.auth_field_mutations", "takes prefix and suffix of 64 plain characters at most", "pattern")
    return texts[0], texts[1]


def _auth(kind: str, pattern: Mapping[str, Any]) -> Any:
    if kind == "OAUTH":
        return "mcp" if pattern.get("is_mcp") is True else "oauth2"
    return {"OAUTH_M2M": "oauth2_client_credentials", "BASIC": "basic", "NO_AUTH": "custom"}.get(kind, "api_key")


def _dialect(said: Mapping[str, Any]) -> Dialect | None:
    """Return the endpoints; None where none are given, which leaves the provider without a way to connect by OAuth."""
    at = f"{_AT}.oauth_config"
    texts = {}
    for name in ("authorize_uri", "token_uri", "token_endpoint_auth_method"):
        texts[name] = said.get(name) or ""
        if not isinstance(texts[name], str):
            raise bad(f"{at}.{name}", "is a text", "type")
    if not texts["authorize_uri"] and not texts["token_uri"]:
        return None
    method = texts["token_endpoint_auth_method"] or "client_secret_post"
    if method not in ("client_secret_post", "client_secret_basic", "none"):
        raise bad(f"{at}.token_endpoint_auth_method", "is client_secret_post, client_secret_basic or none", "in")
    params = said.get("extra_authorize_params") or {}
    if not isinstance(params, dict) or not all(isinstance(value, str) for value in params.values()):
        raise bad(f"{at}.extra_authorize_params", "is an object of texts", "type")
    return Dialect(
        authorize_url=texts["authorize_uri"] or None,
        token_url=texts["token_uri"] or None,
        client_auth=method,  # type: ignore[arg-type]
        client_secret_required=method != "none",
        pkce="omit" if said.get("pkce_enabled") is False else "supported",
        scopes=_default_scopes(said, at),
        authorize_params=params,
        response=ReplyDialect(errors_with_http_200=True),
    )


def _default_scopes(said: Mapping[str, Any], at: str) -> tuple[str, ...]:
    """Return the scopes that are required: a connection asks for those unless it names its own."""
    found = said.get("available_scopes") or []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise bad(f"{at}.available_scopes", "is a list of objects", "type")
    scopes = tuple(str(one.get("scope") or "") for one in found if one.get("required") is True)
    if not all(scope and not any(ord(letter) <= 32 for letter in scope) for scope in scopes):
        raise bad(f"{at}.available_scopes", "a scope is a text without spaces", "pattern")
    return scopes
