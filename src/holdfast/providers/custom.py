"""A provider that an administrator defines: the rules for its slug and its endpoints.

Only an administrator's key may define one, its endpoints are static URLs, and moving it to another host is visible to
the caller (`hosts`), who clears the client secret then: otherwise a changed token URL would be sent the old secret.
"""

import re
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from holdfast.errors import Conflict, Invalid
from holdfast.providers.entry import Provider

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?")
RESERVED = frozenset({"finish", "organization"})
"""Words that stand beside a slug in a path and would hide it."""


def check_custom(
    provider: Provider, *, catalogue_has: Callable[[str], bool], allow_http: bool, exists: bool = False
) -> None:
    """Raise Invalid or Conflict if the provider may not be defined like this."""
    if not exists:
        if not _SLUG.fullmatch(provider.slug) or provider.slug in RESERVED:
            raise Invalid(
                "provider must be 1 to 64 lower-case letters, digits, '-' or '_', and not a reserved word",
                fields=[{"field": "provider", "code": "invalid_slug"}],
            )
        if catalogue_has(provider.slug):
            raise Conflict(
                f"'{provider.slug}' is a built-in provider: leave custom_provider out, or choose another slug"
            )
    dialect = provider.oauth2
    if dialect is None:
        return
    oauth = "oauth" in provider.connect_methods()
    required = {"token_url": dialect.token_url}
    if oauth:
        required["authorization_url"] = dialect.authorize_url
    for name, url in required.items():
        if not url:
            raise _bad(name, "required", "is required")
    for name, url in (*required.items(), ("refresh_token_url", dialect.refresh_url)):
        if url:
            _check_url(name, url, allow_http)


def check_api(provider: Provider, *, allow_http: bool) -> None:
    """Raise Invalid unless the provider's API, where it has one, is at a static URL."""
    if provider.api is not None:
        _check_url("api_base_url", provider.api.base_url, allow_http)


def _check_url(name: str, url: str, allow_http: bool) -> None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise _bad(name, "invalid_url", "is not a URL") from None
    schemes = ("https", "http") if allow_http else ("https",)
    if parts.scheme not in schemes or not parts.hostname:
        raise _bad(name, "invalid_url", "must be an https URL")
    if parts.username is not None or parts.fragment or "\\" in url or any(ord(c) <= 32 for c in url):
        raise _bad(name, "invalid_url", "must not hold a user name, a fragment, spaces or backslashes")
    if "{" in url or "$" in url:
        raise _bad(name, "invalid_url", "must be static: no placeholders")


def _bad(name: str, code: str, problem: str) -> Invalid:
    return Invalid(f"custom_provider.{name} {problem}", fields=[{"field": f"custom_provider.{name}", "code": code}])


def hosts(provider: Provider) -> frozenset[str]:
    """Return the hosts that a client of this provider sends its users, codes and secrets to."""
    return frozenset(_hosts(provider))


def _hosts(provider: Provider) -> Iterable[str]:
    dialect = provider.oauth2
    if dialect is None:
        return
    for url in (dialect.authorize_url, dialect.token_url, dialect.refresh_url):
        if url:
            yield urlsplit(url).netloc.lower()


def api_hosts(provider: Provider) -> frozenset[str]:
    """Return the hosts that accounts' credentials go to when the API is called; "*" among them if an account's own
    value says which, and nothing bounds it."""
    if provider.api is None:
        return frozenset()
    netloc = urlsplit(provider.api.base_url).netloc.lower()
    anywhere = {"*"} if "{" in netloc and not provider.api.hosts else set()
    return frozenset({netloc, *anywhere, *provider.api.hosts})
