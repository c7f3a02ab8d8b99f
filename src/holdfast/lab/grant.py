"""One person's grant to the app, as a value, and what presenting a refresh token does to it.

A refresh token that was rotated away is known for good as one of its family: presented again it is either a client that
lost our reply (within the grace, and only the one before the current) or a thief, and one cannot tell which, so the
whole family ends: RFC 9700 section 4.14.2.
"""

from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    id: str
    subject: str
    scopes: tuple[str, ...]
    since: float
    refresh_token: str | None = field(repr=False)
    """The one that is good now; None where `offline` was not granted."""
    previous: str | None = field(default=None, repr=False)
    rotated_at: float = 0.0
    refreshes: int = 0
    ended: str | None = None
    """Why it is over, in words for the error description; None while it is live."""

    def over(self, reason: str) -> "Grant":
        """Return the grant ended; the first reason stays."""
        return self if self.ended else replace(self, ended=reason)


@dataclass(frozen=True, slots=True)
class Renewed:
    """Good: answer with a new access token and `grant.refresh_token`."""

    grant: Grant
    replay: bool = False


@dataclass(frozen=True, slots=True)
class Reused:
    """A refresh token of this family that is no longer good. `grant` is what is left of the family."""

    grant: Grant


@dataclass(frozen=True, slots=True)
class Over:
    """The grant has ended before."""

    reason: str


def present(
    grant: Grant, token: str, *, rotates: bool, grace: float, now: float, fresh: str
) -> Renewed | Reused | Over:
    """Return what presenting `token`, which belongs to this grant's family, does. `fresh` becomes the next one."""
    if grant.ended:
        return Over(grant.ended)
    if token == grant.refresh_token:
        counted = replace(grant, refreshes=grant.refreshes + 1)
        if not rotates:
            return Renewed(counted)
        return Renewed(replace(counted, refresh_token=fresh, previous=token, rotated_at=now))
    if token == grant.previous and now - grant.rotated_at < grace:
        return Renewed(grant, replay=True)
    return Reused(grant.over("a refresh token was used twice") if rotates else grant)
