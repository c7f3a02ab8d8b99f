"""Tokens: reading a live one, and refreshing it. The heart.

`policy` decides and `verdict` judges what the provider answered (both pure), `read` vends, `plain` vends the frequent
case many at once and `renewals` what has to be refreshed first. `refresh` renews, `turns` writes for many refreshes at
once, `settle` for one in doubt; `outcome` names what it can come to, `told` says it to people.
`sweep` finds what is due though nobody reads it, `gate` caps and spares what is refreshed in the background,
`forecast` tells of ends that no refresh puts off, `revoking` ends at the provider what was taken away here,
`introspecting` asks it when a token ends that came without an end. A read
never waits while the token has life enough; a valid token is never refused because something else failed. One function
refreshes, for reads and for everything else: single flight in the process, then a lease with a fence, an intent before
the request, and the new pair committed before anything else is looked at.

Leaves the account's record and status to `accounts`, the protocol to `oauth2`.
"""

from holdfast.tokens.forecast import Forecast
from holdfast.tokens.gate import Gate
from holdfast.tokens.introspecting import Introspector
from holdfast.tokens.outcome import Misconfigured, NeedsReauthorization, Refreshed, RefreshOutcome, RetryAt
from holdfast.tokens.plain import Live, PlainAsk, PlainReader
from holdfast.tokens.read import Ask, Inactive, TokenReader, Vended
from holdfast.tokens.refresh import Refresher
from holdfast.tokens.renewals import RenewingReader
from holdfast.tokens.revoking import Revoker
from holdfast.tokens.sweep import Sweep

__all__ = [
    "Ask",
    "Forecast",
    "Gate",
    "Inactive",
    "Introspector",
    "Live",
    "Misconfigured",
    "NeedsReauthorization",
    "PlainAsk",
    "PlainReader",
    "RefreshOutcome",
    "Refreshed",
    "Refresher",
    "RenewingReader",
    "RetryAt",
    "Revoker",
    "Sweep",
    "TokenReader",
    "Vended",
]
