"""Reading the log newest first, filtered. Each look reads a bounded number of rows of one index, and says how far it
came."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy import Connection as Tx

from holdfast import ids
from holdfast.events.browse.store import reads
from holdfast.events.browse.store.look import FREQUENT, MOST_LOOKED_THROUGH, Look, filters, id_bounds
from holdfast.events.entry import Entry
from holdfast.events.names import Action
from holdfast.events.store import IS_CALL, NO_USE, NOTABLE, USES, entries, entry_of, place_of, position_of


@dataclass(frozen=True, slots=True)
class Found:
    """A page, newest first. `further`: the id of the entry behind which more may lie; None = that was all."""

    entries: Sequence[Entry]
    further: str | None
    newer: bool
    """Whether entries lie before the page."""


def browse(tx: Tx, environment_id: str, look: Look, *, limit: int, after: str = "", before: str = "") -> Found:
    """Return a page: the entries that follow `after` in display order, or lead up to `before` (ids, exclusive)."""
    backwards = bool(before) and not after
    rows, reached = _rows(tx, environment_id, look, limit + 1, before if backwards else after, backwards)
    if backwards:
        more = len(rows) > limit
        shown = rows[:limit][::-1]
        return Found(shown, shown[-1].id if shown else before, newer=more)
    if len(rows) > limit:
        return Found(rows[:limit], rows[limit - 1].id, newer=bool(after))
    return Found(rows, reached, newer=bool(after))


def export(tx: Tx, environment_id: str, look: Look, *, after: str, limit: int) -> tuple[Sequence[Entry], str | None]:
    """Return the next entries of an export, newest first, and where it goes on; None = that was all."""
    rows, reached = _rows(tx, environment_id, look, limit, after, False)
    return rows, rows[-1].id if len(rows) == limit else reached


def _rows(
    tx: Tx, environment_id: str, look: Look, limit: int, edge: str, backwards: bool
) -> tuple[list[Entry], str | None]:
    """Return what fits among the rows looked through, and the last of those if there may be more behind it."""
    if reads.are_wanted(tx, look):
        return reads.rows(tx, environment_id, look, limit, edge, backwards)
    position: ColumnElement[Any] = position_of(tx)
    by_id = _is_everyday(look)
    if by_id:
        position = entries.c.id
    looked = _source(select(entries, position.label("position")), tx, look)
    looked = looked.where(entries.c.environment_id == environment_id)
    bounds = id_bounds(look, edge, backwards)
    for bound in bounds if by_id else _bounds(tx, environment_id, position, look, edge, backwards):
        looked = looked.where(bound)
    order = position.asc() if backwards else position.desc()
    if not _has_filters(look):
        return [entry_of(row) for row in tx.execute(looked.order_by(order).limit(limit))], None
    inner = looked.order_by(order).limit(MOST_LOOKED_THROUGH).subquery()
    outer = inner.c.position.asc() if backwards else inner.c.position.desc()
    query = select(inner).where(*filters(inner.c, look)).order_by(outer).limit(limit)
    rows = [entry_of(row) for row in tx.execute(query)]
    if len(rows) == limit or backwards:
        return rows, None
    last = looked.with_only_columns(entries.c.id).order_by(order).offset(MOST_LOOKED_THROUGH - 1).limit(1)
    return rows, tx.execute(last).scalar_one_or_none()


def _is_everyday(look: Look) -> bool:
    """Tell whether rows are read that only an index by id leads to in order: the calls' own, or the primary key."""
    frequent = FREQUENT.intersection(look.actions)
    return not look.account_id and bool(frequent) and (len(look.actions) > 1 or not USES.isdisjoint(frequent))


def _only_calls(look: Look) -> bool:
    return set(look.actions) == {Action.PROXY_CALLED}


def _source(query: Select[Any], tx: Tx, look: Look) -> Select[Any]:
    """Choose the index that is read, by conditions that it knows."""
    if _is_everyday(look):
        return query.where(IS_CALL) if _only_calls(look) else query
    if tx.dialect.name == "sqlite":
        query = query.where(entries.c.arrival.is_(None))  # or the indexes are not seen to go on with the rowid
    if look.account_id:
        if USES.isdisjoint(look.actions):
            query = query.where(NO_USE)
        return query.where(entries.c.account_id == look.account_id)
    if not FREQUENT.intersection(look.actions):
        return query.where(NOTABLE)
    return query.where(NO_USE, entries.c.action == next(iter(look.actions)).value)


def _bounds(
    tx: Tx, environment_id: str, position: ColumnElement[int], look: Look, edge: str, backwards: bool
) -> Iterator[ColumnElement[bool]]:
    if edge:
        place = place_of(tx, environment_id, edge, rounding_up=not backwards)
        yield position > place if backwards else position < place
    if look.until is not None:
        yield position <= place_of(tx, environment_id, ids.first_at(look.until), rounding_up=False)
    if look.since is not None:
        yield position >= place_of(tx, environment_id, ids.first_at(look.since), rounding_up=True)


def _has_filters(look: Look) -> bool:
    """Tell whether rows are passed over that the index read does not know to leave out."""
    only = next(iter(look.actions)) if len(look.actions) == 1 else None
    known = only in FREQUENT and not look.account_id and (not _is_everyday(look) or _only_calls(look))
    of_account = bool(look.account_id and not look.actions)
    limits = look.connection_id or look.actor_kind or look.actor_id or look.owner
    return bool(limits or of_account or (look.actions and not known))
