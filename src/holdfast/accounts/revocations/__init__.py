"""Revocations: what is taken away here is taken away at the provider too, however often that has to be tried.

Owns the queue of tokens to end at their provider. One is queued in the transaction that deletes or disconnects its
account, so that a crash loses none, and holds all that its request needs, sealed for itself: account, connection and
custom provider may be gone by then. States: due, and gone with an entry that says what came of it (done, failed,
skipped); the sealed tokens go with the row.

Leaves sending to `holdfast.tokens.revoking`, which every other request to a provider passes by too.
"""

from holdfast.accounts.revocations.judge import Ended, Later, Refused, Verdict, judge
from holdfast.accounts.revocations.queue import Orphan, end_account, end_orphan, is_told
from holdfast.accounts.revocations.revocation import (
    GIVE_UP_AFTER,
    Order,
    Revocation,
    is_asked,
    lane_name,
    pause,
    revocation_entry,
)

__all__ = [
    "GIVE_UP_AFTER",
    "Ended",
    "Later",
    "Order",
    "Orphan",
    "Refused",
    "Revocation",
    "Verdict",
    "end_account",
    "end_orphan",
    "is_asked",
    "is_told",
    "judge",
    "lane_name",
    "pause",
    "revocation_entry",
]
