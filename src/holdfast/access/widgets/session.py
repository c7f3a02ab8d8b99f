"""The record of a widget session, and what it may do: pure."""

from dataclasses import dataclass
from typing import Literal

from holdfast.events import Actor

Permission = Literal[
    "widgets:users-table:manage",
    "widgets:user-api-keys:manage-self",
    "widgets:user-api-keys:manage-all",
    "widgets:domain-verification:manage",
    "widgets:sso:manage",
    "widgets:api-keys:manage",
    "widgets:dsync:manage",
    "widgets:audit-log-streaming:manage",
    "widgets:pipes:manage",
]
"""What the wire knows. Only the last one concerns connected accounts; a user's own need none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WidgetSession:
    """A user in a browser, by a token that was believed."""

    environment_id: str
    id: str
    key_id: str
    """The API key that vouches for the user."""
    user_id: str
    organization_id: str | None = None
    connections: frozenset[str] | None = None
    """The names it is for; None = all that the user may connect."""
    permissions: tuple[str, ...] = ()
    ends_at: float

    def concerns(self, name: str) -> bool:
        return self.connections is None or name in self.connections

    def actor(self) -> Actor:
        return Actor("end_user", self.user_id)
