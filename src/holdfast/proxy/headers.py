"""Which headers pass. The request to the provider is built anew: what is not known to be harmless does not go along.

Harmless is what speaks of the request itself. What frames the message (RFC 9110 section 7.6.1), names its receiver, or
proves somebody's identity is ours to say, and what tells of the way to us is nobody's business upstream.
"""

import re
from functools import lru_cache

from holdfast.errors import Invalid
from holdfast.outbound.wire import Pairs

_NAME = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}")
_BREAKS = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

_KEPT_HERE = frozenset(
    b"authorization cookie cookie2 host connection keep-alive te trailer transfer-encoding upgrade content-length"
    b" expect forwarded via x-real-ip true-client-ip cf-connecting-ip http2-settings origin referer x-request-id"
    b" traceparent tracestate baggage x-original-url x-rewrite-url x-http-method-override x-http-method"
    b" x-method-override x-original-method".split()
)
"""The last ones make some servers act on another path or method than the one that was checked. Servers that hand
headers on as variables take `_` for `-`, so that either is meant here."""
_OURS = frozenset(
    b"connection_name connection-name connector identifier connected_account_id connected-account-id user_id"
    b" organization_id x-sdk-version x-api-version".split()
)
_KEPT_PREFIXES = (b"x-relay-", b"x-workos-", b"x-holdfast-", b"x-forwarded-", b"proxy-", b"sec-", b"x-envoy-")

_NOT_BACK = frozenset(
    b"connection keep-alive te trailer transfer-encoding upgrade proxy-connection set-cookie set-cookie2 date alt-svc"
    b" strict-transport-security public-key-pins clear-site-data nel report-to server x-frame-options"
    b" content-security-policy service-worker-allowed refresh x-accel-redirect x-sendfile"
    b" x-accel-buffering".split()
)
"""Some speak to browsers about an origin that is not theirs but ours; some give orders to a proxy in front of us."""
_NOT_BACK_PREFIXES = (b"x-relay-", b"x-workos-", b"x-holdfast-", b"proxy-", b"access-control-")


class BadHeader(Invalid):
    default_code = "invalid_header"


@lru_cache(maxsize=2048)
def _goes(name: bytes) -> bool:
    if not _NAME.fullmatch(name):
        raise BadHeader("a header's name is not a word")
    known = name.replace(b"_", b"-")
    return known not in _KEPT_HERE and name not in _OURS and not known.startswith(_KEPT_PREFIXES)


@lru_cache(maxsize=2048)
def _comes(name: bytes) -> bool:
    return bool(_NAME.fullmatch(name)) and name not in _NOT_BACK and not name.startswith(_NOT_BACK_PREFIXES)


def onward(headers: Pairs) -> dict[bytes, bytes]:
    """Return what goes to the provider, by lower-case name. Raises BadHeader for a repeated or unsafe one."""
    found: dict[bytes, bytes] = {}
    named: bytes | None = None
    identified = False
    for name, value in headers:
        if name == b"connection":
            named = value if named is None else named + b"," + value
        if not _goes(name):
            if name == b"authorization":
                if identified:
                    raise BadHeader("Authorization was sent twice", code="duplicate_header")
                identified = True
            continue
        if name in found:
            words = f"the header {name.decode()} was sent twice: which one counts, servers differ"
            raise BadHeader(words, code="duplicate_header")
        if _BREAKS.search(value):
            raise BadHeader("a header's value holds a control character")
        found[name] = value
    if named is not None and named.lower() not in (b"keep-alive", b"close"):
        for token in named.lower().split(b","):
            found.pop(token.strip(), None)
    return found


def backward(headers: Pairs, *, status: int, secret: bytes) -> Pairs:
    """Return what goes back to the caller. A value that quotes the credential (`secret`, empty = none) does not."""
    found = [pair for pair in headers if _comes(pair[0])]
    if status in (204, 304):
        found = [pair for pair in found if pair[0] != b"content-length"]  # of a body that does not come
    # All values in one look: no secret holds a tab, so that none can begin in one value and end in the next.
    values = b"\t".join([value for _, value in found])
    if _BREAKS.search(values):
        found = [(name, value) for name, value in found if not _BREAKS.search(value)]
    if secret and secret in values:
        found = [(name, value.replace(secret, b"<sealed>")) for name, value in found]
    named = [value for name, value in headers if name == b"connection"]
    for token in b",".join(named).lower().split(b",") if named else ():
        if token.strip() not in (b"keep-alive", b"close", b""):
            found = [pair for pair in found if pair[0] != token.strip()]
    return found
