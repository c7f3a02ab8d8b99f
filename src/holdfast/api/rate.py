"""Slowing a caller down: a token bucket per key, in this process."""

from collections import OrderedDict

from holdfast.clock import Clock

MOST_KEYS = 10_000
"""Buckets kept at once; the one unused for longest goes first, and starts full when it comes back."""


class RateLimiter:
    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._per_minute, self._clock = per_minute, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> float | None:
        """Count one request. Return None if it may go ahead, else the seconds to wait."""
        if self._per_minute == 0:
            return None
        now, rate = self._clock.now(), self._per_minute / 60
        tokens, at = self._buckets.pop(key, (float(self._per_minute), now))
        tokens = min(float(self._per_minute), tokens + max(0.0, now - at) * rate)
        allowed = tokens >= 1
        self._buckets[key] = (tokens - 1 if allowed else tokens, now)
        if len(self._buckets) > MOST_KEYS:
            self._buckets.popitem(last=False)
        return None if allowed else (1 - tokens) / rate
