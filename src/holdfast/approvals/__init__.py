"""Approvals: a person's yes or no to one call of an agent, before the call is made.

    pending > approved > taken                pending, approved > denied > approved

A call that a connection's approval rules take is asked for here, once however often it is repeated, and waits a day.
An administrator or an operator looks at it and decides; whoever asked cannot, and nothing is decided by itself. An
approval is taken by the very call that was looked at (account, caller, method, address, headers, body), once, within
ten minutes. A denied one stays denied for the rest of its day. What a call held is sealed, and forgotten a week after.

Leaves which calls need approval to `connections.approval_rules`, and the call itself to the proxy.
"""

from holdfast.approvals.approval import Approval, ApprovalDenied, ApprovalRequired, Call, NeedsApproval, Seen, State
from holdfast.approvals.approvals import Approvals

__all__ = [
    "Approval",
    "ApprovalDenied",
    "ApprovalRequired",
    "Approvals",
    "Call",
    "NeedsApproval",
    "Seen",
    "State",
]
