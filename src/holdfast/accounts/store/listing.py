"""Many accounts of one environment: filtered pages, last uses, and what a clean-up would take.

When an account was last used is read from the log, where every use is an entry: nothing is written for it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy import Connection as Tx

from holdfast import ids
from holdfast.accounts.account import Account, Status
from holdfast.accounts.store.table import NOT_ACTIVE, account_of, accounts
from holdfast.events import Action
from holdfast.events.store import entries, last_told, position_of
from holdfast.storage.paging import page
from holdfast.storage.tables import NO_ONE, in_words

USES = (Action.CREDENTIAL_READ.value, "proxy.called", "tool.executed")
"""What counts as use of an account. The last two are written by rooms above."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Which accounts are asked for. Empty = no such limit. Limits add up."""

    statuses: Collection[Status] = ()
    connection_ids: Collection[str] | None = None
    """None = all; an empty one matches nothing."""
    user_id: str | None = None
    organization_id: str | None = None
    account_ids: Collection[str] | None = None
    owner: str = ""
    """A user's id, whoever's organization; or that of an organization that owns accounts itself."""
    text: str = ""
    """Found anywhere in owner, label or identifier at the provider, whatever its case."""


def list_accounts(
    tx: Tx,
    environment_id: str,
    which: Listing,
    *,
    limit: int,
    after: str | None = None,
    before: str | None = None,
    newest_first: bool = True,
) -> list[Account]:
    """Return up to `limit` accounts in display order; `after` and `before` are account ids, exclusive."""
    query = matching(select(accounts), environment_id, which)
    rows = page(tx, query, accounts.c.id, limit=limit, after=after, before=before, newest_first=newest_first)
    return [account_of(row) for row in rows]


def count(tx: Tx, environment_id: str, which: Listing) -> int:
    query = matching(select(func.count()).select_from(accounts), environment_id, which)
    return int(tx.execute(query).scalar_one())


def last_uses(tx: Tx, environment_id: str, account_ids: Sequence[str]) -> dict[str, float]:
    """Return when each account was last used, to the minute; an account that never was is absent."""
    if not account_ids:
        return {}
    latest = (
        select(entries.c.at)
        .where(
            entries.c.environment_id == accounts.c.environment_id,
            entries.c.account_id == accounts.c.id,
            entries.c.action.in_(USES),
            *([entries.c.arrival.is_(None)] if tx.dialect.name == "sqlite" else []),  # as the index has it
        )
        .order_by(position_of(tx).desc())
        .limit(1)
        .scalar_subquery()
    )
    query = select(accounts.c.id, accounts.c.user_id, accounts.c.created_at, latest.label("at")).where(
        accounts.c.environment_id == environment_id, accounts.c.id.in_(list(account_ids))
    )
    rows = list(tx.execute(query))
    told = last_told(
        tx, environment_id, [(row.id, row.user_id, ids.first_at(row.at or row.created_at)) for row in rows]
    )
    at = {row.id: row.at for row in rows if row.at is not None}
    at |= {account_id: max(at.get(account_id, 0), ids.time_of(entry_id)) for account_id, entry_id in told.items()}
    return {account_id: last - last % 60 for account_id, last in at.items()}


def unused_since(tx: Tx, environment_id: str, at: float, *, after: str, limit: int) -> list[Account]:
    """Return accounts that nobody has used or changed since `at`, by id: active ones, and ones never completed."""
    used = (
        select(entries.c.id)
        .where(
            entries.c.environment_id == environment_id,
            entries.c.account_id == accounts.c.id,
            entries.c.id >= ids.first_at(at),
            entries.c.action.in_(USES),
        )
        .exists()
    )
    states = (Status.ACTIVE, Status.PENDING, Status.VERIFYING)
    # What a refresh writes is no use: an account that is only kept alive is unused.
    touched = or_(accounts.c.created_at >= at, _changed_by_hand(at))
    found: list[Account] = []
    while len(found) < limit:
        some = _cleanable(tx, environment_id, states, ~used & ~touched, after, limit)
        told = last_told(tx, environment_id, [(one.id, one.owner.user_id, ids.first_at(at)) for one in some])
        found += [one for one in some if one.id not in told]
        if len(some) < limit:
            break
        after = some[-1].id
    return found[:limit]


def expired_since(tx: Tx, environment_id: str, at: float, *, after: str, limit: int) -> list[Account]:
    """Return accounts that have needed their owner, or been disconnected, since before `at`, by id."""
    states = (Status.EXPIRED, Status.ERROR, Status.REVOKED)
    return _cleanable(tx, environment_id, states, accounts.c.updated_at < at, after, limit)


def _changed_by_hand(at: float) -> ColumnElement[bool]:
    changes = (
        Action.ACCOUNT_CONNECTED.value,
        Action.ACCOUNT_UPDATED.value,
        Action.CREDENTIAL_REPLACED.value,
        Action.ACCOUNT_RESUMED.value,
        Action.LINK_CREATED.value,
    )
    return (
        select(entries.c.id)
        .where(
            entries.c.environment_id == accounts.c.environment_id,
            entries.c.account_id == accounts.c.id,
            entries.c.id >= ids.first_at(at),
            entries.c.action.in_(changes),
        )
        .exists()
    )


def _cleanable(
    tx: Tx, environment_id: str, states: Collection[Status], when: ColumnElement[bool], after: str, limit: int
) -> list[Account]:
    query = (
        select(accounts)
        .where(
            accounts.c.environment_id == environment_id,
            accounts.c.id > after,
            accounts.c.status.in_([status.value for status in states]),
            when,
        )
        .order_by(accounts.c.id)
        .limit(limit)
    )
    return [account_of(row) for row in tx.execute(query)]


def matching(query: Select[Any], environment_id: str, which: Listing) -> Select[Any]:
    """Return the query limited to the accounts asked for."""
    query = query.where(accounts.c.environment_id == environment_id)
    if which.statuses:
        query = query.where(accounts.c.status.in_([status.value for status in which.statuses]))
        if Status.ACTIVE not in which.statuses:
            query = query.where(NOT_ACTIVE)
    if which.connection_ids is not None:
        query = query.where(accounts.c.connection_id.in_(list(which.connection_ids)))
    if which.account_ids is not None:
        query = query.where(accounts.c.id.in_(list(which.account_ids)))
    if which.user_id is not None:
        query = query.where(accounts.c.user_id == which.user_id)
    if which.organization_id is not None:
        query = query.where(accounts.c.organization_id == which.organization_id)
    if which.owner:
        # As a list of ids, or SQLite reads the whole environment through in their order, to save a sort.
        mine = select(accounts.c.id).where(accounts.c.environment_id == environment_id)
        users = mine.where(accounts.c.user_id == which.owner)
        organizations = mine.where(accounts.c.user_id == NO_ONE, accounts.c.organization_id == which.owner)
        query = query.where(accounts.c.id.in_(users.union_all(organizations)))
    if which.text:
        query = query.where(contains(accounts.c, which.text))
    return query


def contains(column: Any, wanted: str) -> ColumnElement[bool]:
    """Return whether a text is found anywhere in owner, label or identifier, whatever its case."""
    places = (column.user_id, column.organization_id, column.identifier, column.label)
    return or_(*(in_words(place).icontains(wanted, autoescape=True) for place in places))
