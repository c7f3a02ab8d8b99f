"""An Entry: one line of the log. It holds no secret, ever: `data` may be shown to the account's app."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

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


class Line(msgspec.Struct, frozen=True, gc=False):
    """An Entry, flat: as it is written, and as it is hashed. Its fields are the table's columns in their order. What
    happens thousands of times a second is made as one, in a third of the time."""

    environment_id: str
    id: str
    at: float
    action: str
    actor_kind: str
    actor_id: str
    account_id: str
    connection_id: str
    user_id: str
    organization_id: str
    request_id: str
    data: dict[str, Any]

    @classmethod
    def of(cls, entry: Entry) -> "Line":
        return cls(
            entry.environment_id,
            entry.id,
            entry.at,
            entry.action.value,
            entry.actor.kind,
            entry.actor.id,
            entry.account_id,
            entry.connection_id,
            entry.user_id,
            entry.organization_id,
            entry.request_id,
            dict(entry.data),
        )
