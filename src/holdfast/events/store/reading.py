"""Reading entries: an environment's, and stretches of the whole log."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sqlalchemy import (
    ColumnElement,
    Connection,
    TextClause,
    false,
    func,
    or_,
    select,
    text,
)

from holdfast.events.entry import Entry
from holdfast.events.names import Action
from holdfast.events.store.table import NO_USE, USES, entries, entry_of, place_of, position_of


@dataclass(frozen=True, slots=True)
class Kind:
    """Entries of one action; with `member`, only those whose data says `value` there (or, with `unless`, does not).
    None = nothing stands there, or null."""

    action: Action
    member: str = ""
    value: str | None = ""
    unless: bool = False


def _is_of(kind: Kind) -> ColumnElement[bool]:
    of_action = entries.c.action == kind.action.value
    if not kind.member:
        return of_action
    said = entries.c.data[kind.member].as_string()
    matches: ColumnElement[bool] = said.is_distinct_from(kind.value) if kind.unless else said == kind.value
    return of_action & matches


def list_entries(
    tx: Connection,
    environment_id: str,
    *,
    kinds: Collection[Kind],
    limit: int,
    after: str | None = None,
    before: str | None = None,
    newest_first: bool = False,
    since: float | None = None,
    until: float | None = None,
    organization_id: str | None = None,
    account_id: str | None = None,
    up_to: int | None = None,
    connection_id: str | None = None,
) -> list[Entry]:
    """Return up to `limit` entries in the log's order, or its reverse. `after` and `before` are entry ids, exclusive.

    Whoever pages on must say `up_to`, a position that the log is complete to (`order`): behind it, an entry may still
    come to light before one that is shown. An `after` that is no entry stands for the last one made before it.
    Credential reads that stand in one entry (`events.gathered`) are not told apart: `browse` does that.
    """
    position = position_of(tx)
    query = select(entries).where(
        *_matching(tx, environment_id, kinds, since, until, organization_id, account_id, up_to, connection_id)
    )
    later, earlier = (before, after) if newest_first else (after, before)
    if later is not None:
        query = query.where(position > place_of(tx, environment_id, later, rounding_up=False))
    if earlier is not None:
        query = query.where(position < place_of(tx, environment_id, earlier, rounding_up=True))
    backwards = before is not None and after is None
    ascending = newest_first == backwards
    rows = list(tx.execute(query.order_by(position.asc() if ascending else position.desc()).limit(limit)))
    return [entry_of(row) for row in (rows[::-1] if backwards else rows)]


def count_entries(
    tx: Connection,
    environment_id: str,
    *,
    kinds: Collection[Kind],
    most: int,
    since: float | None = None,
    until: float | None = None,
    organization_id: str | None = None,
    account_id: str | None = None,
    up_to: int | None = None,
    connection_id: str | None = None,
) -> int:
    """Return how many entries `list_entries` would lead through; `most` if they are that many or more."""
    wanted = _matching(tx, environment_id, kinds, since, until, organization_id, account_id, up_to, connection_id)
    some = select(entries.c.id).where(*wanted).limit(most).subquery()
    return tx.execute(select(func.count()).select_from(some)).scalar_one()


def _matching(
    tx: Connection,
    environment_id: str,
    kinds: Collection[Kind],
    since: float | None,
    until: float | None,
    organization_id: str | None,
    account_id: str | None,
    up_to: int | None,
    connection_id: str | None,
) -> Iterator[ColumnElement[bool] | TextClause]:
    yield entries.c.environment_id == environment_id
    yield entries.c.action.in_([kind.action.value for kind in kinds])
    yield or_(false(), *(_is_of(kind) for kind in kinds))
    if not any(kind.action in USES for kind in kinds):
        yield NO_USE
    if tx.dialect.name == "sqlite":
        yield entries.c.arrival.is_(None)  # so that the index, which goes on with the rowid, is used
    if up_to is not None:
        yield position_of(tx) <= up_to
    if since is not None:
        yield entries.c.at >= since
    if until is not None:
        yield entries.c.at <= until
    if organization_id is not None:
        yield entries.c.organization_id == organization_id
    if account_id is not None:
        yield entries.c.account_id == account_id
    if connection_id is not None:
        yield entries.c.connection_id == connection_id


def get(tx: Connection, environment_id: str, entry_id: str) -> Entry | None:
    row = tx.execute(
        select(entries).where(entries.c.environment_id == environment_id, entries.c.id == entry_id)
    ).one_or_none()
    return None if row is None else entry_of(row)


def span(
    tx: Connection, after: int, up_to: int, *, limit: int, actions: Collection[Action] | None = None
) -> list[tuple[int, Entry]]:
    """Return up to `limit` entries of all environments with their positions: those behind `after`, up to `up_to`."""
    position = position_of(tx)
    if tx.dialect.name == "postgresql":
        # While the table is small or has just grown, the planner would rather read it through than trust a BRIN index.
        tx.execute(text("SET LOCAL enable_seqscan = off"))
    query = select(position.label("position"), entries).where(position > after, position <= up_to)
    if actions is not None:
        query = query.where(entries.c.action.in_([action.value for action in actions]))
    return [(row.position, entry_of(row)) for row in tx.execute(query.order_by(position).limit(limit))]


def by_ids(tx: Connection, environment_id: str, wanted: Collection[str]) -> dict[str, tuple[int, Entry]]:
    """Return those of the entries that there are, by id, with their positions."""
    position = position_of(tx)
    query = select(position.label("position"), entries).where(
        entries.c.environment_id == environment_id, entries.c.id.in_(list(wanted))
    )
    return {row.id: (row.position, entry_of(row)) for row in tx.execute(query)}


def ids_up_to(tx: Connection, environment_id: str, up_to: int) -> list[str]:
    """Return the ids of an environment's entries up to a position, in order. Reads them all: for verifying."""
    position = position_of(tx)
    query = select(entries.c.id).where(entries.c.environment_id == environment_id, position <= up_to)
    return list(tx.execute(query.order_by(position)).scalars())


def count_up_to(tx: Connection, environment_id: str, up_to: int) -> int:
    query = select(func.count()).where(entries.c.environment_id == environment_id, position_of(tx) <= up_to)
    return int(tx.execute(query).scalar_one())
