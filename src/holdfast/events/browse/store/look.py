"""What is wanted of the log, and its conditions."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement

from holdfast import ids
from holdfast.events.names import Action
from holdfast.events.store import entries

MOST_LOOKED_THROUGH = 10_000
"""Rows behind one page: some tens of milliseconds. Where none of them fits, the reader is asked whether to go on."""
FREQUENT = frozenset({Action.CREDENTIAL_READ, Action.PROXY_CALLED, Action.TOKEN_REFRESHED})
"""What happens by itself many times a day: only looked through when it is asked for. Of one account, those refreshes
are shown that an administrator asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Which entries are wanted. Empty = no such limit. Limits add up."""

    actions: Collection[Action] = ()
    account_id: str = ""
    connection_id: str = ""
    actor_kind: str = ""
    actor_id: str = ""
    owner: str = ""
    """A user's or organization's id, whole."""
    since: float | None = None
    until: float | None = None


def id_bounds(look: Look, edge: str, backwards: bool) -> Iterator[ColumnElement[bool]]:
    """Limit ids by the look's times, and to what follows `edge`."""
    if edge:
        yield entries.c.id > edge if backwards else entries.c.id < edge
    if look.until is not None:
        yield entries.c.id <= ids.first_at(look.until)
    if look.since is not None:
        yield entries.c.id >= ids.first_at(look.since)


def filters(column: Any, look: Look) -> Iterator[ColumnElement[bool]]:
    if look.actions:
        yield column.action.in_([action.value for action in look.actions])
    elif look.account_id:
        # A refresh that an administrator asked for is one of their acts, and no everyday matter.
        by_hand = (column.action == Action.TOKEN_REFRESHED.value) & (column.actor_kind == "administrator")
        yield column.action.in_([action.value for action in Action if action not in FREQUENT]) | by_hand
    if look.connection_id:
        yield column.connection_id == look.connection_id
    if look.actor_kind:
        yield column.actor_kind == look.actor_kind
    if look.actor_id:
        yield column.actor_id == look.actor_id
    if look.owner:
        yield (column.user_id == look.owner) | (column.organization_id == look.owner)
