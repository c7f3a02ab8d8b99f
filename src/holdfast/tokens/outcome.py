"""What a refresh can come to. Values: the caller matches on them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.accounts import Account, Reason

if TYPE_CHECKING:
    from holdfast.tokens.turns.reading import Served


@dataclass(frozen=True, slots=True)
class Refreshed:
    """There is a new token, committed; from this refresh or from someone else's meanwhile."""

    account: Account
    served: "Served | None" = None
    """The one read, of all that wait for this outcome, whose entry was committed with the token."""


@dataclass(frozen=True, slots=True)
class RetryAt:
    """A passing failure: the account's status is unchanged, and it is worth trying again at `at` (epoch seconds)."""

    at: float
    why: str
    asked: bool = True
    """Whether the provider was asked. If not: another process has the turn, or an earlier retry time still holds."""
    damaged: bool = False
    """Whether a stored secret does not open."""


@dataclass(frozen=True, slots=True)
class Resting:
    """Nothing was tried: what the account is renewed at has failed too often lately, and is left alone until then."""

    until: float


@dataclass(frozen=True, slots=True)
class NeedsReauthorization:
    """The grant is dead, or there never was one: only the account's owner can help."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Misconfigured:
    """The provider refuses our client. The operator must act; the accounts are untouched."""

    why: str


@dataclass(frozen=True, slots=True)
class Gone:
    """The account was deleted meanwhile."""


RefreshOutcome = Refreshed | RetryAt | NeedsReauthorization | Misconfigured | Gone
