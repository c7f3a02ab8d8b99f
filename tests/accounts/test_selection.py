"""Which account a call means, as a table."""

import pytest

from holdfast.accounts import Account, select_account
from holdfast.errors import Conflict, NotFound
from tests.accounts.records import an_account

FIRST = an_account("env", id="A", role="compatibility")
SECOND = an_account("env", id="B", role="standard")
THIRD = an_account("env", id="C", role="standard")


@pytest.mark.parametrize(
    ("accounts", "account_id", "plural", "expected"),
    [
        ([FIRST], None, False, FIRST),
        ([FIRST], None, True, FIRST),
        ([FIRST, SECOND, THIRD], None, False, FIRST),
        ([SECOND, FIRST], None, False, FIRST),
        ([FIRST, SECOND], "B", False, SECOND),
        ([FIRST, SECOND], "B", True, SECOND),
        ([FIRST, SECOND], "A", True, FIRST),
        ([SECOND], None, True, SECOND),
    ],
)
def test_one_account_is_meant(accounts: list[Account], account_id: str | None, plural: bool, expected: Account) -> None:
    assert select_account(accounts, account_id=account_id, plural=plural) is expected


@pytest.mark.parametrize(
    ("accounts", "account_id", "plural", "code"),
    [
        ([], None, False, "entity_not_found"),
        ([], None, True, "entity_not_found"),
        ([], "A", False, "connected_account_not_found"),
        ([FIRST], "B", False, "connected_account_not_found"),
        ([FIRST], "", False, "connected_account_not_found"),
        ([SECOND, THIRD], None, False, "entity_not_found"),
    ],
)
def test_no_account_is_meant(accounts: list[Account], account_id: str | None, plural: bool, code: str) -> None:
    with pytest.raises(NotFound) as raised:
        select_account(accounts, account_id=account_id, plural=plural)
    assert raised.value.code == code


@pytest.mark.parametrize("accounts", [[FIRST, SECOND], [SECOND, THIRD], [FIRST, SECOND, THIRD]])
def test_several_accounts_are_said_to_be_several(accounts: list[Account]) -> None:
    with pytest.raises(Conflict) as raised:
        select_account(accounts, account_id=None, plural=True)
    assert raised.value.code == "account_selection_required"
