"""What is counted, and what follows from counts (pure)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from holdfast.events.names import Action

COUNTED = (
    Action.CREDENTIAL_READ,
    Action.TOKEN_REFRESHED,
    Action.TOKEN_REFRESH_FAILED,
    Action.TOKEN_REFRESH_UNRESOLVED,
    Action.PROXY_CALLED,
    Action.ACCOUNT_CONNECTED,
    Action.ACCOUNT_CONNECTION_FAILED,
    Action.ACCOUNT_REAUTHORIZATION_NEEDED,
    Action.ACCOUNT_DISCONNECTED,
)
HOUR = 3600
BOUNDS = (50, 100, 250, 500, 1000, 2500, 5000, 10000)
"""Milliseconds: a proxied call is counted under the first bound that it does not exceed, else under 0."""
FAILED_CALLS = ("5xx", "failed")
"""Outcomes of proxied calls that are the provider's doing, or nobody's answer. A 4xx is the caller's."""


@dataclass(frozen=True, slots=True)
class Counted:
    """So many entries of one kind within one bucket of time. `ms` is the sum over proxied calls."""

    at: int
    connection_id: str
    action: str
    outcome: str
    up_to_ms: int
    count: int
    ms: float


@dataclass(slots=True)
class Tally:
    """Counts put together, for one bucket or one connection."""

    reads: int = 0
    refreshed: int = 0
    refresh_failed: int = 0
    refresh_unresolved: int = 0
    """Of those that failed: the provider gave no usable answer."""
    calls: int = 0
    calls_failed: int = 0
    connected: int = 0
    connect_failed: int = 0
    lost: int = 0
    """Accounts that came to need their owner, or went."""
    ms: float = 0.0
    within: dict[int, int] = field(default_factory=dict)
    """Proxied calls by the bound they stayed within."""

    def add(self, one: Counted) -> None:
        match one.action:
            case Action.CREDENTIAL_READ:
                self.reads += one.count
            case Action.TOKEN_REFRESHED:
                self.refreshed += one.count
            case Action.TOKEN_REFRESH_FAILED | Action.TOKEN_REFRESH_UNRESOLVED:
                self.refresh_failed += one.count
                self.refresh_unresolved += one.count if one.action == Action.TOKEN_REFRESH_UNRESOLVED else 0
            case Action.PROXY_CALLED:
                self.calls += one.count
                self.calls_failed += one.count if one.outcome in FAILED_CALLS else 0
                self.ms += one.ms
                self.within[one.up_to_ms] = self.within.get(one.up_to_ms, 0) + one.count
            case Action.ACCOUNT_CONNECTED:
                self.connected += one.count
            case Action.ACCOUNT_CONNECTION_FAILED:
                self.connect_failed += one.count
            case Action.ACCOUNT_REAUTHORIZATION_NEEDED | Action.ACCOUNT_DISCONNECTED:
                self.lost += one.count

    def join(self, other: "Tally") -> None:
        """Add another tally's counts to this one's."""
        for name in ("reads", "refreshed", "refresh_failed", "refresh_unresolved", "calls", "calls_failed"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("connected", "connect_failed", "lost", "ms"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for bound, count in other.within.items():
            self.within[bound] = self.within.get(bound, 0) + count

    @property
    def empty(self) -> bool:
        figures = (self.reads, self.refreshed, self.refresh_failed, self.calls, self.connected)
        return not any((*figures, self.connect_failed, self.lost))


def by_time(found: Iterable[Counted], moments: Iterable[int]) -> dict[int, Tally]:
    """Return a tally for each bucket, those with nothing in them too."""
    tallies = {at: Tally() for at in moments}
    for one in found:
        tallies.setdefault(one.at, Tally()).add(one)
    return tallies


def by_connection(found: Iterable[Counted]) -> dict[str, Tally]:
    tallies: dict[str, Tally] = {}
    for one in found:
        tallies.setdefault(one.connection_id, Tally()).add(one)
    return tallies


def quantile(within: Mapping[int, int], share: float) -> float | None:
    """Return about how many milliseconds a share of the calls stayed within, None without calls.

    Within a bound calls are taken to be spread evenly. Above the last bound nothing is known: the bound is returned.
    """
    total = sum(within.values())
    if not total:
        return None
    wanted, seen, before = share * total, 0.0, 0
    for bound in BOUNDS:
        here = within.get(bound, 0)
        if here and seen + here >= wanted:
            return before + (bound - before) * (wanted - seen) / here
        seen, before = seen + here, bound
    return float(BOUNDS[-1])
