"""The log's tables and all their SQL. Append and read; there is no update and no delete."""

from holdfast.events.store.cursors import (
    Cursor,
    Mark,
    log_cursors,
    mark,
    move_cursor,
    oldest_running,
    peek_cursor,
    take_cursor,
)
from holdfast.events.store.gathered import last_told, marked, tells_of_account, tells_of_user
from holdfast.events.store.reading import Kind, by_ids, count_entries, count_up_to, get, ids_up_to, list_entries, span
from holdfast.events.store.table import (
    ARRIVAL,
    IS_CALL,
    IS_GATHERED,
    NO_USE,
    NOTABLE,
    USES,
    entries,
    entry_of,
    place_of,
    position_of,
    summarize,
)
from holdfast.events.store.writing import Appending, append

__all__ = [
    "ARRIVAL",
    "IS_CALL",
    "IS_GATHERED",
    "NOTABLE",
    "NO_USE",
    "USES",
    "Appending",
    "Cursor",
    "Kind",
    "Mark",
    "append",
    "by_ids",
    "count_entries",
    "count_up_to",
    "entries",
    "entry_of",
    "get",
    "ids_up_to",
    "last_told",
    "list_entries",
    "log_cursors",
    "mark",
    "marked",
    "move_cursor",
    "oldest_running",
    "peek_cursor",
    "place_of",
    "position_of",
    "span",
    "summarize",
    "take_cursor",
    "tells_of_account",
    "tells_of_user",
]
