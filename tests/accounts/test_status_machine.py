"""The status machine as a table: every pair of states is allowed here or refused."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from holdfast.accounts import Reason, Status
from holdfast.errors import Conflict
from holdfast.vault import Sealed
from tests.accounts.records import an_account

NOW = 1_790_000_500.0
ALLOWED = {
    "pending": "verifying active",
    "verifying": "active",
    "active": "expired revoked error suspended",
    "expired": "active revoked",
    "revoked": "",
    "error": "active revoked",
    "suspended": "active revoked",
}


@pytest.mark.parametrize(("before", "after"), list(product(Status, Status)), ids=str)
def test_an_account_changes_its_status_along_the_table_only(before: Status, after: Status) -> None:
    account = an_account("env", status=before)
    if after is before or after.value in ALLOWED[before.value].split():
        changed = account.to(after, NOW, reason=Reason.PAUSED, detail="why")
        assert (changed.status, changed.reason, changed.detail, changed.updated_at) == (
            after,
            Reason.PAUSED,
            "why",
            NOW,
        )
        assert account.status is before, "a transition returns a new record"
    else:
        with pytest.raises(Conflict, match=f"{before} cannot become {after}"):
            account.to(after, NOW)


def test_becoming_active_takes_the_reason_away() -> None:
    account = an_account("env", status=Status.EXPIRED, reason=Reason.NO_REFRESH_TOKEN, detail="why")
    active = account.to(Status.ACTIVE, NOW)
    assert (active.reason, active.detail) == (None, None)


@pytest.mark.parametrize("before", [status for status in Status if status is not Status.SUSPENDED], ids=str)
def test_a_new_authorisation_makes_active_whatever_ended_the_account_before(before: Status) -> None:
    account = an_account(
        "env",
        status=before,
        reason=Reason.ROTATION_LOST,
        detail="why",
        warning="careful",
        failures=3,
        retry_at=NOW + 60,
        intent_at=NOW - 60,
        intent_print="f" * 32,
        subject="1234",
        label="Work",
        grant=Sealed(b"kept until replaced"),
    )
    after = account.authorised(NOW)
    assert after == an_account(
        "env",
        id=account.id,
        connection_id=account.connection_id,
        status=Status.ACTIVE,
        subject="1234",
        label="Work",
        grant=Sealed(b"kept until replaced"),
        updated_at=NOW,
    )


def test_a_suspended_account_is_not_authorised_behind_its_administrators_back() -> None:
    with pytest.raises(Conflict, match="resume it first"):
        an_account("env", status=Status.SUSPENDED).authorised(NOW)


def test_an_account_but_for_some_fields_is_what_replace_makes_of_it() -> None:
    account = an_account("env", access=Sealed(b"sealed"))
    before = replace(account)
    changes: dict[str, Any] = {"label": "other", "failures": 3, "scopes": ("a", "b"), "access": None}
    assert account.but(**changes) == replace(account, **changes)
    assert account == before
    with pytest.raises(TypeError, match="labels"):
        account.but(labels="no such field")
