"""Usage: what was called, with whose account, and how it went. Rows and counts over the log; nothing is stored here.

A Call is one closing entry of the proxy (source PROXY). It ends in one of three ways: `success`; `provider_error`, the
provider's doing (it refused, or could not be reached); `platform_error`, ours or the caller's.

Every answer costs a bounded number of index rows: a list looks at `MOST_LOOKED_AT` entries at most and then says where
to go on; counts stop with TooMuch.
"""

from holdfast.usage.call import Call, End, Ended, ended
from holdfast.usage.counting import Buckets, Counted, TooMuch, count
from holdfast.usage.finding import Found, Wanted, find, get

__all__ = [
    "Buckets",
    "Call",
    "Counted",
    "End",
    "Ended",
    "Found",
    "TooMuch",
    "Wanted",
    "count",
    "ended",
    "find",
    "get",
]
