"""What the log says of a connection that was made, changed or taken away."""

from dataclasses import replace
from typing import Any

import msgspec

from holdfast import ids
from holdfast.connections.connection import Connection
from holdfast.events import Action, Actor, Entry


def alert_ended(before: Connection, actor: Actor, now: float, *, client_changed: bool) -> Entry:
    """Return the entry of an alert's end. It says what the alert was, and since when its client had been refused."""
    entry = connection_entry(before, Action.CONNECTION_ALERT_ENDED, actor, now)
    told = {"alert": before.alert, "refused_at": before.alert_at, "client_changed": client_changed}
    return replace(entry, data={**entry.data, **told})


def connection_entry(
    connection: Connection, action: Action, actor: Actor, now: float, before: Connection | None = None
) -> Entry:
    """Return the entry. The rules of its calls are in it where there are some from the first or they differ from those
    of `before`, as its OAuth settings are: who let what through, and since when, is for the log to answer."""
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
    if before is not None and connection.oauth_settings != before.oauth_settings:
        data["oauth_settings"] = msgspec.to_builtins(connection.oauth_settings)
    return Entry(
        environment_id=connection.environment_id,
        id=ids.new_id(now),
        at=now,
        action=action,
        actor=actor,
        connection_id=connection.id,
        data=data,
    )
