"""This wire's words for our things: id prefixes, statuses, kinds of credential, provider keys."""

import re

from holdfast import ids
from holdfast.accounts import Status
from holdfast.errors import NotFound
from holdfast.providers.entry import Method, Placement, Provider

ACCOUNT = "ca"
CONNECTION = "conn"
ORGANIZATION = "org"

STATUS: dict[Status, str] = {
    Status.PENDING: "PENDING_AUTH",
    Status.VERIFYING: "PENDING_VERIFICATION",
    Status.ACTIVE: "ACTIVE",
    Status.EXPIRED: "EXPIRED",
    Status.ERROR: "EXPIRED",
    Status.REVOKED: "DISCONNECTED",
    Status.SUSPENDED: "DISCONNECTED",
}
"""ConnectorStatus of each of ours."""


def provider_key(slug: str) -> str:
    """Return a provider as this wire writes it: upper case, letters and digits alone."""
    return re.sub(r"[^A-Z0-9]", "", slug.upper())


def account_kind(method: str, provider: Provider) -> str:
    """Return the ConnectorType of accounts that connect by `method`."""
    if method == "oauth":
        return "OAUTH"
    if method == "client_credentials":
        return "OAUTH_M2M"
    return "BASIC" if provider.auth == "basic" else "BEARER_TOKEN" if _takes_bearer(provider) else "API_KEY"


METHODS: dict[int, Method] = {
    4: "oauth",
    6: "api_key",
    7: "api_key",
    8: "api_key",
    10: "client_credentials",
    12: "delegated",
    13: "trusted_idp",
}
"""Our methods by ConnectionType: OAUTH, BASIC, BEARER, API_KEY, OAUTH_M2M, GOOGLE_DWD, TRUSTED_IDP."""


def connection_type(method: str, provider: Provider) -> str:
    """Return the ConnectionType of connections whose accounts connect by `method`."""
    match method:
        case "oauth":
            return "OAUTH"
        case "client_credentials":
            return "OAUTH_M2M"
        case "delegated":
            return "GOOGLE_DWD"
        case "trusted_idp":
            return "TRUSTED_IDP"
    return "BASIC" if provider.auth == "basic" else "BEARER" if _takes_bearer(provider) else "API_KEY"


def _takes_bearer(provider: Provider) -> bool:
    """Tell whether a key is sent as a bearer token. The catalogue does not part the two."""
    return provider.custom and provider.api is not None and provider.api.credential == Placement()


def bare(prefix: str, text: str, what: str) -> str:
    """Return the ULID of a prefixed id. A malformed one is one that nobody has."""
    found = ids.without_prefix(prefix, text)
    if found is None:
        raise NotFound(f"there is no such {what}")
    return found
