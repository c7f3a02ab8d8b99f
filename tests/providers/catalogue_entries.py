"""What the catalogue tests share: every entry, the URLs an entry may speak to, and their hosts."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from holdfast.providers.entry import Call, Provider
from holdfast.providers.loader import CATALOG_DIR, load_catalog

CATALOG = load_catalog()
ENTRIES = {provider.slug: provider for provider in CATALOG}
HOSTS_FILE = CATALOG_DIR / "_hosts.txt"

URL_FIELDS = (
    "discovery",
    "issuer",
    "authorize_url",
    "token_url",
    "refresh_url",
    "introspect_url",
    "registration_url",
)


def side_calls(provider: Provider) -> Iterator[tuple[str, Call]]:
    """Yield the entry's side calls with the name of their block."""
    for name in ("revoke", "identity", "discover", "granted_scopes"):
        block = getattr(provider, name)
        if block is not None and block.call is not None:
            yield name, block.call
    if provider.probe:
        yield "probe", provider.probe


def urls(provider: Provider) -> Iterator[tuple[str, str]]:
    """Yield every URL template the entry may send something to, with the name of its field."""
    dialect = provider.oauth2
    if dialect:
        for name in URL_FIELDS:
            if url := getattr(dialect, name):
                yield f"oauth2.{name}", url
        for name in ("second_exchange", "refresh_with_access_token"):
            if exchange := getattr(dialect, name):
                yield f"oauth2.{name}", exchange.url
    for name, call in side_calls(provider):
        yield name, call.url
    if provider.api:
        yield "api.base_url", provider.api.base_url
        yield from (("api.regions", url) for url in provider.api.regions.values())
        if provider.api.sandbox:
            yield "api.sandbox", provider.api.sandbox


def hosts(provider: Provider) -> set[str]:
    """Return every host the entry may speak to; a templated one as it is written, or as its keep pattern."""
    found: set[str] = set(provider.api.hosts) if provider.api else set()
    kept = provider.oauth2.keep_pattern if provider.oauth2 else {}
    for _, url in urls(provider):
        if url.startswith("{"):
            found.add("pattern " + kept[url[1 : url.index("}")]])
        else:
            found.add(urlsplit(url).netloc)
    found |= {f"pattern {pattern}" for pattern in kept.values() if "//" in pattern}
    return found
