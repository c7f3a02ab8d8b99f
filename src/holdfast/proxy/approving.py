"""Whether a call waits for a person's approval, and what that person is shown of it. Pure."""

from holdfast.accounts import Account
from holdfast.approvals import Call
from holdfast.connections import Connection
from holdfast.connections.approval_rules import takes
from holdfast.proxy.address import shown
from holdfast.proxy.asked import Asked
from holdfast.proxy.headers import onward
from holdfast.proxy.outlet import Destination, Outlet
from holdfast.proxy.permission import NotAllowed, names_another_method

_OF_NO_WEIGHT = frozenset(
    b"user-agent accept-encoding accept-language cache-control pragma date idempotency-key x-idempotency-key priority"
    b" request-id x-correlation-id x-amzn-trace-id x-cloud-trace-context uber-trace-id sentry-trace b3".split()
)
_OF_NO_WEIGHT_PREFIXES = (b"x-b3-", b"x-datadog-", b"x-stainless-")
"""Headers that change from one sending of a call to the next, and not what it does. Every other one is looked at
and has to be the same again: some name whose data it is, or which version of the API answers."""


def waiting(connection: Connection, account: Account, asked: Asked, outlet: Outlet, there: Destination) -> Call | None:
    """Return the call if it needs approval, None if it does not. Raises NotAllowed for one that needs it and cannot be
    looked at: its body is too long to be kept, and would be on its way before anybody has seen it."""
    rules = connection.approval_rules
    if not rules:
        return None
    method = None if names_another_method(asked, there) else asked.method
    if not takes(rules, method, there.path):
        return None
    if not asked.repeatable:
        why = "it needs approval, and its body is too long to be looked at before it is sent"
        raise NotAllowed(why, connection, account, asked.method, there)
    target = there.target
    return Call(
        environment_id=asked.principal.environment_id,
        connection_id=connection.id,
        connection=connection.name,
        account_id=account.id,
        user_id=account.owner.user_id,
        organization_id=account.owner.organization_id,
        actor=asked.principal.actor(),
        request_id=asked.request_id,
        method=asked.method,
        host=target.host,
        origin=f"{target.scheme}://{target.host}:{target.port}",
        path=there.path,
        query=there.query,
        shown_path=shown(there.path),
        headers=_of_weight(asked, outlet),
        body=asked.body or b"",
    )


def _of_weight(asked: Asked, outlet: Outlet) -> tuple[tuple[str, str], ...]:
    """Return the headers that count, also those which go along unasked: an account's own values are in some."""
    going = {**dict(outlet.defaults), **onward(asked.headers), **dict(outlet.fixed)}
    return tuple(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in sorted(going.items())
        if name not in _OF_NO_WEIGHT and not name.startswith(_OF_NO_WEIGHT_PREFIXES)
    )
