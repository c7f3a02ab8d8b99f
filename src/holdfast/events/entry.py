"""An Entry: one line of the log. It holds no secret, ever: `data` may be shown to the account's app."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from holdfast.events.names import Action


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it: an API key, an administrator at the dashboard, the end user in a browser, the server itself, or an
    operator at the command line."""

    kind: Literal["api_key", "administrator", "end_user", "system", "operator"]
    id: str = ""

    @classmethod
    def system(cls) -> "Actor":
        return cls("system")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    environment_id: str
    id: str
    at: float
    action: Action
    actor: Actor
    account_id: str = ""
    connection_id: str = ""
    user_id: str = ""
    organization_id: str = ""
    request_id: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
