"""Which of an owner's accounts a call means. Never "the first one": several matches are said to be several."""

from collections.abc import Sequence

from holdfast.accounts.account import Account
from holdfast.errors import Conflict, NotFound


def select_account(accounts: Sequence[Account], *, account_id: str | None, plural: bool) -> Account:
    """Return the one account meant.

    With an id: that one. Without: the compatibility account for callers who know only one; for callers who know
    several (`plural`) the only one. Raises NotFound, or Conflict `account_selection_required`.
    """
    if account_id is not None:
        for account in accounts:
            if account.id == account_id:
                return account
        raise NotFound("this owner has no such connected account", code="connected_account_not_found")
    if plural:
        if len(accounts) > 1:
            raise Conflict(
                "this owner has several connected accounts here: say which by connected_account_id",
                code="account_selection_required",
            )
        if accounts:
            return accounts[0]
    for account in accounts:
        if account.role == "compatibility":
            return account
    raise NotFound("this owner has no connected account here")
