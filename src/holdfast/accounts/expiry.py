"""When a token ends and when to renew it: pure rules over a grant and the provider's facts."""

from collections.abc import Sequence

from holdfast.oauth2.replies import TokenGrant
from holdfast.providers.entry import Lifetime

LONGEST_MARGIN = 300.0
"""Five minutes: long enough to outlast a provider's hiccup, short beside an hour's life."""
MARGIN_SHARE = 0.25
"""Of a short life, so that a token of a minute is not refreshed as soon as it arrives."""


def expiry_of(grant: TokenGrant, lifetime: Lifetime, now: float) -> float | None:
    """Return when the access token ends. None = never, or nobody knows: then a refusal will tell."""
    if grant.never_expires:
        return None
    if grant.expires_at is not None:
        return grant.expires_at
    return now + lifetime.access if isinstance(lifetime.access, int) else None


def due_at(expires_at: float | None, now: float, lifetime: Lifetime, *, renewable: bool) -> float | None:
    """Return when to renew a token obtained now. None = never."""
    if expires_at is None or not renewable:
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
