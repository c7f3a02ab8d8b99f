"""What a provider's reply to a revocation means. Pure."""

from dataclasses import dataclass

import msgspec

from holdfast.accounts.revocations.revocation import Kind, Order
from holdfast.http import Reply
from holdfast.oauth2.paths import first

_OVER = frozenset({"invalid_token", "invalid_grant"})
"""Said of a token that is unknown or over: what was asked for is so. RFC 7009 section 2.2 wants a plain 200 for it, and
Google answers `invalid_token`: https://developers.google.com/identity/protocols/oauth2/web-server#tokenrevoke"""


@dataclass(frozen=True, slots=True)
class Ended:
    """The token does not work any more, by this request or since before."""

    status: int


@dataclass(frozen=True, slots=True)
class Later:
    """It may work another time. `wait`: seconds that the provider asks for."""

    why: str
    status: int | None = None
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class Refused:
    """The same request will not be answered otherwise."""

    why: str
    status: int | None = None


Verdict = Ended | Later | Refused


def judge(order: Order, kind: Kind, reply: Reply, now: float) -> Verdict:
    """Judge the reply to the revocation of one of the order's tokens (RFC 7009 section 2.2, or the entry's own)."""
    status, call = reply.status, order.revoke.call
    if status == 429 or status >= 500:
        return Later("busy", status, reply.retry_seconds)
    document = _document(reply)
    error = _error(order, document)
    if status // 100 == 2 and error is None:
        return Ended(status)
    by_itself = call.auth.kind == "bearer"
    over = error is not None and (error in _OVER or _is_dead(order, document, status))
    if over or (by_itself and status == 401) or (call.method == "DELETE" and status in (404, 410)):
        expired = by_itself and kind == "access_token" and order.access_ends is not None and order.access_ends <= now
        # The grant behind it lives on: an expired token cannot ask for its end.
        return Refused("token_expired", status) if expired and order.revoke.kills != "token" else Ended(status)
    if error == "invalid_client" or (status == 401 and call.auth.kind in ("client_basic", "client_post", "header")):
        return Later("client_refused", status)
    return Refused("refused", status)


def _document(reply: Reply) -> object:
    try:
        return msgspec.json.decode(reply.body)
    except msgspec.DecodeError:
        return None


def _error(order: Order, document: object) -> str | None:
    """Return the error that a reply names. Where the entry knows failures with status 200, it says where they stand."""
    dialect = order.provider.oauth2
    rule = dialect.response.success if dialect is not None else None
    if not isinstance(document, dict):
        return None
    if rule is not None and rule.field is not None and first(document, rule.field) == rule.equals:
        return None
    found = first(document, rule.error_field if rule is not None else "error")
    if found is None and rule is not None and rule.field is not None and first(document, rule.field) is not None:
        return "unknown"
    return found if isinstance(found, str) else None if found is None else "unknown"


def _is_dead(order: Order, document: object, status: int) -> bool:
    return any(
        rule.means == "reconnect"
        and rule.values
        and rule.status in (None, status)
        # A member may be a number or a list in another provider's reply, and then is none of these.
        and str(first(document, rule.field)) in rule.values
        for rule in order.dead()
    )
