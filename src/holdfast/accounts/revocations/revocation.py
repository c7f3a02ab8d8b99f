"""The records of this room, and what follows from them without I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from holdfast import ids
from holdfast.connections.connection import Revokes
from holdfast.events import Action, Actor, Entry
from holdfast.oauth2.dialect import Dead
from holdfast.providers.entry import Provider, Revoke
from holdfast.providers.templates import Settled
from holdfast.vault import Place, Sealed

Cause = Literal["deleted", "disconnected", "refreshed_meanwhile", "consent_refused"]
"""Why it is to end: its account was deleted or disconnected, or never got it: a refresh came back too late for it, or
a consent came to nothing after its code had been exchanged."""
Kind = Literal["access_token", "refresh_token"]
"""As RFC 7009 section 2.1 names them in `token_type_hint`."""

GIVE_UP_AFTER = 86400.0
"""Seconds: an outage is over by then, and a token kept longer for its own end is a risk of its own."""
PAUSES = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0)
"""Seconds after each failure, the last again and again: 5 s, 35 s, 2.5 and 12.5 minutes, 42 minutes, then hourly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """One grant to end at its provider. Whose it was is for the entry; the request is in `order`."""

    environment_id: str
    id: str
    account_id: str
    """Empty where no account was ever made of it."""
    connection_id: str
    connection: str
    provider: str
    user_id: str
    organization_id: str
    subject: str | None
    """The provider's id of the account: who else lives by the same grant has the same one."""
    client_id: str
    client_ref: str | None
    cause: Cause
    order: Sealed
    due_at: float
    created_at: float
    attempts: int = 0
    fence: int = 0

    def order_place(self) -> Place:
        return order_place(self.environment_id, self.id)


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a revocation's requests are made of: the facts, the values, and the secrets. Never kept but sealed."""

    revoke: Revoke
    tokens: tuple[tuple[Kind, str], ...]
    lane: str
    """The provider, as refreshes are counted under it."""
    provider: Provider
    """The entry without its words: how its replies are read."""
    client_secret: str | None = None
    values: dict[str, str] = {}
    proven: tuple[str, ...] = ()
    access_ends: float | None = None

    def settled(self) -> Settled:
        return Settled(self.values, frozenset(self.proven))

    def dead(self) -> tuple[Dead, ...]:
        return self.provider.dead


def order_place(environment_id: str, revocation_id: str) -> Place:
    return Place(environment_id, revocation_id, "order", 1)


def is_asked(setting: Revokes, revoke: Revoke, *, wire: bool) -> bool:
    """Tell whether a connection with this setting wants it. `wire`: whether it is usual at the door that was asked.

    What takes access from others too is done only where the operator has said so.
    """
    if setting == "usual":
        return wire and revoke.kills in ("token", "grant")
    return setting == "always"


def lane_name(provider: Provider, environment_id: str) -> str:
    """Return what the provider is counted under: a custom one is its environment's own."""
    return f"{environment_id}/{provider.slug}" if provider.custom else provider.slug


def pause(attempts: int, asked: float = 0.0) -> float:
    """Return the seconds to wait after so many attempts; not less than the provider has asked for, up to an hour."""
    return max(PAUSES[min(attempts, len(PAUSES)) - 1], min(asked, PAUSES[-1]))


WHY = {
    "unreachable": "it could not be reached",
    "busy": "it answers that it is busy or broken",
    "client_refused": "it refuses the connection's client",
    "refused": "it refuses",
    "token_expired": "it takes the access token alone, and that had expired",
    "shared": "another connected account lives by the same grant",
    "unknown_identity": "whose grant it was is not known, and another account may live by it",
    "not_possible": "what the request needs is missing or damaged",
}


def revocation_entry(
    about: Revocation, action: Action, now: float, *, why: str | None = None, status: int | None = None
) -> Entry:
    """Return the entry that tells what came of it: no secret, and none of the provider's own words."""
    data: Mapping[str, Any] = {
        "connection_id": about.connection_id,
        "connection": about.connection,
        "provider": about.provider,
        "cause": about.cause,
        "attempts": about.attempts,
        "why": why,
        "detail": WHY[why] if why else None,
        "response_status": status,
    }
    return Entry(
        environment_id=about.environment_id,
        id=ids.new_id(now),
        at=now,
        action=action,
        actor=Actor.system(),
        account_id=about.account_id,
        connection_id=about.connection_id,
        user_id=about.user_id,
        organization_id=about.organization_id,
        data=data,
    )
