"""Pages of a list: the door's cursors over the database's own paging."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Column, Connection, MetaData, String, Table, create_engine, insert, select

from holdfast import ids
from holdfast.api.workos.inputs import Order
from holdfast.api.workos.naming import Cursor
from holdfast.api.workos.outputs import ListMetadata
from holdfast.errors import Invalid, Unprocessable
from holdfast.storage.paging import page

THINGS = Table("things", MetaData(), Column("id", String, primary_key=True))
IDS = [ids.new_id(1_790_000_000 + number) for number in range(7)]
WRONG_CURSORS = {
    "none": "",
    "a prefix": "thing_",
    "another prefix": "other_" + IDS[0],
    "no prefix": IDS[0],
    "small letters": "thing_" + IDS[0].lower(),
    "an attack": "x' OR 1=1",
}
"""Oldest first."""


@pytest.fixture(scope="module")
def tx() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    THINGS.metadata.create_all(engine)
    with engine.connect() as opened:
        opened.execute(insert(THINGS), [{"id": item} for item in IDS])
        yield opened
    engine.dispose()


def fetch(
    tx: Connection, *, limit: int, order: Order, after: str | None = None, before: str | None = None
) -> tuple[list[str], ListMetadata]:
    cursor = Cursor("thing", limit=limit, after=after, before=before, order=order)
    rows = page(
        tx,
        select(THINGS),
        THINGS.c.id,
        limit=cursor.limit + 1,
        after=cursor.after,
        before=cursor.before,
        newest_first=cursor.newest_first,
    )
    found, metadata = cursor.page([row.id for row in rows], lambda item: item)
    return found, metadata


def display(order: Order) -> list[str]:
    return IDS if order == "asc" else IDS[::-1]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", range(1, 9))
def test_following_after_shows_everything_once_and_then_ends(tx: Connection, order: Order, limit: int) -> None:
    seen: list[str] = []
    after = None
    for _ in range(len(IDS)):
        found, metadata = fetch(tx, limit=limit, order=order, after=after)
        seen += found
        after = metadata.after
        if after is None:
            break
        assert after == ids.with_prefix("thing", found[-1])
    assert seen == display(order)
    assert after is None


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", range(1, 9))
def test_following_before_from_the_end_comes_back_to_the_start(tx: Connection, order: Order, limit: int) -> None:
    shown = display(order)
    seen: list[str] = []
    before: str | None = ids.with_prefix("thing", shown[-1])
    while before is not None:
        found, metadata = fetch(tx, limit=limit, order=order, before=before)
        assert found == [item for item in shown if item in found], "each page is in display order"
        seen = found + seen
        before = metadata.before
    assert seen == shown[:-1]


@pytest.mark.parametrize("limit", range(1, 9))
def test_normal_is_newest_first_and_its_before_leads_to_the_older(tx: Connection, limit: int) -> None:
    seen: list[str] = []
    before = None
    while True:
        found, metadata = fetch(tx, limit=limit, order="normal", before=before)
        seen += found
        before = metadata.before
        if before is None:
            break
    assert seen == IDS[::-1]


def test_normals_after_leads_to_the_newer(tx: Connection) -> None:
    found, metadata = fetch(tx, limit=2, order="normal", after=ids.with_prefix("thing", IDS[2]))
    assert found == [IDS[4], IDS[3]]
    assert metadata == ListMetadata(before=ids.with_prefix("thing", IDS[3]), after=ids.with_prefix("thing", IDS[4]))


def test_a_first_page_that_holds_everything_leads_nowhere(tx: Connection) -> None:
    for order in ("asc", "desc", "normal"):
        assert fetch(tx, limit=7, order=order)[1] == ListMetadata(before=None, after=None)


def test_a_page_in_the_middle_leads_both_ways(tx: Connection) -> None:
    found, metadata = fetch(tx, limit=2, order="asc", after=ids.with_prefix("thing", IDS[1]))
    assert found == IDS[2:4]
    assert metadata == ListMetadata(before=ids.with_prefix("thing", IDS[2]), after=ids.with_prefix("thing", IDS[3]))


def test_beyond_the_last_there_is_an_empty_page(tx: Connection) -> None:
    assert fetch(tx, limit=3, order="asc", after=ids.with_prefix("thing", IDS[-1])) == ([], ListMetadata())


@pytest.mark.parametrize("order", ["asc", "desc", "normal"])
@pytest.mark.parametrize("name", ["after", "before"])
@pytest.mark.parametrize("cursor", WRONG_CURSORS.values(), ids=WRONG_CURSORS)
def test_a_cursor_that_is_no_id_of_this_list_is_named(order: Order, name: str, cursor: str) -> None:
    given = {"after": None, "before": None, name: cursor}
    with pytest.raises(Unprocessable) as caught:
        Cursor("thing", limit=10, order=order, **given)
    assert caught.value.fields == ({"field": name, "code": "invalid"},)


def test_a_page_begins_at_one_place_only() -> None:
    there = ids.with_prefix("thing", IDS[0])
    with pytest.raises(Invalid, match="not both"):
        Cursor("thing", limit=10, after=there, before=there, order="desc")
