"""An account as it stands in the table, for tests that change one thing about it."""

from dataclasses import replace
from typing import Any

from holdfast.accounts import Account, Owner, Status, store
from holdfast.ids import new_id
from tests.tokens.house import House


def an_account(environment_id: str, **changes: Any) -> Account:
    """Return an active user-owned account; every field can be given."""
    values: dict[str, Any] = {
        "environment_id": environment_id,
        "id": new_id(),
        "connection_id": new_id(),
        "owner": Owner.user("user_1"),
        "role": "compatibility",
        "method": "oauth",
        "status": Status.ACTIVE,
        "created_at": 1_790_000_000.0,
        "updated_at": 1_790_000_000.0,
        **changes,
    }
    return Account(**values)


async def stored_as(house: House, account: Account, status: Status) -> Account:
    """Write the account down in another status, as if that had happened to it."""
    changed = replace(await house.stored(account), status=status, reason=None, detail=None)
    return await house.holdfast.database.transact(lambda tx: store.save(tx, changed))
