"""Access: environments, the keys that open them, and who belongs to which organization.

An Environment is the tenant boundary: its id is in every query. An ApiKey is shown once and kept as a keyed hash; a
revoked one stops at once. Memberships are optional: once an environment has recorded any, acting for an organization
takes an active one. Redirect URIs are where browsers may be sent back to.
An environment's settings say whether users are verified after consent, and which accounts are cleaned up.
A client is an id with a secret that an SDK exchanges for signed access tokens; revoking it stops its tokens at once.
`access.widgets` has the sessions that an app gives its users' browsers, and the origins those may come from.
Leaves accounts and connections to their rooms, and what a key may do on a wire to the door.
"""

from holdfast.access.clients import Clients
from holdfast.access.keys import Keys, ensure_environment
from holdfast.access.organizations import Organizations
from holdfast.access.principal import ApiKey, CleanUpPolicy, Environment, Principal, UserVerification
from holdfast.access.redirects import Destination, check_return_to, check_verify_url
from holdfast.access.settings import change_environment
from holdfast.access.tokens import AccessTokens

__all__ = [
    "AccessTokens",
    "ApiKey",
    "CleanUpPolicy",
    "Clients",
    "Destination",
    "Environment",
    "Keys",
    "Organizations",
    "Principal",
    "UserVerification",
    "change_environment",
    "check_return_to",
    "check_verify_url",
    "ensure_environment",
]
