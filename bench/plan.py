"""How long and how often to measure, and what a figure is."""

from dataclasses import asdict, dataclass, field
from typing import Any


class Failed(Exception):
    """A run whose figure would be a lie: requests went wrong, or a part did not start."""


@dataclass(frozen=True)
class Plan:
    callers: tuple[int, ...]
    own_core_callers: tuple[int, ...]
    """Of them, those that are measured with the server alone on its core too."""
    runs: int
    seconds: float
    accounts: int
    """Behind the token reads."""
    grpc_callers: tuple[int, ...]
    """Of `callers`, those that read by gRPC too. Fewer than 64 share too few connections to say anything."""
    proxy_callers: tuple[int, ...]
    proxy_own_core_callers: tuple[int, ...]
    refresh_callers: tuple[int, ...]
    refresh_accounts: int
    """Many enough that each token has ended when its turn comes round again."""
    due: int
    sweeps: int
    """Of the runs, at most: each has accounts of its own to make."""
    sizes: tuple[int, ...]
    """Accounts behind the reads whose p50 are compared, smallest first."""
    size_callers: tuple[int, ...]
    """One: then p50 is the work and not the queue. With 16, which keep one core busy, it is the queue: the CPU of 16
    reads, in which each microsecond counts 16 times."""
    pairs: int
    """Runs of a second each, of these: of two runs next to one another, one in three differs from the other by a tenth
    although nothing has changed but the machine."""
    further_engines: tuple[str, ...] = ("postgres", "sqlite")
    """Those of gRPC reads, refreshes and scale."""


LONG = Plan(
    callers=(1, 16, 64, 256),
    own_core_callers=(1, 16, 64, 256),
    runs=5,
    seconds=5.0,
    accounts=100_000,
    grpc_callers=(64,),
    proxy_callers=(16, 64),
    proxy_own_core_callers=(16, 64),
    refresh_callers=(16, 64),
    refresh_accounts=40_000,
    due=100_000,
    sweeps=5,
    sizes=(1_000, 100_000, 1_000_000),
    size_callers=(1, 16),
    pairs=25,
)
QUICK = Plan(
    callers=(64,),
    own_core_callers=(64,),
    runs=3,
    seconds=1.0,
    accounts=1_000,
    grpc_callers=(64,),
    proxy_callers=(64,),
    proxy_own_core_callers=(),
    refresh_callers=(64,),
    refresh_accounts=9_000,
    due=1_000,
    sweeps=1,
    sizes=(1_000, 10_000),
    size_callers=(1,),
    pairs=2,
    further_engines=("postgres",),
)


@dataclass(frozen=True)
class Figure:
    """One line of the table. `ceiling` is what the same machine did in the same run without us, `ratio` to it."""

    name: str
    median: float
    unit: str
    runs: int
    p99_ms: float | None = None
    ceiling: float | None = None
    ratio: float | None = None
    more: dict[str, Any] = field(default_factory=dict)
    """Further figures of the same runs: p50, CPU per request by process."""

    def row(self) -> dict[str, Any]:
        return {**{name: value for name, value in asdict(self).items() if name != "more"}, **self.more}
