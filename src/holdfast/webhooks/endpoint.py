"""The Endpoint record."""

from dataclasses import dataclass
from typing import Literal

from holdfast.vault import Place, Sealed

Status = Literal["enabled", "disabled"]
Dialect = Literal["workos", "scalekit", "both"]
"""Whose body and headers an endpoint gets. `both`: the body of the first, and the signatures of both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    environment_id: str
    id: str
    url: str
    status: Status
    events: tuple[str, ...]
    secret: Sealed
    created_at: float
    updated_at: float
    dialect: Dialect = "workos"
    secret_version: int = 1
    former_secret: Sealed | None = None
    former_until: float | None = None
    """Until then deliveries are signed with the former secret as well."""
    failing_since: float | None = None
    """When the first of the failures came that no success has followed."""
    disabled_reason: str = ""
    """Why we disabled it: `gone`, `failing`; empty if we did not."""

    def secret_place(self) -> Place:
        return self.place_of(self.secret_version)

    def former_place(self) -> Place:
        return self.place_of(self.secret_version - 1)

    def place_of(self, version: int) -> Place:
        return Place(self.environment_id, self.id, "webhook_secret", version)

    def signs_twice(self, now: float) -> bool:
        return self.former_secret is not None and self.former_until is not None and now < self.former_until
