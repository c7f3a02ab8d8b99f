"""Looking at many accounts at a bounded cost, however many there are: searches that say how far they came, and counts
that stop."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection as Tx
from sqlalchemy import func, select

from holdfast.accounts.account import Account, Status
from holdfast.accounts.store.listing import Listing, contains, list_accounts, matching
from holdfast.accounts.store.table import NOT_ACTIVE, account_of, accounts

MOST_COUNTED = 1000
"""Beyond it, nobody counts on a page: `1,000+`."""
MOST_LOOKED_THROUGH = 5_000
"""Accounts that one search for a text reads: some tens of milliseconds."""


@dataclass(frozen=True, slots=True)
class Glance:
    """A page, newest first. `further`: the id of the account behind which more lie, or may lie; None = that was all."""

    accounts: Sequence[Account]
    further: str | None
    newer: bool
    """Whether accounts lie before the page."""
    complete: bool = True
    """False: a search came to its end before it had filled the page, and may be gone on with."""


def glance(
    tx: Tx, environment_id: str, which: Listing, *, limit: int, after: str | None = None, before: str | None = None
) -> Glance:
    """Return a page of accounts without counting them. `after` and `before` are ids, exclusive."""
    if which.text:
        return _search(tx, environment_id, which, limit, after or None)
    backwards = before is not None and after is None
    found = list_accounts(tx, environment_id, which, limit=limit + 1, after=after, before=before, newest_first=True)
    more = len(found) > limit
    shown = (found[1:] if backwards else found[:limit]) if more else found
    further = shown[-1].id if shown and (more or backwards) else None
    return Glance(shown, further, newer=more if backwards else after is not None)


def _search(tx: Tx, environment_id: str, which: Listing, limit: int, after: str | None) -> Glance:
    looked = matching(select(accounts), environment_id, replace(which, text=""))
    if after is not None:
        looked = looked.where(accounts.c.id < after)
    looked = looked.order_by(accounts.c.id.desc())
    inner = looked.limit(MOST_LOOKED_THROUGH).subquery()
    query = select(inner).where(contains(inner.c, which.text)).order_by(inner.c.id.desc()).limit(limit + 1)
    rows = [account_of(row) for row in tx.execute(query)]
    if len(rows) > limit:
        return Glance(rows[:limit], rows[limit - 1].id, newer=after is not None)
    last = looked.with_only_columns(accounts.c.id).offset(MOST_LOOKED_THROUGH - 1).limit(1)
    reached = tx.execute(last).scalar_one_or_none()
    return Glance(rows, reached, newer=after is not None, complete=reached is None)


def tally(tx: Tx, environment_id: str) -> dict[Status, int]:
    """Return how many accounts are in each status but active, counted up to MOST_COUNTED + 1."""
    return {status: _count(tx, environment_id, status) for status in Status if status is not Status.ACTIVE}


def total(tx: Tx, environment_id: str) -> int:
    """Return how many accounts there are, counted up to MOST_COUNTED + 1."""
    some = select(accounts.c.id).where(accounts.c.environment_id == environment_id).limit(MOST_COUNTED + 1)
    return int(tx.execute(select(func.count()).select_from(some.subquery())).scalar_one())


def _count(tx: Tx, environment_id: str, status: Status) -> int:
    some = (
        select(accounts.c.id)
        .where(accounts.c.environment_id == environment_id, accounts.c.status == status.value, NOT_ACTIVE)
        .limit(MOST_COUNTED + 1)
    )
    return int(tx.execute(select(func.count()).select_from(some.subquery())).scalar_one())


def ending_soon(tx: Tx, environment_id: str, *, now: float, until: float, limit: int) -> list[Account]:
    """Return active accounts whose consent ends for good before `until`, the nearest first."""
    query = (
        select(accounts)
        .where(
            accounts.c.environment_id == environment_id,
            accounts.c.consent_ends_at > now,
            accounts.c.consent_ends_at <= until,
            accounts.c.status == Status.ACTIVE.value,
        )
        .order_by(accounts.c.consent_ends_at)
        .limit(limit)
    )
    return [account_of(row) for row in tx.execute(query)]
