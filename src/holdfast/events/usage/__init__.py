"""Usage: counts over the log by the hour, so that nobody reads the log itself to draw a curve.

`Roller` reads the log in its order and adds what is new to the counts, in the transaction that moves its cursor: an
entry is counted once, whenever a process ends. `store` answers from the counts alone. A count is behind the log by some
seconds. Which connection is whose, and what counts mean to people, is left to the pages.
"""

from holdfast.events.usage.counts import BOUNDS, COUNTED, Counted, Tally, quantile
from holdfast.events.usage.roller import Roller

__all__ = ["BOUNDS", "COUNTED", "Counted", "Roller", "Tally", "quantile"]
