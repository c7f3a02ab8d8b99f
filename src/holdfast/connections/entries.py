"""What the log says of a connection that was made, changed or taken away."""

from typing import Any

from holdfast import ids
from holdfast.connections.connection import Connection
from holdfast.events import Action, Actor, Entry


def connection_entry(
    connection: Connection, action: Action, actor: Actor, now: float, before: Connection | None = None
) -> Entry:
    """Return the entry. The rules of its calls are in it where there are some from the first or they differ from those
    of `before`: who let what through, and since when, is for the log to answer."""
    data: dict[str, Any] = {
        "name": connection.name,
        "owner_kind": connection.owner_kind,
        "provider": connection.provider_slug,
        "enabled": connection.enabled,
    }
    if action in (Action.CONNECTION_CREATED, Action.CONNECTION_UPDATED):
        for name in ("proxy_rules", "approval_rules"):
            rules: tuple[str, ...] = getattr(connection, name)
            if rules != (getattr(before, name) if before is not None else ()):
                data[name] = list(rules)
    return Entry(
        environment_id=connection.environment_id,
        id=ids.new_id(now),
        at=now,
        action=action,
        actor=actor,
        connection_id=connection.id,
        data=data,
    )
