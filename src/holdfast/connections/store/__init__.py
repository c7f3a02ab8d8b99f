"""The connections room's tables and all their SQL: connections, their clients, and what organizations set for them."""

from holdfast.connections.store.client_rows import SEALED, add_client, client, clients, clients_of, save_client
from holdfast.connections.store.connection_rows import (
    add,
    all_of,
    by_callback_key,
    by_id,
    by_name,
    clear_alert,
    clear_secrets,
    connections,
    count_connections,
    list_connections,
    raise_alert,
    remove,
    save,
    those,
)
from holdfast.connections.store.override_rows import override, overrides, overrides_of, remove_overrides, save_override

__all__ = [
    "SEALED",
    "add",
    "add_client",
    "all_of",
    "by_callback_key",
    "by_id",
    "by_name",
    "clear_alert",
    "clear_secrets",
    "client",
    "clients",
    "clients_of",
    "connections",
    "count_connections",
    "list_connections",
    "override",
    "overrides",
    "overrides_of",
    "raise_alert",
    "remove",
    "remove_overrides",
    "save",
    "save_client",
    "save_override",
    "those",
]
