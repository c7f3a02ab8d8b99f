"""Looking through reads of credentials on PostgreSQL, where one entry may tell of many (`events.gathered`).

Each is shown by itself, in the order of ids, as if it were an entry of its own. All that one entry tells of was made in
one millisecond, and an entry's id is the first of its reads': so whole milliseconds are read, and sorted here.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, select
from sqlalchemy import Connection as Tx

from holdfast.events.browse.look import MOST_LOOKED_THROUGH, Look, filters, id_bounds
from holdfast.events.entry import Entry
from holdfast.events.gathered import each
from holdfast.events.names import Action
from holdfast.events.store import IS_GATHERED, NO_USE, entries, entry_of, marked, tells_of_account, tells_of_user

_TIME, _REST = 10, 16
"""Characters of an id: those that say its millisecond, and the others."""


def are_wanted(tx: Tx, look: Look) -> bool:
    return tx.dialect.name == "postgresql" and Action.CREDENTIAL_READ in look.actions


def rows(
    tx: Tx, environment_id: str, look: Look, limit: int, edge: str, backwards: bool
) -> tuple[list[Entry], str | None]:
    """Return what fits, in the order it is read, and the last id looked through if there may be more behind it."""
    sources = list(_sources(tx, environment_id, look))
    shown: list[Entry] = []
    start = edge[:_TIME] if backwards else edge  # in the other direction all that it tells of follows its id
    while True:
        found = _next(tx, sources, limit, look, start, backwards)
        shown += [one for row in found for one in each(entry_of(row)) if _fits(one, look, edge, backwards)]
        if len(found) < limit or len(shown) >= limit:
            break
        start = found[-1].id
    shown.sort(key=lambda one: one.id, reverse=not backwards)
    if len(shown) >= limit or backwards:
        return shown[:limit], None
    last = max((last for source in sources for last in source.last(tx, id_bounds(look, start, False))), default=None)
    if last is None:
        return shown, None
    # Of its millisecond there may be reads in what was not looked through: the next look begins with it.
    reached = last if last[:_TIME] == edge[:_TIME] else _up_to(last)
    return [one for one in shown if one.id >= reached], reached


@dataclass(frozen=True, slots=True)
class _Source:
    """Entries that one index leads to in an order near to that of ids, and which of them fit."""

    base: Select[Any]
    order: ColumnElement[Any]
    fitting: Callable[[Any], Iterator[ColumnElement[bool]]]

    def rows(
        self, tx: Tx, bounds: Iterator[ColumnElement[bool]], limit: int | None, backwards: bool
    ) -> Sequence[Row[Any]]:
        order = self.order.asc() if backwards else self.order.desc()
        looked = self.base.where(*bounds).order_by(order).limit(MOST_LOOKED_THROUGH).subquery()
        by_id = looked.c.id.asc() if backwards else looked.c.id.desc()
        return tx.execute(select(looked).where(*self.fitting(looked.c)).order_by(by_id).limit(limit)).all()

    def last(self, tx: Tx, bounds: Iterator[ColumnElement[bool]]) -> Sequence[str]:
        query = self.base.where(*bounds).with_only_columns(entries.c.id).order_by(self.order.desc())
        return tx.execute(query.offset(MOST_LOOKED_THROUGH - 1).limit(1)).scalars().all()


def _sources(tx: Tx, environment_id: str, look: Look) -> Iterator[_Source]:
    base = select(entries).where(entries.c.environment_id == environment_id)
    if not look.account_id:
        yield _Source(base, entries.c.id, lambda column: _filters(column, look))
        return
    by_itself = base.where(entries.c.account_id == look.account_id)
    yield _Source(by_itself, entries.c.arrival, lambda column: _filters(column, look))
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
) -> Sequence[Row[Any]]:
    """Return the next entries that fit, at least `limit` if there are as many, and none of a millisecond without the
    others of it."""
    found = [row for source in sources for row in source.rows(tx, id_bounds(look, start, backwards), limit, backwards)]
    found = _sorted(found, backwards)[:limit]
    if len(found) == limit:
        last = found[-1].id
        known = {row.id for row in found}
        end = entries.c.id <= _up_to(last) if backwards else entries.c.id >= _from(last)
        for source in sources:
            bounds = (*id_bounds(look, last, backwards), end)
            found += [row for row in source.rows(tx, iter(bounds), None, backwards) if row.id not in known]
    return _sorted(found, backwards)


def _sorted(found: list[Row[Any]], backwards: bool) -> list[Row[Any]]:
    return sorted(found, key=lambda row: row.id, reverse=not backwards)


def _fits(one: Entry, look: Look, edge: str, backwards: bool) -> bool:
    if look.account_id and one.account_id != look.account_id:
        return False
    if look.owner and look.owner not in (one.user_id, one.organization_id):
        return False
    return not edge or (one.id > edge if backwards else one.id < edge)


def _from(id_: str) -> str:
    return id_[:_TIME] + "0" * _REST


def _up_to(id_: str) -> str:
    return id_[:_TIME] + "Z" * _REST
