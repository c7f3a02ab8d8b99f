"""The Delivery record, and what becomes of it (pure).

due: the head of its queue, to be sent at `due_at`. waiting: one before it in its queue is not finished.
delivered: the receiver answered 2xx. dead: given up; an administrator may replay it.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from holdfast.events import Action, Entry

Status = Literal["due", "waiting", "delivered", "dead"]

DELAYS = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0, 43200.0, 72000.0, 86400.0)
"""Seconds before each retry: twelve over three days (71.7 hours), as both vendors' docs promise days, not minutes."""
JITTER = 0.1
"""Share by which a delay may be shorter or longer, so that what failed together does not come back together."""
MOST_RETRY_AFTER = 86400.0
DISABLE_AFTER = 5 * 86400.0
"""An endpoint that nothing has reached for so long is disabled: by then whole deliveries have been given up."""
SHOWN = 500
"""Characters kept of an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """An entry on its way to an endpoint. One at a time of each `queue` (the account; else the entry itself)."""

    environment_id: str
    id: str
    endpoint_id: str
    entry_id: str
    event: str
    queue: str
    position: int
    status: Status
    due_at: float | None
    created_at: float
    attempts: int = 0
    fence: int = 0
    last_at: float | None = None
    response_status: int | None = None
    response_text: str | None = None


class Renderer(Protocol):
    """How a wire tells of entries. The doors know; what they know is handed in."""

    actions: frozenset[Action]
    names: frozenset[str]
    """Every event name of this wire."""

    def event_name(self, entry: Entry) -> str | None:
        """Return the wire's name of what happened, None if it has none."""
        ...

    def render(self, entry: Entry) -> tuple[str, bytes]:
        """Return the event's id and its body: the same ones however often it is asked."""
        ...


@dataclass(frozen=True, slots=True)
class Delivered:
    status: int
    text: str


@dataclass(frozen=True, slots=True)
class Failed:
    """`gone`: the receiver says that there will never be anybody (410)."""

    status: int | None
    text: str
    retry_after: float = 0.0
    gone: bool = False
    final: bool = False


Outcome = Delivered | Failed


def next_attempt(
    attempts: int, outcome: Failed, delays: Sequence[float], luck: Callable[[], float] = random.random
) -> float | None:
    """Return the seconds until the next attempt, None if there is none. `attempts` counts the one that failed."""
    if outcome.gone or outcome.final or attempts > len(delays):
        return None
    delay = delays[attempts - 1] * (1 + JITTER * (2 * luck() - 1))
    return max(delay, min(outcome.retry_after, MOST_RETRY_AFTER))
