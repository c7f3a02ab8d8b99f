"""Turns, many at once: the two writes of a refresh, shared by all refreshes that are at the same point.

`take` is the first: lease, fence and intent. `settle` is the second: the new pair, the lease given up, the entry, and
the entry of the read that it was made for (`reading`).
Each is one statement and one commit for a whole batch, and neither waits for a row's lock. What is not plain (an open
intent, an alert, a retry time, a provider that renews no token so early, a status or a credential that has changed) is
left to `tokens.refresh`, one account at a time, which says why; a row that a batch leaves out is as it was.
"""

from holdfast.tokens.turns.batches import SettingPlace, Turns, place_of
from holdfast.tokens.turns.reading import Reading, Served

__all__ = ["Reading", "Served", "SettingPlace", "Turns", "place_of"]
