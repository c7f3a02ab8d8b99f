"""What webhooks tell on the Scalekit wire: its envelope and its event names (https://docs.scalekit.com, webhooks).

One entry is one event, `evt_<entry id>`. The vendor tells of a consent in several events (`oauth_succeeded`,
`oauth_tokens_fetched`); here it is `created` or `status_updated`, as the account is new or not.
"""

import re
from typing import Any

import msgspec

from holdfast import ids
from holdfast.clock import iso
from holdfast.events import Action, Entry

_encoder = msgspec.json.Encoder()
_SUBJECT = "connected_account."
_NAMES: dict[Action, str] = {
    Action.ACCOUNT_UPDATED: "updated",
    Action.ACCOUNT_DISCONNECTED: "deleted",
    Action.ACCOUNT_REAUTHORIZATION_NEEDED: "status_updated",
    Action.ACCOUNT_SUSPENDED: "status_updated",
    Action.ACCOUNT_RESUMED: "status_updated",
    Action.TOKEN_REFRESHED: "token_refresh_succeeded",
    Action.TOKEN_REFRESH_FAILED: "token_refresh_failed",
    Action.TOKEN_REFRESH_UNRESOLVED: "token_refresh_failed",
    Action.ATTEMPT_BEGUN: "magic_link_generated",
}
NAMES = frozenset(_SUBJECT + name for name in (*_NAMES.values(), "created"))
_STATUS = {
    "pending": "PENDING_AUTH",
    "verifying": "PENDING_VERIFICATION",
    "active": "ACTIVE",
    "expired": "EXPIRED",
    "error": "EXPIRED",
    "revoked": "DISCONNECTED",
    "suspended": "DISCONNECTED",
    "disconnected": "DISCONNECTED",
}
_BEFORE: dict[Action, str] = {
    Action.ACCOUNT_REAUTHORIZATION_NEEDED: "ACTIVE",
    Action.ACCOUNT_SUSPENDED: "ACTIVE",
    Action.ACCOUNT_RESUMED: "DISCONNECTED",
}
_KIND = {"oauth": "OAUTH", "client_credentials": "OAUTH_M2M", "api_key": "API_KEY"}


class ScalekitRenderer:
    actions: frozenset[Action] = frozenset({*_NAMES, Action.ACCOUNT_CONNECTED})
    names = NAMES

    def event_name(self, entry: Entry) -> str | None:
        if entry.action is Action.ACCOUNT_CONNECTED:
            data = entry.data
            return _SUBJECT + ("created" if data.get("created_at") == data.get("updated_at") else "status_updated")
        name = _NAMES.get(entry.action)
        return None if name is None else _SUBJECT + name

    def render(self, entry: Entry) -> tuple[str, bytes]:
        event_id = ids.with_prefix("evt", entry.id)
        body = {
            "spec_version": "1",
            "id": event_id,
            "type": self.event_name(entry),
            "object": "ConnectedAccount",
            "occurred_at": iso(entry.at),
            "environment_id": ids.with_prefix("env", entry.environment_id),
            "display_name": entry.data.get("label"),
            "data": _account(entry),
        }
        return event_id, _encoder.encode(body)


def _account(entry: Entry) -> dict[str, Any]:
    data = entry.data
    connection = data.get("connection") or ""
    expires_at = data.get("expires_at")
    account: dict[str, Any] = {
        "id": ids.with_prefix("ca", entry.account_id) if entry.account_id else None,
        "identifier": entry.user_id or entry.organization_id,
        "connection_id": ids.with_prefix("conn", entry.connection_id),
        "connection_name": connection,
        "provider": re.sub(r"[^A-Z0-9]", "", str(data.get("provider_slug") or connection).upper()),
        "authorization_type": _KIND.get(str(data.get("method")), "OAUTH"),
        "status": _STATUS.get(str(data.get("status")), "PENDING_AUTH"),
        "token_expires_at": None if expires_at is None else iso(expires_at),
        "last_used_at": None,
    }
    if entry.action in _BEFORE:
        account["old_status"] = _BEFORE[entry.action]
    return account
