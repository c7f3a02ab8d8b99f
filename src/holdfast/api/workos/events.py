"""The events list: operation 31. The same log as everything else, under this wire's names.

`pipes.connected_account.*` tells of compatibility accounts, `pipes.account_connection.*` of those beside them: of one
that was to be connected anew and was not (`connection_failed`), and of another that was not added (`add_failed`).
"""

import re
from dataclasses import dataclass
from typing import Any

from holdfast import ids
from holdfast.api.operations import Call, Operation
from holdfast.api.workos.inputs import EventsQuery
from holdfast.api.workos.naming import ACCOUNT, EVENT, INTEGRATION, Cursor
from holdfast.api.workos.outputs import Event, EventActor, EventContext, EventList, ListMetadata
from holdfast.api.workos.parts import Parts
from holdfast.api.workos.rendering import shown_method
from holdfast.clock import from_iso, iso
from holdfast.errors import Unprocessable
from holdfast.events import Action, Entry
from holdfast.events import store as log
from holdfast.storage import Connection as Tx

_VERBS: dict[Action, str] = {
    Action.ACCOUNT_CONNECTED: "connected",
    Action.ACCOUNT_DISCONNECTED: "disconnected",
    Action.ACCOUNT_REAUTHORIZATION_NEEDED: "reauthorization_needed",
    Action.ACCOUNT_CONNECTION_FAILED: "connection_failed",
}
LEGACY, PLURAL = "pipes.connected_account.", "pipes.account_connection."
ADD_FAILED = PLURAL + "add_failed"
NAMES = frozenset({*(family + verb for family in (LEGACY, PLURAL) for verb in _VERBS.values()), ADD_FAILED})
_FAILURES = {
    "compatibility": LEGACY + "connection_failed",
    "standard": PLURAL + "connection_failed",
    "another": ADD_FAILED,
}
"""By what an attempt was to connect."""
_STATES = {
    "active": "connected",
    "disconnected": "disconnected",
    "revoked": "disconnected",
    "suspended": "disconnected",
}
_SOURCES: dict[str, Any] = {
    "api_key": "api",
    "end_user": "api",
    "system": "system",
    "operator": "dashboard",
    "administrator": "dashboard",
}
_EVENT_NAME = re.compile(r"[a-z0-9_]{1,64}(?:\.[a-z0-9_]{1,64}){1,3}")
FAILURE_CODES = frozenset(
    {
        "authorization_code_exchange_error",
        "authorization_state_expired",
        "auth_method_mismatch",
        "concurrent_request",
        "connected_account_limit_reached",
        "connected_account_not_found",
        "installation_failed",
        "invalid_client_id",
        "invalid_data_integration",
        "missing_access_token",
        "missing_code",
        "provider_error",
        "reauthorization_needed",
        "target_deleted",
        "unexpected_response_format",
    }
)
"""What the wire lists; anything else (a provider's own word, a code of ours) is told as provider_error."""


@dataclass(frozen=True)
class EventOperations:
    parts: Parts

    def operations(self) -> list[Operation]:
        return [
            Operation(
                method="GET",
                path="/events",
                id="list_events",
                summary="List events, oldest first",
                handler=self.page,
                query=EventsQuery,
                reply=EventList,
                tag="Events",
            )
        ]

    async def page(self, call: Call[EventsQuery, None]) -> EventList:
        query = call.query
        unknown = [name for name in query.events if name not in NAMES and not _is_foreign(name)]
        if unknown:
            raise Unprocessable(
                f"unknown event {unknown[0]!r}; there are {', '.join(sorted(NAMES))}",
                fields=[{"field": "events", "code": "invalid"}],
            )
        cursor = Cursor(EVENT, limit=query.limit, after=query.after, before=query.before, order=query.order)
        since, until = _time("range_start", query.range_start), _time("range_end", query.range_end)

        kinds = [KINDS[name] for name in query.events if name in KINDS]
        if not kinds:
            return EventList(data=[], list_metadata=ListMetadata())

        # An app that keeps the last id it saw must never be shown an entry before one that is still to come.
        up_to = await self.parts.order.settled()

        def work(tx: Tx) -> list[Entry]:
            return log.list_entries(
                tx,
                call.environment_id,
                kinds=kinds,
                limit=cursor.limit + 1,
                after=cursor.after,
                before=cursor.before,
                newest_first=cursor.newest_first,
                since=since,
                until=until,
                organization_id=query.organization_id,
                up_to=up_to,
            )

        found = await self.parts.database.transact(work)
        rows, metadata = cursor.page(found, lambda entry: entry.id)
        return EventList(data=[render(entry) for entry in rows], list_metadata=metadata)


def _is_foreign(name: str) -> bool:
    """Tell whether this is an event of the wire's other products: who polls a mixed list gets our part of it."""
    return _EVENT_NAME.fullmatch(name) is not None and not name.startswith("pipes.")


def _kinds() -> dict[str, log.Kind]:
    """Return which entries each of this wire's names stands for."""
    failed = Action.ACCOUNT_CONNECTION_FAILED
    kinds = {name: log.Kind(failed, "target", target) for target, name in _FAILURES.items()}
    for action, verb in _VERBS.items():
        if action is not failed:
            kinds[PLURAL + verb] = log.Kind(action, "role", "standard")
            kinds[LEGACY + verb] = log.Kind(action, "role", "standard", unless=True)
    return kinds


KINDS = _kinds()


def event_name(entry: Entry) -> str:
    """Return this wire's name of an entry; only for the actions that have one."""
    if entry.action is Action.ACCOUNT_CONNECTION_FAILED:
        return _FAILURES[entry.data["target"]]
    family = PLURAL if entry.data.get("role") == "standard" else LEGACY
    return family + _VERBS[entry.action]


def render(entry: Entry) -> Event:
    failed = entry.action is Action.ACCOUNT_CONNECTION_FAILED
    return Event(
        id=ids.with_prefix(EVENT, entry.id),
        event=event_name(entry),
        data=_failure(entry) if failed else _account(entry),
        created_at=iso(entry.at),
        context=EventContext(actor=EventActor(id=entry.actor.id, source=_SOURCES[entry.actor.kind], name=None)),
    )


def _account(entry: Entry) -> dict[str, Any]:
    data = entry.data
    method = data["method"]
    return {
        "object": "connected_account",
        "id": ids.with_prefix(ACCOUNT, entry.account_id),
        "data_integration_id": ids.with_prefix(INTEGRATION, entry.connection_id),
        "provider_slug": data["connection"],
        "connection_role": data["role"],
        "account_identifier": data["identifier"],
        "account_display_name": data["label"],
        "user_id": entry.user_id or None,
        "organization_id": entry.organization_id or None,
        "auth_method": shown_method(method),
        "api_key_last_4": data["last4"] if method == "api_key" else None,
        "scopes": data["scopes"],
        "state": _STATES.get(data["status"], "needs_reauthorization"),
        "state_reason": data["reason"] if data["reason"] == "establishing_member_membership_ended" else None,
        "established_by_user_id": data["established_by"],
        "created_at": iso(data["created_at"]),
        "updated_at": iso(data["updated_at"]),
    }


def _failure(entry: Entry) -> dict[str, Any]:
    data = entry.data
    return {
        "object": "connection_failed",
        "data_integration_id": ids.with_prefix(INTEGRATION, entry.connection_id),
        "provider_slug": data["connection"],
        "user_id": entry.user_id or None,
        "organization_id": entry.organization_id or None,
        "error_code": data["error_code"] if data["error_code"] in FAILURE_CODES else "provider_error",
        "error_reason": data["error_reason"],
        "provider_error": data["provider_error"],
        "provider_error_description": data["provider_error_description"],
        "account_identifier": data["identifier"],
        "created_at": iso(entry.at),
    }


def _time(name: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        if not text.endswith("Z"):
            raise ValueError
        return from_iso(text)
    except ValueError:
        raise Unprocessable(
            f"{name} must be an ISO 8601 time in UTC, ending in Z",
            fields=[{"field": name, "code": "invalid"}],
        ) from None
