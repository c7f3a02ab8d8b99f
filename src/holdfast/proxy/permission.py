"""Whether a connection's rules let a call through. Pure: the rules, the call, and where it would go.

Some servers act on another method than the request line's, where a header, the query or a form names one. The headers
never go along (see `headers`). What names a method in the query or a form is refused where rules are: the call that is
judged has to be the call that is done. A rule that takes the path with any method has nothing to lose by it.
"""

import re
from urllib.parse import unquote_to_bytes

from holdfast.accounts import Account
from holdfast.connections import Connection
from holdfast.connections.rules import allows, allows_every_method
from holdfast.errors import Refused
from holdfast.proxy.address import shown
from holdfast.proxy.asked import Asked
from holdfast.proxy.outlet import Destination

_OVERRIDES = frozenset(
    b"_method x-http-method-override x-method-override x-http-method http-method httpmethod $httpmethod".split()
)
_VERBS = frozenset(b"get head post put patch delete options".split())
"""A member called `method` is many things; with one of these for a value it is taken for an override, too."""
_BETWEEN = re.compile(rb"[&;]")
"""Some servers take a semicolon for an ampersand."""
_NAMED_PART = re.compile(rb"name\*?\s*=\s*[^\r\n;]*_method", re.IGNORECASE)
_FORM, _PARTS = b"application/x-www-form-urlencoded", b"multipart/"


class NotAllowed(Refused):
    """No rule of the connection lets the call through. It knows what the log has to tell of it."""

    default_code = "not_allowed_by_rules"

    def __init__(self, why: str, connection: Connection, account: Account, method: str, there: Destination) -> None:
        words = f"{method[:32]} {shown(there.path)} may not be called through '{connection.name}': {why}"
        super().__init__(words + ". Whoever runs this server sets the rules, on the connection's page.")
        self.connection, self.account, self.method, self.there, self.why = connection, account, method, there, why


def check(connection: Connection, account: Account, asked: Asked, there: Destination) -> None:
    """Return if the call may go out, as it would. Raises NotAllowed."""
    rules = connection.proxy_rules
    if not rules:
        return
    if not allows(rules, asked.method, there.path):
        raise NotAllowed("no rule allows it", connection, account, asked.method, there)
    if allows_every_method(rules, there.path):
        return
    named = names_another_method(asked, there)
    if named:
        raise NotAllowed(f"{named} may name another method", connection, account, asked.method, there)


def names_another_method(asked: Asked, there: Destination) -> str:
    """Return what of the call may name another method than its own; "" for nothing."""
    return _in_query(there.query) or _in_form(asked)


def _in_query(query: str) -> str:
    return "a member of the query" if _overrides(query.encode()) else ""


def _in_form(asked: Asked) -> str:
    """Return what of the body may name another method; "" for nothing. A form that is too long to be kept cannot be
    looked through before it is on its way."""
    if asked.body is None:
        return ""
    kinds = [value.strip().lower() for name, value in asked.headers if name == b"content-type"]
    is_form = not kinds or any(kind.startswith((_FORM, _PARTS)) for kind in kinds)
    if not is_form:
        return ""
    if not isinstance(asked.body, bytes):
        return "a form too long to be looked through"
    plain = unquote_to_bytes(asked.body.replace(b"\\", b""))
    return "a member of the form" if _overrides(asked.body) or _NAMED_PART.search(plain) else ""


def _overrides(members: bytes) -> bool:
    for member in _BETWEEN.split(members):
        name, _, value = member.partition(b"=")
        name = unquote_to_bytes(name.replace(b"+", b" ")).strip().lower()
        if name in _OVERRIDES:
            return True
        if name == b"method" and unquote_to_bytes(value.replace(b"+", b" ")).strip().lower() in _VERBS:
            return True
    return False
