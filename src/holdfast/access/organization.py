"""Organization: a name for a group of the caller's users. A record and no more: accounts and memberships name an
organization by any id of the caller's, whether it is recorded here or not."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    environment_id: str
    id: str
    display_name: str
    created_at: float
    updated_at: float
    external_id: str | None = None
    """The caller's own id of it; unique in the environment."""
    region: str = ""
    slug: str | None = None
    logo_url: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
