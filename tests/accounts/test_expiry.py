"""When a token is renewed, when the sweep comes, and which ends nobody can put off: tables."""

from dataclasses import replace
from typing import Any

import pytest

from holdfast.accounts import Account, Owner, Status
from holdfast.accounts.expiry import consent_end, due_at, sweep_at
from holdfast.ids import new_id
from holdfast.providers.entry import Lifetime
from holdfast.vault import Sealed

NOW = 1_790_000_000.0
DAY = 86400.0
IDLE = Lifetime(refresh_idle=30 * 86400)


@pytest.mark.parametrize(
    ("expires", "grant_expires", "lifetime", "due"),
    [
        (3600, None, Lifetime(), 3300),
        (60, None, Lifetime(), 45),
        (3600, 30 * DAY, IDLE, 3300),
        (None, 30 * DAY, IDLE, 23 * DAY),
        (None, 8 * DAY, Lifetime(rotation="each_use"), 6 * DAY),
        (60 * DAY, 30 * DAY, IDLE, 23 * DAY),
        (None, None, IDLE, None),
        (None, 7 * DAY, Lifetime(rotation="none", refresh_absolute=7 * 86400), None),
        (None, 7 * DAY, Lifetime(rotation="none", refresh_idle=180 * 86400), None),
        (None, 180 * DAY, Lifetime(rotation="none", refresh_idle=180 * 86400), 173 * DAY),
        (3600, 30 * DAY, Lifetime(refresh_idle=30 * 86400, refresh_not_before=30), 3570),
        (3600, 30 * DAY, Lifetime(refresh_idle=30 * 86400, refresh_not_before=1800), 3300),
        (60 * DAY, 30 * DAY, Lifetime(refresh_idle=30 * 86400, refresh_not_before=30), 60 * DAY - 30),
        (3600, None, Lifetime(refresh_margin=600, refresh_not_before=30), 3570),
    ],
)
def test_a_token_is_due_before_it_ends_and_before_its_refresh_token_dies_of_disuse(
    expires: float | None, grant_expires: float | None, lifetime: Lifetime, due: float | None
) -> None:
    at = due_at(_later(expires), NOW, lifetime, renewable=True, grant_expires_at=_later(grant_expires))
    assert at == _later(due)
    assert due_at(_later(expires), NOW, lifetime, renewable=False, grant_expires_at=_later(grant_expires)) is None


@pytest.mark.parametrize(
    ("expires", "grant_expires", "lifetime", "renewable", "ends"),
    [
        (3600, 7 * DAY, Lifetime(rotation="none"), True, 7 * DAY),
        (3600, 7 * DAY, Lifetime(rotation="none", refresh_idle=180 * 86400), True, 7 * DAY),
        (3600, 180 * DAY, Lifetime(rotation="none", refresh_idle=180 * 86400), True, None),
        (3600, 60 * DAY, Lifetime(rotation="each_use", refresh_absolute=60 * 86400), True, None),
        (3600, None, Lifetime(rotation="none"), True, None),
        (60 * DAY, None, Lifetime(), False, 60 * DAY),
        (3600, None, Lifetime(), False, None),
        (None, None, Lifetime(), False, None),
    ],
)
def test_an_end_stands_where_no_refresh_puts_it_off(
    expires: float | None, grant_expires: float | None, lifetime: Lifetime, renewable: bool, ends: float | None
) -> None:
    found = consent_end(_later(expires), _later(grant_expires), NOW, lifetime, renewable=renewable)
    assert found == _later(ends)


def test_the_sweep_comes_after_the_due_time_within_two_fifths_of_the_margin_and_spread_over_it() -> None:
    times = [sweep_at(an_account(id=new_id())) for _ in range(500)]
    shifts = sorted(at - NOW for at in times if at is not None)
    assert len(shifts) == 500
    assert 0 <= shifts[0] < 10
    assert 110 < shifts[-1] < 120
    assert 40 < shifts[250] < 80


def test_the_sweep_is_never_before_the_retry_time() -> None:
    assert sweep_at(an_account(retry_at=NOW + 250)) == NOW + 250


@pytest.mark.parametrize(
    "changes",
    [
        {"status": Status.EXPIRED},
        {"status": Status.SUSPENDED},
        {"grant": None},
        {"access": None},
        {"refresh_at": None},
    ],
)
def test_the_sweep_leaves_alone_what_cannot_or_need_not_be_renewed(changes: dict[str, Any]) -> None:
    assert sweep_at(an_account(**changes)) is None


def an_account(**changes: Any) -> Account:
    made = Account(
        environment_id=new_id(),
        id=new_id(),
        connection_id=new_id(),
        owner=Owner.user("user"),
        role="compatibility",
        method="oauth",
        status=Status.ACTIVE,
        created_at=NOW,
        updated_at=NOW,
        access=Sealed(b"access"),
        grant=Sealed(b"grant"),
        expires_at=NOW + 300,
        refresh_at=NOW,
    )
    return replace(made, **changes)


def _later(seconds: float | None) -> float | None:
    return None if seconds is None else NOW + seconds
