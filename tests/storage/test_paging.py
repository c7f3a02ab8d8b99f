"""Pages by id, in both directions and both orders."""

import pytest

from holdfast.access import store
from holdfast.access.membership import Membership
from holdfast.storage import Database

IDS = [f"{number:026d}" for number in range(1, 8)]


@pytest.fixture
async def seven(database: Database, environment_id: str) -> str:
    for number, membership_id in enumerate(IDS):
        record = Membership(
            environment_id=environment_id,
            id=membership_id,
            user_id=f"user{number}",
            organization_id="org",
            role="member",
            status="active",
            created_at=1.0,
            updated_at=1.0,
        )
        await database.transact(lambda tx, record=record: store.save_membership(tx, record))
    return environment_id


@pytest.mark.parametrize(
    ("newest_first", "after", "before", "expected"),
    [
        (False, None, None, [1, 2, 3]),
        (False, 3, None, [4, 5, 6]),
        (False, 6, None, [7]),
        (False, 7, None, []),
        (False, None, 5, [2, 3, 4]),
        (False, None, 2, [1]),
        (False, None, 1, []),
        (False, 2, 4, [3]),
        (False, 1, 7, [2, 3, 4]),
        (True, None, None, [7, 6, 5]),
        (True, 5, None, [4, 3, 2]),
        (True, 2, None, [1]),
        (True, None, 4, [7, 6, 5]),
        (True, None, 3, [6, 5, 4]),
        (True, None, 7, []),
        (True, 6, 3, [5, 4]),
    ],
)
async def test_a_page_holds_the_rows_next_to_its_cursor_in_display_order(
    database: Database, seven: str, newest_first: bool, after: int | None, before: int | None, expected: list[int]
) -> None:
    rows = await database.transact(
        lambda tx: store.list_memberships(
            tx,
            seven,
            limit=3,
            after=None if after is None else IDS[after - 1],
            before=None if before is None else IDS[before - 1],
            newest_first=newest_first,
        )
    )
    assert [int(row.id) for row in rows] == expected
