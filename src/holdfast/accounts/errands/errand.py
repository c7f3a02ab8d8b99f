"""The Errand record."""

from dataclasses import dataclass
from typing import Literal

from holdfast.accounts.store import Listing
from holdfast.events import Actor

Act = Literal["suspend", "resume", "delete"]
ACTS: tuple[Act, ...] = ("suspend", "resume", "delete")


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    environment_id: str
    id: str
    """Accounts with a greater id are younger than the errand, and are left alone."""
    act: Act
    which: Listing
    actor: Actor
    created_at: float
    updated_at: float
    cursor: str = ""
    """The account acted on last."""
    done: int = 0
    passed_over: int = 0
    stopped: bool = False
    ended_at: float | None = None
