"""Pages by id: ULIDs sort by time, so a cursor is simply the id at the edge."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select


def page(
    tx: Connection,
    query: Select[Any],
    key: ColumnElement[str],
    *,
    limit: int,
    after: str | None,
    before: str | None,
    newest_first: bool,
) -> list[Row[Any]]:
    """Return up to `limit` rows in display order. `after` and `before` are ids, exclusive, in that same order."""
    later, earlier = (before, after) if newest_first else (after, before)
    if later is not None:
        query = query.where(key > later)
    if earlier is not None:
        query = query.where(key < earlier)
    # Reading backwards from `before` takes the nearest rows first, then turns them round.
    backwards = before is not None and after is None
    ascending = newest_first == backwards
    rows = list(tx.execute(query.order_by(key.asc() if ascending else key.desc()).limit(limit)))
    return rows[::-1] if backwards else rows
