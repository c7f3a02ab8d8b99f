"""Entries of the log as this wire's events: their names, and the one envelope that lists and webhooks share."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from holdfast import ids
from holdfast.accounts import Status
from holdfast.api.scalekit.naming import ACCOUNT, CONNECTION, STATUS, account_kind, provider_key
from holdfast.clock import iso
from holdfast.connections import store as connection_store
from holdfast.events import Action, Entry
from holdfast.events import store as log
from holdfast.providers.entry import Provider
from holdfast.storage import Connection as Tx

EVENT = "evt"
FAMILY = "connected_account."
_LATER = [status.value for status in Status if status is not Status.ACTIVE]

KINDS: Mapping[str, tuple[log.Kind, ...]] = {
    FAMILY + "created": (
        log.Kind(Action.ACCOUNT_CREATED),
        log.Kind(Action.ACCOUNT_CONNECTED, "old_status", None),
    ),
    FAMILY + "updated": (
        log.Kind(Action.ACCOUNT_UPDATED),
        log.Kind(Action.CREDENTIAL_REPLACED),
        log.Kind(Action.ACCOUNT_CONNECTED, "old_status", Status.ACTIVE.value),
    ),
    FAMILY + "status_updated": (
        *(log.Kind(Action.ACCOUNT_CONNECTED, "old_status", status) for status in _LATER),
        log.Kind(Action.ACCOUNT_VERIFYING),
        log.Kind(Action.ACCOUNT_REVOKED),
        log.Kind(Action.ACCOUNT_REAUTHORIZATION_NEEDED),
        log.Kind(Action.ACCOUNT_SUSPENDED),
        log.Kind(Action.ACCOUNT_RESUMED),
    ),
    FAMILY + "deleted": (log.Kind(Action.ACCOUNT_DISCONNECTED), log.Kind(Action.ACCOUNT_DELETED)),
    FAMILY + "magic_link_generated": (log.Kind(Action.LINK_CREATED),),
    FAMILY + "oauth_succeeded": (log.Kind(Action.CONSENT_GIVEN),),
    FAMILY + "oauth_tokens_fetched": (log.Kind(Action.TOKENS_OBTAINED),),
    FAMILY + "token_refresh_succeeded": (log.Kind(Action.TOKEN_REFRESHED),),
    FAMILY + "token_refresh_failed": (log.Kind(Action.TOKEN_REFRESH_FAILED),),
}
"""Which entries each of this wire's events stands for."""

_BEFORE = {
    Action.ACCOUNT_REAUTHORIZATION_NEEDED: Status.ACTIVE.value,
    Action.ACCOUNT_REVOKED: Status.ACTIVE.value,
    Action.ACCOUNT_SUSPENDED: Status.ACTIVE.value,
    Action.ACCOUNT_RESUMED: Status.SUSPENDED.value,
    Action.ACCOUNT_VERIFYING: Status.PENDING.value,
}
"""What an account was before, where an entry does not say: the one status that leads there most often."""

ACTIONS: frozenset[Action] = frozenset(kind.action for kinds in KINDS.values() for kind in kinds)
_NAMES = {kind.action: name for name, kinds in KINDS.items() for kind in kinds if not kind.member}


def event_name(entry: Entry) -> str | None:
    """Return this wire's name of an entry; None if it has none."""
    if entry.action is not Action.ACCOUNT_CONNECTED:
        return _NAMES.get(entry.action)
    old = entry.data.get("old_status")
    if old is None:
        return FAMILY + "created"
    return FAMILY + ("updated" if old == Status.ACTIVE.value else "status_updated")


def providers_of(tx: Tx, entries: Collection[Entry], find: Callable[[Tx, str, str], Provider]) -> dict[str, Provider]:
    """Return the providers of the entries' connections, by connection id; of deleted ones there is none.

    `find` is `Connections.provider`.
    """
    environments = {entry.environment_id: set[str]() for entry in entries}
    for entry in entries:
        environments[entry.environment_id].add(entry.connection_id)
    found: dict[str, Provider] = {}
    for environment_id, wanted in environments.items():
        for connection in connection_store.those(tx, environment_id, wanted):
            found[connection.id] = find(tx, environment_id, connection.provider_slug)
    return found


def event_body(entry: Entry, provider: Provider | None) -> dict[str, Any]:
    """Return the event of an entry that has a name, as JSON's own values. `provider`: None if it is gone."""
    name = event_name(entry)
    if name is None:
        raise ValueError(f"{entry.action} is no event of this wire")
    body = {
        "spec_version": "1",
        "id": ids.with_prefix(EVENT, entry.id),
        "type": name,
        "object": "ConnectedAccount",
        "occurred_at": iso(entry.at),
        "environment_id": ids.with_prefix("env", entry.environment_id),
        "display_name": name.removeprefix(FAMILY).replace("_", " ").capitalize(),
        "data": _account(entry, name, provider),
    }
    if entry.organization_id:
        body["organization_id"] = entry.organization_id
    return body


def _account(entry: Entry, name: str, provider: Provider | None) -> dict[str, Any]:
    """Return what the event tells of the account. What the entry does not know is null, or left out."""
    said = entry.data
    data: dict[str, Any] = {
        "id": ids.with_prefix(ACCOUNT, entry.account_id) if entry.account_id else None,
        "identifier": entry.user_id or entry.organization_id,
        "connection_id": ids.with_prefix(CONNECTION, entry.connection_id) if entry.connection_id else None,
        "connection_name": said.get("connection"),
        "provider": None if provider is None else provider_key(provider.slug),
        "authorization_type": None
        if provider is None or "method" not in said
        else account_kind(str(said["method"]), provider),
        "status": _status(said.get("status")),
        "token_expires_at": _time(said.get("expires_at")),
        "last_used_at": None,
    }
    if name == FAMILY + "status_updated":
        data["old_status"] = _status(said.get("old_status", _BEFORE.get(entry.action)))
    if said.get("reason") and name in (FAMILY + "status_updated", FAMILY + "token_refresh_failed"):
        data["reason"], data["reason_detail"] = said["reason"], said.get("detail")
    return data


def _status(known: Any) -> str | None:
    """Return the ConnectorStatus of ours; a deleted account is a disconnected one."""
    if known == "disconnected":
        return "DISCONNECTED"
    return STATUS[Status(known)] if known in {status.value for status in Status} else None


def _time(at: Any) -> str | None:
    return iso(at) if isinstance(at, int | float) else None
