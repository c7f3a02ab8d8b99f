"""When a token ends and when to renew it: pure rules over a grant and the provider's facts."""

import zlib
from collections.abc import Sequence

from holdfast.accounts.account import Account, Status
from holdfast.oauth2.replies import TokenGrant
from holdfast.providers.entry import Lifetime

LONGEST_MARGIN = 300.0
"""Five minutes: long enough to outlast a provider's hiccup, short beside an hour's life."""
MARGIN_SHARE = 0.25
"""Of a short life, so that a token of a minute is not refreshed as soon as it arrives."""

SPREAD_SHARE = 0.4
"""Of the margin: the sweep comes somewhere in its first two fifths, so that accounts connected in one hour are not
refreshed in one second; three fifths are left for what may go wrong."""
LONGEST_SPREAD = 3600.0
"""An hour spreads any crowd; a keep-alive, with days of margin, needs no more."""
LONGEST_KEEPALIVE_MARGIN = 7 * 86400.0
"""A week: a server that was switched off over the holidays still saves its accounts from death by disuse."""
SHORTEST_ANNOUNCED = 86400.0
"""A token of less than a day that nobody can renew is not announced: it would be at once, and each time."""


def expiry_of(grant: TokenGrant, lifetime: Lifetime, now: float) -> float | None:
    """Return when the access token ends. None = never, or nobody knows: then a refusal will tell."""
    if grant.never_expires:
        return None
    if grant.expires_at is not None:
        return grant.expires_at
    return now + lifetime.access if isinstance(lifetime.access, int) else None


def is_end_unsaid(grant: TokenGrant) -> bool:
    """Tell whether neither the reply nor the token itself says when it ends: a life in the catalogue is assumed."""
    return grant.expires_at is None and not grant.never_expires


def due_at(
    expires_at: float | None,
    now: float,
    lifetime: Lifetime,
    *,
    renewable: bool,
    grant_expires_at: float | None = None,
) -> float | None:
    """Return when to renew a token obtained now: before it ends, and before the refresh token dies of disuse; but not
    before the provider does so. None = never.
    """
    if not renewable:
        return None
    times = (_before_expiry(expires_at, now, lifetime), _keep_alive(grant_expires_at, now, lifetime))
    due = min((time for time in times if time is not None), default=None)
    if due is None or expires_at is None or lifetime.refresh_not_before is None:
        return due
    return max(due, expires_at - lifetime.refresh_not_before)


def _keep_alive(grant_expires_at: float | None, now: float, lifetime: Lifetime) -> float | None:
    if grant_expires_at is None or grant_expires_at <= now or not _extendable(grant_expires_at, now, lifetime):
        return None
    return grant_expires_at - min(LONGEST_KEEPALIVE_MARGIN, MARGIN_SHARE * (grant_expires_at - now))


def _extendable(grant_expires_at: float, now: float, lifetime: Lifetime) -> bool:
    """Tell whether a refresh puts the grant's end off: it brings a new refresh token, or the end is one by disuse.

    An end well before the one by disuse was stated by the provider (an app in test mode), and it stands.
    """
    if lifetime.rotation != "none":
        return True
    return lifetime.refresh_idle is not None and grant_expires_at - now >= 0.9 * lifetime.refresh_idle


def consent_end(
    expires_at: float | None, grant_expires_at: float | None, now: float, lifetime: Lifetime, *, renewable: bool
) -> float | None:
    """Return when the consent ends and no refresh can help; None where it does not, or nobody knows."""
    if renewable:
        extendable = grant_expires_at is None or _extendable(grant_expires_at, now, lifetime)
        return None if extendable else grant_expires_at
    return expires_at if expires_at is not None and expires_at - now >= SHORTEST_ANNOUNCED else None


def sweep_at(account: Account) -> float | None:
    """Return when the sweep should come to this account, read or not. None = never.

    Never before it is due; spread by the account's id, so that the answer is the same wherever it is worked out.
    """
    # Without an access token nobody has asked yet (client credentials): the first read mints one.
    renewable = account.status is Status.ACTIVE and account.grant is not None and account.access is not None
    if not renewable or account.refresh_at is None:
        return None
    ends = [end for end in (account.expires_at, account.grant_expires_at) if end is not None]
    margin = max(0.0, min(ends, default=account.refresh_at) - account.refresh_at)
    place = (zlib.crc32(account.id.encode()) & 0xFFFF) / 0x10000
    spread = account.refresh_at + place * min(LONGEST_SPREAD, SPREAD_SHARE * margin)
    return max(spread, account.retry_at or 0.0)


def _before_expiry(expires_at: float | None, now: float, lifetime: Lifetime) -> float | None:
    if expires_at is None:
        return None
    margin = (
        float(lifetime.refresh_margin)
        if lifetime.refresh_margin is not None
        else min(LONGEST_MARGIN, MARGIN_SHARE * max(0.0, expires_at - now))
    )
    if lifetime.refresh_not_before is not None:
        margin = min(margin, float(lifetime.refresh_not_before))
    return expires_at - margin


def granted_scopes(grant: TokenGrant, requested: Sequence[str]) -> tuple[str, ...]:
    """Return what was granted: as the reply says, and as requested where it says nothing (RFC 6749 section 5.1)."""
    return tuple(grant.scopes) if grant.scopes is not None else tuple(requested)
