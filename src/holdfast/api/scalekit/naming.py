"""This wire's words for our things: id prefixes, statuses, kinds of credential, provider keys."""

import re

from holdfast import ids
from holdfast.accounts import Status
from holdfast.api.scalekit.descriptors import WIRE
from holdfast.errors import NotFound
from holdfast.providers.entry import Provider

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
    return "BASIC" if provider.auth == "basic" else "API_KEY"


def bare(prefix: str, text: str, what: str) -> str:
    """Return the ULID of a prefixed id. A malformed one is one that nobody has."""
    found = ids.without_prefix(prefix, text)
    if found is None:
        raise NotFound(f"there is no such {what}")
    return found
