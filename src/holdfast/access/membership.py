"""Membership: a user of the caller's belongs to an organization of the caller's. Both ids are the caller's own.

States: pending, active, inactive; deleted ones stay as rows so that enforcement, once on, stays on.
"""

from dataclasses import dataclass, replace
from typing import Literal

Status = Literal["pending", "active", "inactive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    environment_id: str
    id: str
    user_id: str
    organization_id: str
    role: str
    status: Status
    created_at: float
    updated_at: float
    deleted: bool = False

    def with_status(self, status: Status, now: float) -> "Membership":
        return replace(self, status=status, updated_at=now)

    def ended(self, now: float) -> "Membership":
        return replace(self, status="inactive", deleted=True, updated_at=now)


def may_act(kept: bool, membership: Membership | None) -> bool:
    """Tell whether a user may act for an organization. Without any recorded membership the caller is trusted."""
    return not kept or (membership is not None and not membership.deleted and membership.status == "active")
