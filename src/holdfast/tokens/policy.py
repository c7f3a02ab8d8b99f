"""What to do with a token now: record and time in, decision out. No I/O."""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.accounts import Account, Reason, Status
from holdfast.accounts.expiry import MARGIN_SHARE
from holdfast.providers.entry import Lifetime
from holdfast.vault import Sealed

LONGEST_BACKOFF = 120.0
"""Who reads an ended token waits as long, when the provider is back. What the provider itself asks for is kept to."""
FIRST_BACKOFF = 2.0


@dataclass(frozen=True, slots=True)
class Serve:
    """Return the token as it is. `due`: renew it in the background."""

    due: bool
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Renew:
    """Refresh first. `fallback`: the token still lives, so it may be served if the refresh fails."""

    fallback: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """No token can be had without the owner."""

    reason: Reason | None
    detail: str


Decision = Serve | Renew | Stop


def decide(account: Account, now: float, min_ttl: float) -> Decision:
    """Judge an account's token by the life it must still have. Does not look at scopes."""
    if account.status is not Status.ACTIVE:
        return Stop(account.reason, account.detail or f"the account is {account.status}")
    renewable = account.grant is not None
    if account.method == "none":
        return Serve(False, _warnings(account))
    if account.access is None:
        return Renew(False) if renewable else Stop(Reason.NO_CREDENTIAL, "the account holds no token")
    if account.expires_at is None or account.expires_at - now > min_ttl:
        due = renewable and account.refresh_at is not None and account.refresh_at <= now
        waiting = account.retry_at is not None and account.retry_at > now
        return Serve(due and not waiting, _warnings(account))
    alive = account.expires_at > now
    if not renewable:
        if alive:
            return Serve(False, (*_warnings(account), "the token ends soon and cannot be renewed"))
        return Stop(
            Reason.NO_REFRESH_TOKEN,
            "The token has ended and the provider gave no refresh token. The account's owner has to connect it again.",
        )
    return Renew(alive)


def too_early(account: Account, lifetime: Lifetime, now: float) -> float | None:
    """Return from when on the provider renews a token that still lives, if that is yet to come: asked before, it
    refuses or does nothing. None where it may be asked."""
    if lifetime.refresh_not_before is None or account.access is None or account.expires_at is None:
        return None
    begins = account.expires_at - lifetime.refresh_not_before
    return begins if now < min(begins, account.expires_at) else None


def default_ttl(account: Account, min_ttl: float) -> float:
    """Return the life to ask for where the caller asks for none: a quarter of a short-lived token's, so that a token
    of a minute is not refreshed at each read."""
    if account.expires_at is None or account.refreshed_at is None:
        return min_ttl
    return min(min_ttl, max(0.0, account.expires_at - account.refreshed_at) * MARGIN_SHARE)


def _warnings(account: Account) -> tuple[str, ...]:
    return (account.warning,) if account.warning else ()


@dataclass(frozen=True, slots=True)
class Normal:
    """No doubt about the refresh token: ask; a first refusal is asked again, spaced."""


@dataclass(frozen=True, slots=True)
class Resolve:
    """An earlier request may have used the refresh token up. `replay`: the provider's grace window still holds."""

    replay: bool


def judge_intent(account: Account, lifetime: Lifetime, now: float) -> Normal | Resolve:
    """Judge an open intent: a refresh request that was perhaps sent and never settled."""
    if account.intent_at is None or not rotates(lifetime):
        return Normal()
    return Resolve(replay=now - account.intent_at < lifetime.reuse_grace)


def rotates(lifetime: Lifetime) -> bool:
    """Tell whether using a refresh token may end it. Unknown counts as yes."""
    return lifetime.rotation != "none"


PRINTED = b"holdfast intent\x00"
PRINT_LENGTH = 32
"""Hexadecimal digits: 128 bits."""


def fingerprint(grant: Sealed) -> str:
    """Return what identifies a refresh token as it is stored, and tells nothing of it: it is of the ciphertext, which
    differs each time that one is sealed. So a database can work it out as well."""
    return hashlib.sha256(PRINTED + grant.data).hexdigest()[:PRINT_LENGTH]


def backoff(failures: int, *, asked: float | None = None) -> float:
    """Return seconds to wait after so many failures in a row: full jitter, and never less than the provider asked."""
    ceiling = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(failures, 16))
    wait = random.uniform(FIRST_BACKOFF / 2, ceiling)  # noqa: S311  (spreads load, guards nothing)
    return max(wait, asked or 0.0)


def missing_required(account: Account, required: Sequence[str], missing: Sequence[str]) -> tuple[str, ...]:
    """Return the required scopes among those that were not granted."""
    return tuple(scope for scope in required if scope in set(missing))
