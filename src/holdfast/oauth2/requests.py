"""The requests of a client, as values: the authorization URL, and what goes to the token and revocation
endpoints.

Nothing here is sent, and nothing is repeated: whether a request may be sent again is the business of
`holdfast.tokens`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Literal
from urllib.parse import quote, quote_plus, urlencode
from xml.sax.saxutils import escape

from holdfast.errors import Invalid, Misconfigured
from holdfast.http import Request
from holdfast.oauth2.client_auth import Client as Client
from holdfast.oauth2.client_auth import prove, prove_by
from holdfast.oauth2.dialect import BodyFormat, ClientAuth, Dialect, Exchange
from holdfast.secret import Secret

_OURS = frozenset({"response_type", "client_id", "redirect_uri", "state", "code_challenge", "code_challenge_method"})
"""Authorization parameters that bind the answer to our attempt; a caller may not replace them."""

_PLACEHOLDER = re.compile(r"\{(access_token|client_id|client_secret)\}")
_FORM = "application/x-www-form-urlencoded"
_UNRESERVED = re.compile(r"[A-Za-z0-9_.~-]*")


def authorization_url(
    dialect: Dialect,
    *,
    client_id: str,
    redirect_uri: str,
    scopes: Sequence[str],
    state: str,
    code_challenge: str | None,
    redirect_value: str | None = None,
    extra: Mapping[str, str] | None = None,
) -> str:
    """Return the URL that the end user's browser is sent to (RFC 6749 section 4.1.1, RFC 7636 section 4.3).

    `redirect_value` stands in for the redirect URI where `dialect.redirect_uri_is` says so. Raises
    Misconfigured without an authorization endpoint, Invalid if `extra` would replace a parameter that
    protects the attempt.
    """
    if dialect.authorize_url is None:
        raise Misconfigured("The provider has no authorization endpoint.", code="provider_incomplete")
    if code_challenge is None and dialect.pkce in ("required", "supported"):
        raise ValueError("this provider takes PKCE, so a challenge is needed")
    if dialect.scopes_required and not scopes:
        raise Misconfigured("This provider refuses a request without scopes. Name some.", code="scopes_missing")
    params = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": _redirect(dialect, redirect_uri, redirect_value),
        **_scope_params(dialect, scopes),
        "state": state,
    }
    if code_challenge is not None and dialect.pkce != "omit":
        params |= {"code_challenge": code_challenge, "code_challenge_method": "S256"}
    params |= _resource(dialect)
    params |= dialect.authorize_params
    params |= _harmless(dialect, extra or {})
    return _with_query(dialect.authorize_url, _renamed(dialect, params), dialect.authorize_query_in_fragment)


def code_request(
    dialect: Dialect,
    client: Client,
    *,
    code: Secret,
    redirect_uri: str,
    code_verifier: Secret | None,
    now: float,
) -> Request:
    """Return the request that swaps a code for tokens (RFC 6749 section 4.1.3).

    `redirect_uri` is what the authorization request said: the stand-in, where there is one. `code_verifier`: None where
    that request had no challenge.
    """
    params = {"grant_type": "authorization_code", "code": code.reveal(), "redirect_uri": redirect_uri}
    if code_verifier is not None:
        params["code_verifier"] = code_verifier.reveal()
    return _token_request(dialect, client, params | _resource(dialect) | dialect.token_params, now)


def refresh_request(
    dialect: Dialect,
    client: Client,
    *,
    refresh_token: Secret | None,
    access_token: Secret | None,
    scopes: Sequence[str],
    now: float,
) -> Request:
    """Return the request for a fresh access token (RFC 6749 section 6).

    Some providers renew an access token by itself; then `access_token` is needed, else `refresh_token`. Does
    not check that the token is old enough for it (`Exchange.min_age`). Raises ValueError without the token
    that is needed.
    """
    if dialect.refresh_with_access_token is not None:
        if access_token is None:
            raise ValueError("this provider renews an access token by itself, so it is needed")
        return _exchange(dialect.refresh_with_access_token, client, access_token)
    if refresh_token is None:
        raise ValueError("there is no refresh token")
    params = {"grant_type": "refresh_token", "refresh_token": refresh_token.reveal()}
    if dialect.refresh_scope == "send":
        params |= _scope_params(dialect, scopes)
    params |= _resource(dialect) | dialect.refresh_params
    return _token_request(dialect, client, params, now, url=dialect.refresh_url)


def client_credentials_request(dialect: Dialect, client: Client, *, scopes: Sequence[str], now: float) -> Request:
    """Return the request for a token of the client's own (RFC 6749 section 4.4)."""
    params = {"grant_type": "client_credentials"} | _scope_params(dialect, scopes) | _resource(dialect)
    return _token_request(dialect, client, params | dialect.token_params, now)


def second_exchange_request(dialect: Dialect, client: Client, *, access_token: Secret, now: float) -> Request:
    """Return the request that swaps a fresh short-lived token for a long-lived one."""
    if dialect.second_exchange is None:
        raise ValueError("this provider has no second exchange")
    return _exchange(dialect.second_exchange, client, access_token)


def revocation_request(
    url: str,
    client: Client,
    auth: ClientAuth,
    *,
    token: Secret,
    hint: Literal["access_token", "refresh_token"] | None,
    now: float | None = None,
) -> Request:
    """Return the request that ends a token (RFC 7009 section 2.1).

    `now` is needed by the methods that sign.
    """
    if now is None and auth in ("private_key_jwt", "client_secret_jwt"):
        raise ValueError("a signed client assertion needs the time")
    proof = prove_by(auth, client, audience=url, now=now or 0.0)
    params = {"token": token.reveal()} | ({"token_type_hint": hint} if hint else {}) | dict(proof.params)
    return _encoded("POST", "form", url, params, {"Accept": "application/json", **proof.headers})


def form_request(dialect: Dialect, url: str, params: Mapping[str, str], headers: Mapping[str, str]) -> Request:
    """Return a POST of these parameters, named as the provider names them, whose answer is to be JSON."""
    return _encoded("POST", "form", url, _renamed(dialect, params), {"Accept": "application/json", **headers})


def _token_request(
    dialect: Dialect, client: Client, params: Mapping[str, str], now: float, url: str | None = None
) -> Request:
    url = url or dialect.token_url
    if url is None:
        raise Misconfigured("The provider has no token endpoint.", code="provider_incomplete")
    # The audience is the token endpoint even where refreshing uses another URL: the server is one.
    proof = prove(dialect, client, audience=dialect.token_url or url, now=now)
    # Asked for JSON, GitHub stops answering in form encoding:
    # https://docs.github.com/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps
    headers = {"Accept": "application/json", **dialect.token_headers, **proof.headers}
    return _encoded(dialect.method, dialect.body, url, _renamed(dialect, {**params, **proof.params}), headers)


def _exchange(exchange: Exchange, client: Client, access_token: Secret) -> Request:
    known = {"access_token": access_token, "client_id": Secret(client.client_id)}
    if client.client_secret is not None:
        known["client_secret"] = client.client_secret

    def value(match: re.Match[str]) -> str:
        if match[1] not in known:
            raise Misconfigured("The connection has no client secret. Enter it.", code="client_secret_missing")
        return known[match[1]].reveal()

    params = {name: _PLACEHOLDER.sub(value, text) for name, text in exchange.params.items()}
    return _encoded(exchange.method, "form", exchange.url, params, {"Accept": "application/json"})


def _scope_params(dialect: Dialect, scopes: Sequence[str]) -> dict[str, str]:
    """Return `scope` and its siblings.

    `user_scope:chat:write` goes into `user_scope`, if the dialect has one.
    """
    if dialect.scopes_fixed_by_app:
        return {}
    sorted_out: dict[str, list[str]] = {}
    for scope in dict.fromkeys(scopes):
        param, colon, rest = scope.partition(":")
        if colon and param in dialect.extra_scope_params:
            sorted_out.setdefault(param, []).append(rest)
        else:
            sorted_out.setdefault("scope", []).append(scope)
    return {
        param: dialect.extra_scope_params.get(param, dialect.scope_separator).join(words)
        for param, words in sorted_out.items()
    }


def _resource(dialect: Dialect) -> dict[str, str]:
    """RFC 8707 section 2: the same on every request, so that the token is good for that resource alone."""
    return {"resource": dialect.resource} if dialect.resource else {}


def _redirect(dialect: Dialect, redirect_uri: str, redirect_value: str | None) -> str:
    if dialect.redirect_uri_is is None:
        return redirect_uri
    if not redirect_value:
        raise Misconfigured(
            f"The connection needs {dialect.redirect_uri_is}: this provider takes it for a redirect URI.",
            code="config_missing",
        )
    return redirect_value


def _harmless(dialect: Dialect, extra: Mapping[str, str]) -> Mapping[str, str]:
    ours = _OURS | {dialect.rename.get(name, name) for name in _OURS}
    taken = sorted(ours & extra.keys())
    if taken:
        raise Invalid(f"The parameter {taken[0]} is set by the server and cannot be replaced.")
    return extra


def _renamed(dialect: Dialect, params: Mapping[str, str]) -> dict[str, str]:
    return {dialect.rename.get(name, name): value for name, value in params.items()}


def _with_query(url: str, params: Mapping[str, str], in_fragment: bool = False) -> str:
    # Spaces become %20, not +: a few authorization servers take + literally, none takes %20 so.
    query = urlencode(params, quote_via=quote)
    if not params:
        return url
    if in_fragment:
        return f"{url}{'&' if '?' in url.partition('#')[2] else '?'}{query}"
    address, hash_, fragment = url.partition("#")
    joint = "" if address.endswith(("?", "&")) else "&" if "?" in address else "?"
    return f"{address}{joint}{query}{hash_}{fragment}"


def _encoded(
    method: Literal["GET", "POST"],
    body: BodyFormat,
    url: str,
    params: Mapping[str, str],
    headers: Mapping[str, str],
) -> Request:
    if method == "GET" or body == "query":
        return Request(method, _with_query(url, params), headers)
    match body:
        case "form":
            kind, text = _FORM, "&".join([f"{_quoted(name)}={_quoted(value)}" for name, value in params.items()])
        case "json":
            kind, text = "application/json", json.dumps(params, ensure_ascii=False)
        case "xml":
            kind, text = "application/xml", _xml(params)
    return Request(method, url, {"Content-Type": kind, **headers}, text.encode())


def _quoted(text: str) -> str:
    """Return text form-encoded, as `quote_plus` does at ten times the price: most of it is of unreserved characters."""
    return text if _UNRESERVED.fullmatch(text) else quote_plus(text)


def _xml(params: Mapping[str, str]) -> str:
    members = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in params.items())
    return f"<request>{members}</request>"
