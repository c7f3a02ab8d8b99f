"""Outbound: the one way a request leaves this process.

Owns: the egress guard (which addresses and URLs may be reached at all) and the HTTP client that obeys it.
Every host name is resolved once, every address that came back is checked, and the connection goes to a
checked address, so that a name server cannot answer twice with different minds. Redirects are not followed,
except by `fetch`, which checks each hop.

`Streaming` is the second client, for bodies of any length in both directions (the proxy): the same guard, flat memory.
Beneath both: `origins` keeps connections and makes them where the guard allows, `wire` is one of them (HTTP/1.1 on
httptools), `outgoing` a request as it is written there.

Leaves to others: what to send (`holdfast.oauth2`, the proxy), which hosts a credential may go to (the
catalogue), and whether to try again. The last is why failures come in two kinds: `NotSent` (safe to repeat)
and `ReplyLost` (the other side may have acted on it; nothing here ever repeats a request).
"""

from holdfast.outbound.client import Outbound
from holdfast.outbound.errors import Blocked, NotSent, ReplyLost, ReplyTooLarge
from holdfast.outbound.guard import Target, check_url, is_private, is_public, target_of
from holdfast.outbound.origins import GetAddrInfo, Resolver
from holdfast.outbound.outgoing import Outgoing
from holdfast.outbound.streaming import Streaming
from holdfast.outbound.wire import ConnectionStale, Exchange

__all__ = [
    "Blocked",
    "ConnectionStale",
    "Exchange",
    "GetAddrInfo",
    "NotSent",
    "Outbound",
    "Outgoing",
    "ReplyLost",
    "ReplyTooLarge",
    "Resolver",
    "Streaming",
    "Target",
    "check_url",
    "is_private",
    "is_public",
    "target_of",
]
