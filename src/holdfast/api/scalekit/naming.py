"""This wire's words for our things: id prefixes, statuses, kinds of credential, provider keys."""

import re

from holdfast import ids
from holdfast.accounts import Status
from holdfast.api.scalekit.descriptors import WIRE
from holdfast.errors import NotFound
from holdfast.providers.entry import Method, Placement, Provider

ACCOUNT = "ca"
CONNECTION = "conn"
ORGANIZATION = "org"

DELEGATED: str = WIRE.kind("connected_accounts.AuthorizationDetails").DESCRIPTOR.fields_by_number[3].name
"""The member for whom a service account acts. This wire calls it, and its ConnectorType 9, after one provider."""
_KINDS = WIRE.pool.FindEnumTypeByName("scalekit.v1.connected_accounts.ConnectorType").values_by_number

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
    if method == "delegated":
        return str(_KINDS[9].name)
    if method == "trusted_idp":
        return "TRUSTED_IDP"
    if method == "none":
        return "NO_AUTH"
    return "BASIC" if provider.auth == "basic" else "BEARER_TOKEN" if _takes_bearer(provider) else "API_KEY"


_TYPES: dict[Method, int] = {"oauth": 4, "client_credentials": 10, "delegated": 12, "trusted_idp": 13, "none": 15}
_BASIC, _BEARER, _API_KEY = 6, 7, 8
METHODS: dict[int, Method] = {
    **{number: method for method, number in _TYPES.items()},
    _BASIC: "api_key",
    _BEARER: "api_key",
    _API_KEY: "api_key",
}
"""Our methods by ConnectionType."""


def connection_type(method: Method, provider: Provider) -> str:
    """Return the ConnectionType of connections whose accounts connect by `method`."""
    keyed = _BASIC if provider.auth == "basic" else _BEARER if _takes_bearer(provider) else _API_KEY
    known = WIRE.pool.FindEnumTypeByName("scalekit.v1.connections.ConnectionType").values_by_number
    return str(known[_TYPES.get(method, keyed)].name)


def _takes_bearer(provider: Provider) -> bool:
    """Tell whether a key is sent as a bearer token. The catalogue does not part the two."""
    return provider.custom and provider.api is not None and provider.api.credential == Placement()


def bare(prefix: str, text: str, what: str) -> str:
    """Return the ULID of a prefixed id. A malformed one is one that nobody has."""
    found = ids.without_prefix(prefix, text)
    if found is None:
        raise NotFound(f"there is no such {what}")
    return found
