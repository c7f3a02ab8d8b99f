"""What refreshing writes: leases, intents, outcomes; and which accounts are due or to be announced."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection as Tx
from sqlalchemy import bindparam, func, or_, select, update

from holdfast.accounts.account import Account, Status
from holdfast.accounts.store.table import account_of, accounts, is_account, values_of
from holdfast.storage import leases

_CREDENTIAL_COLUMNS = (
    "status",
    "reason",
    "detail",
    "scopes",
    "kept",
    "access",
    "grant",
    "expires_at",
    "grant_expires_at",
    "consent_ends_at",
    "refresh_at",
    "sweep_at",
    "look_at",
    "refreshed_at",
    "retry_at",
    "failures",
    "refusals",
    "warning",
    "intent_at",
    "intent_print",
    "credential_version",
    "updated_at",
)
"""What a refresh may write: an app that edits the label at the same moment loses nothing, nor does the refresh."""


def take_lease(tx: Tx, environment_id: str, account_id: str, *, owner: str, seconds: float) -> int | None:
    return leases.acquire(tx, accounts, is_account(environment_id, account_id), owner=owner, seconds=seconds)


def give_up_lease(tx: Tx, environment_id: str, account_id: str, *, fence: int) -> None:
    leases.release(tx, accounts, is_account(environment_id, account_id), fence=fence)


def open_intent(tx: Tx, account: Account, *, fence: int, fingerprint: str, at: float) -> bool:
    """Write down that a refresh request is about to be sent. Nothing is sent unless this is committed."""
    done = tx.execute(
        update(accounts)
        .where(is_account(account.environment_id, account.id), accounts.c.fence == fence)
        .values(intent_print=fingerprint, intent_at=at)
    )
    return done.rowcount > 0


def extend_lease(tx: Tx, environment_id: str, account_id: str, *, fence: int, seconds: float) -> bool:
    """Hold on to a lease for longer; False if it is not ours any more."""
    return leases.extend(tx, accounts, is_account(environment_id, account_id), fence=fence, seconds=seconds)


def settle_late(tx: Tx, account: Account, *, credential_version: int) -> bool:
    """Write new tokens though the lease has passed on, if nobody has stored newer ones: they are the only live ones."""
    values = {name: value for name, value in values_of(account).items() if name in _CREDENTIAL_COLUMNS}
    done = tx.execute(
        update(accounts)
        .where(is_account(account.environment_id, account.id), accounts.c.credential_version == credential_version)
        .values(**values, version=accounts.c.version + 1)
    )
    return done.rowcount > 0


def settle(tx: Tx, account: Account, *, fence: int, credential_version: int) -> bool:
    """Write a refresh's outcome and give up the lease, if the lease is still ours and the credential unchanged."""
    values = {name: value for name, value in values_of(account).items() if name in _CREDENTIAL_COLUMNS}
    done = tx.execute(
        update(accounts)
        .where(
            is_account(account.environment_id, account.id),
            accounts.c.fence == fence,
            accounts.c.credential_version == credential_version,
        )
        .values(**values, version=accounts.c.version + 1, lease_owner=None, lease_until=None)
    )
    return done.rowcount > 0


def due(tx: Tx, *, now: float, limit: int, passing_over: Collection[str] = ()) -> list[Account]:
    """Return accounts to refresh, the longest due first, of all environments; `passing_over` these connections.

    Rows that another process has under its hands, or refreshes, are left out. Until the transaction ends the rest are
    ours: `look_again` at a later time claims them.
    """
    query = select(accounts).where(
        accounts.c.look_at <= now,
        accounts.c.sweep_at <= now,
        accounts.c.refresh_at <= now,
        accounts.c.status == Status.ACTIVE.value,
        or_(accounts.c.retry_at.is_(None), accounts.c.retry_at <= now),
        leases.is_free(accounts),
    )
    if passing_over:
        query = query.where(accounts.c.connection_id.not_in(list(passing_over)))
    query = query.order_by(accounts.c.look_at).limit(limit).with_for_update(skip_locked=True)
    return [account_of(row) for row in tx.execute(query)]


def put_off(tx: Tx, now: float, most: int) -> int:
    """Let the sweep look later at up to `most` accounts that were refreshed since it made a note of them; return how
    many they were. Rows that another process has under its hands are left for another time."""
    key = (accounts.c.environment_id, accounts.c.id)
    late = select(*key).where(accounts.c.look_at <= now, accounts.c.sweep_at > now).order_by(accounts.c.look_at)
    these = late.limit(most).with_for_update(skip_locked=True).cte("late")
    done = tx.execute(
        update(accounts)
        .where(accounts.c.environment_id == these.c.environment_id, accounts.c.id == these.c.id)
        .values(look_at=accounts.c.sweep_at)
        .returning(accounts.c.id)
    )
    return len(done.all())


def overdue(tx: Tx, now: float, most: int) -> tuple[int, float | None]:
    """Return how many accounts the sweep has to look at, counted up to `most`, and since when the first is due."""
    due = select(accounts.c.sweep_at).where(accounts.c.look_at <= now, accounts.c.sweep_at <= now)
    due = due.order_by(accounts.c.look_at).limit(most)
    found = due.subquery()
    count, first = tx.execute(select(func.count(), func.min(found.c.sweep_at))).one()
    return int(count), first


def look_again(tx: Tx, these: Sequence[Account], at: float) -> None:
    """Let the sweep leave these accounts alone until `at`, except those that have changed since they were read."""
    if these:
        here = (accounts.c.environment_id == bindparam("e")) & (accounts.c.id == bindparam("i"))
        tx.execute(
            update(accounts).where(here, accounts.c.version == bindparam("v")).values(look_at=at),
            [{"e": account.environment_id, "i": account.id, "v": account.version} for account in these],
        )


def to_announce(tx: Tx, *, now: float, until: float, limit: int) -> list[Account]:
    """Return active accounts whose consent ends before `until` and has not been announced; locked, as `due`."""
    query = select(accounts).where(
        accounts.c.consent_ends_at > now,
        accounts.c.consent_ends_at <= until,
        accounts.c.notice_at.is_(None),
        accounts.c.status == Status.ACTIVE.value,
    )
    query = query.order_by(accounts.c.consent_ends_at).limit(limit).with_for_update(skip_locked=True)
    return [account_of(row) for row in tx.execute(query)]


def announced(tx: Tx, account: Account, at: float) -> None:
    tx.execute(update(accounts).where(is_account(account.environment_id, account.id)).values(notice_at=at))
