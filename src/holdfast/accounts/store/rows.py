"""Accounts one by one, and those of one owner: found by environment and id, or environment, connection and owner."""

from typing import Any

from sqlalchemy import Connection as Tx
from sqlalchemy import delete, func, insert, select, update

from holdfast.accounts.account import Account, Owner
from holdfast.accounts.store.table import account_of, accounts, is_account, owner_values, values_of
from holdfast.storage.tables import NO_ONE


def _of(environment_id: str, connection_id: str, owner: Owner) -> Any:
    return (
        (accounts.c.environment_id == environment_id)
        & (accounts.c.connection_id == connection_id)
        & (accounts.c.user_id == owner.user_id)
        & (accounts.c.organization_id == owner.organization_id)
    )


def get(tx: Tx, environment_id: str, account_id: str, *, lock: bool = False) -> Account | None:
    query = select(accounts).where(is_account(environment_id, account_id))
    row = tx.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else account_of(row)


def of_owner(tx: Tx, environment_id: str, connection_id: str, owner: Owner, *, lock: bool = False) -> list[Account]:
    """Return all of one owner's accounts through one connection, oldest first. Owner scopes never mix."""
    # By an expression: by the bare id, SQLite would read the whole environment through in that order, to save a sort.
    query = select(accounts).where(_of(environment_id, connection_id, owner)).order_by(accounts.c.id + "")
    return [account_of(row) for row in tx.execute(query.with_for_update() if lock else query)]


def lock_owner(tx: Tx, environment_id: str, connection_id: str, owner: Owner) -> None:
    """Let one transaction at a time connect accounts of this owner here, until it ends.

    Rows can be locked once they are there; this guards the first one. SQLite has one writer at any time.
    """
    if tx.dialect.name == "postgresql":
        name = "|".join((environment_id, connection_id, owner.user_id, owner.organization_id))
        tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


def all_of_owner(tx: Tx, environment_id: str, owner: Owner) -> list[Account]:
    rows = tx.execute(
        select(accounts)
        .where(
            accounts.c.environment_id == environment_id,
            accounts.c.owner_kind == owner.kind,
            accounts.c.user_id == owner.user_id,
            accounts.c.organization_id == owner.organization_id,
        )
        .order_by(accounts.c.id)
    )
    return [account_of(row) for row in rows]


def of_connection(tx: Tx, environment_id: str, connection_id: str) -> list[Account]:
    rows = tx.execute(
        select(accounts)
        .where(accounts.c.environment_id == environment_id, accounts.c.connection_id == connection_id)
        .order_by(accounts.c.id)
    )
    return [account_of(row) for row in rows]


def established_by(tx: Tx, environment_id: str, organization_id: str, user_id: str) -> list[Account]:
    rows = tx.execute(
        select(accounts)
        .where(
            accounts.c.environment_id == environment_id,
            accounts.c.owner_kind == "organization",
            accounts.c.user_id == NO_ONE,
            accounts.c.organization_id == organization_id,
            accounts.c.established_by == user_id,
        )
        .with_for_update()
    )
    return [account_of(row) for row in rows]


def label_is_taken(tx: Tx, account: Account) -> bool:
    """Tell whether another account of the same owner and connection has this account's label."""
    query = select(func.count()).where(
        _of(account.environment_id, account.connection_id, account.owner),
        accounts.c.id != account.id,
        accounts.c.label == account.label,
    )
    return account.label is not None and tx.execute(query).scalar_one() > 0


def add(tx: Tx, account: Account) -> None:
    tx.execute(
        insert(accounts).values(
            environment_id=account.environment_id,
            id=account.id,
            created_at=account.created_at,
            version=account.version,
            **owner_values(account),
            **values_of(account),
        )
    )


def save(tx: Tx, account: Account) -> Account:
    """Write every changeable column of an account that was read under lock; its version rises by one."""
    tx.execute(
        update(accounts)
        .where(is_account(account.environment_id, account.id))
        .values(**owner_values(account), **values_of(account), version=accounts.c.version + 1)
    )
    return account


def remove(tx: Tx, environment_id: str, account_id: str) -> Account | None:
    """Delete an account; return it as it was in the end, None if it was not there."""
    row = tx.execute(delete(accounts).where(is_account(environment_id, account_id)).returning(accounts)).one_or_none()
    return None if row is None else account_of(row)
