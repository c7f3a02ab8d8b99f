"""The Endpoint record."""

from dataclasses import dataclass
from typing import Literal

from holdfast.vault import Place, Sealed

Status = Literal["enabled", "disabled"]


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

    def secret_place(self) -> Place:
        return Place(self.environment_id, self.id, "webhook_secret", 1)
