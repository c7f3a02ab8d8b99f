"""Outbound: the one way a request leaves this process.

Owns: the egress guard (which addresses and URLs may be reached at all) and the HTTP client that obeys it.
Every host name is resolved once, every address that came back is checked, and the connection goes to a
checked address, so that a name server cannot answer twice with different minds. Redirects are not followed,
except by `fetch`, which checks each hop.

Leaves to others: what to send (`holdfast.oauth2`, the proxy), which hosts a credential may go to (the
catalogue), and whether to try again. The last is why failures come in two kinds: `NotSent` (safe to repeat)
and `ReplyLost` (the other side may have acted on it; nothing here ever repeats a request).
"""

from holdfast.outbound.client import GetAddrInfo, Outbound, Resolver
from holdfast.outbound.errors import Blocked, NotSent, ReplyLost, ReplyTooLarge
from holdfast.outbound.guard import check_url, is_private, is_public

__all__ = [
    "Blocked",
    "GetAddrInfo",
    "NotSent",
    "Outbound",
    "ReplyLost",
    "ReplyTooLarge",
    "Resolver",
    "check_url",
    "is_private",
    "is_public",
]
