"""Looking through reads of credentials on PostgreSQL, where one entry may tell of many (`events.gathered`).

Each is shown by itself, in the order of ids, as if it were an entry of its own. All that one entry tells of was made in
one millisecond, and an entry's id is the first of its reads': so whole milliseconds are read, and sorted here.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, select
from sqlalchemy import Connection as Tx

from holdfast.events.browse.store.look import MOST_LOOKED_THROUGH, Look, filters, id_bounds
from holdfast.events.entry import Entry
from holdfast.events.gathered import each
from holdfast.events.names import Action
from holdfast.events.store import IS_GATHERED, NO_USE, entries, entry_of, marked, tells_of_account, tells_of_user
from holdfast.ids import millisecond_of

MOST_STEPS = 100
"""Looks, one after the other, for one page: on the way back nobody is asked whether to go on."""


def are_wanted(tx: Tx, look: Look) -> bool:
    return tx.dialect.name == "postgresql" and Action.CREDENTIAL_READ in look.actions


def rows(
    tx: Tx, environment_id: str, look: Look, limit: int, edge: str, backwards: bool
) -> tuple[list[Entry], str | None]:
    """Return what fits, in the order it is read, and the last id looked through if there may be more behind it."""
    sources = list(_sources(tx, environment_id, look))
    shown: list[Entry] = []
    start = millisecond_of(edge) if backwards else edge  # in the other direction all that it tells of follows its id
    for step in count(1):
        found, horizon, is_over = _next(tx, sources, limit, look, start, backwards)
        shown += [one for row in found for one in each(entry_of(row)) if _fits(one, look, edge, backwards)]
        is_over = (is_over and not backwards) or step == MOST_STEPS
        if horizon is None or len(shown) >= limit or is_over:
            break
        start = _up_to(horizon) if backwards else _from(horizon)
    shown.sort(key=lambda one: one.id, reverse=not backwards)
    reached = _from(horizon) if horizon is not None and is_over and len(shown) < limit and not backwards else None
    return shown[:limit], reached


@dataclass(frozen=True, slots=True)
class _Source:
    """Entries that an index leads to, and which of them fit: of so many as are looked through, by id."""

    base: Select[Any]
    order: ColumnElement[Any]
    fitting: Callable[[Any], Iterator[ColumnElement[bool]]]

    def rows(
        self, tx: Tx, bounds: Iterable[ColumnElement[bool]], limit: int | None, backwards: bool
    ) -> Sequence[Row[Any]]:
        order = self.order.asc() if backwards else self.order.desc()
        looked = self.base.where(*bounds).order_by(order).limit(MOST_LOOKED_THROUGH).subquery()
        by_id = looked.c.id.asc() if backwards else looked.c.id.desc()
        return tx.execute(select(looked).where(*self.fitting(looked.c)).order_by(by_id).limit(limit)).all()

    def last(self, tx: Tx, bounds: Iterable[ColumnElement[bool]], backwards: bool) -> str | None:
        """Return the last id that `rows` looks through; None if that is all there are."""
        order = self.order.asc() if backwards else self.order.desc()
        query = self.base.where(*bounds).with_only_columns(entries.c.id).order_by(order)
        return tx.execute(query.offset(MOST_LOOKED_THROUGH - 1).limit(1)).scalar_one_or_none()


def _sources(tx: Tx, environment_id: str, look: Look) -> Iterator[_Source]:
    base = select(entries).where(entries.c.environment_id == environment_id)
    if not look.account_id:
        yield _Source(base, entries.c.id, lambda column: _filters(column, look))
        return
    # By an expression: or else the planner may walk through the whole environment by id, to save a sort.
    by_itself = base.where(entries.c.account_id == look.account_id)
    yield _Source(by_itself, entries.c.id.concat(""), lambda column: _filters(column, look))
    said = select(entries.c.user_id).where(
        entries.c.environment_id == environment_id, entries.c.account_id == look.account_id, NO_USE
    )
    user_id = tx.execute(said.order_by(entries.c.arrival.desc()).limit(1)).scalar()

    def of_account(column: Any) -> Iterator[ColumnElement[bool]]:
        if user_id:
            yield marked(column.marks, user_id)
        yield tells_of_account(column.data, look.account_id)
        yield from _filters(column, look)

    yield _Source(base.where(IS_GATHERED), entries.c.id, of_account)


def _filters(column: Any, look: Look) -> Iterator[ColumnElement[bool]]:
    yield from filters(column, replace(look, owner=""))
    if look.owner:
        among = column.marks.is_not(None) & marked(column.marks, look.owner) & tells_of_user(column.data, look.owner)
        yield (column.user_id == look.owner) | (column.organization_id == look.owner) | among


def _next(
    tx: Tx, sources: Sequence[_Source], limit: int, look: Look, start: str, backwards: bool
) -> tuple[Sequence[Row[Any]], str | None, bool]:
    """Return the next entries that fit; an id of the millisecond up to and with which they are complete (None = to the
    end); and whether it is there because so many have been looked through."""
    found: dict[str, Row[Any]] = {}
    full: list[str] = []
    looked: list[str] = []
    for source in sources:
        some = source.rows(tx, id_bounds(look, start, backwards), limit, backwards)
        found |= {row.id: row for row in some}
        if len(some) == limit:
            full.append(some[-1].id)
        elif (last := source.last(tx, id_bounds(look, start, backwards), backwards)) is not None:
            looked.append(last)
    if not full and not looked:
        return list(found.values()), None, False
    horizon = min(full + looked) if backwards else max(full + looked)
    first, last = _from(horizon), _up_to(horizon)
    for source in sources:
        of_its_time = (*id_bounds(look, "", backwards), entries.c.id >= first, entries.c.id <= last)
        found |= {row.id: row for row in source.rows(tx, of_its_time, None, backwards)}
    complete = [row for row in found.values() if (row.id <= last if backwards else row.id >= first)]
    return complete, horizon, horizon in looked


def _fits(one: Entry, look: Look, edge: str, backwards: bool) -> bool:
    if look.account_id and one.account_id != look.account_id:
        return False
    if look.owner and look.owner not in (one.user_id, one.organization_id):
        return False
    return not edge or (one.id > edge if backwards else one.id < edge)


def _from(id_: str) -> str:
    return millisecond_of(id_).ljust(len(id_), "0")


def _up_to(id_: str) -> str:
    return millisecond_of(id_).ljust(len(id_), "Z")
