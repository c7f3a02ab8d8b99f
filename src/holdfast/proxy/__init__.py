"""The proxy: a call to a provider's API made for an app that never sees the credential.

    asked > address > permission > credential (its read is on record) > sent > streamed back > entry

Owns: which addresses a provider's credential may go to (`address`, `outlet`), on which of a provider's sites an account
works where nobody knows yet (`sites`), whether the connection's rules let a call through (`permission`), which headers
pass in either direction (`headers`), how a reply says that a token has ended or that the caller is too fast
(`signals`), the flow of one call (`forward`; of the frequent one, which needs no task, `begun`), and the entry that
tells how it went (`ledger`). A credential leaves only after the entry of its read is durable; that entry and the call's
closing one share a request id that begins with `prx_`.

The upstream's status and body are the caller's, whatever they say: a reply of ours never looks like one of theirs. An
ended token is renewed once, and the call repeated once if its body was short enough to be kept.

Leaves the reading and renewing of credentials to `tokens`, the egress guard and the sockets to `outbound`, and the
wire shapes of callers to the doors.
"""

from holdfast.proxy.asked import Asked
from holdfast.proxy.begun import Begun, begin
from holdfast.proxy.errors import AuthorizationRequired, NotProxied
from holdfast.proxy.forward import Answered, Proxy
from holdfast.proxy.permission import NotAllowed

__all__ = ["Answered", "Asked", "AuthorizationRequired", "Begun", "NotAllowed", "NotProxied", "Proxy", "begin"]
