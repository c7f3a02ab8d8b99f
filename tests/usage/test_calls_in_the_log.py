"""Finding and counting calls among other entries of the log, on both engines."""

from dataclasses import replace

import pytest

from holdfast.events import Action, Actor, Entry
from holdfast.events import store as log
from holdfast.ids import new_id
from holdfast.storage import Database
from holdfast.usage import Buckets, End, Found, TooMuch, Wanted, count, find, get

NOW = 1_790_000_000.0


async def _wrote(database: Database, environment_id: str, count_: int, **more: object) -> list[Entry]:
    """Write calls, a second apart and oldest first, every one followed by the read of a credential."""
    made = []
    for number in range(count_):
        status = 500 if number % 5 == 4 else 200
        at = NOW + number
        call = Entry(
            environment_id=environment_id,
            id=new_id(at),
            at=at,
            action=Action.PROXY_CALLED,
            actor=Actor.system(),
            account_id=f"account-{number % 2}",
            connection_id=f"connection-{number % 3}",
            user_id=f"user-{number % 2}",
            data={"connection": "acme", "method": "GET", "path": "/x", "status": status, "ms": 12.5},
        )
        made.append(replace(call, **more))  # type: ignore[arg-type]
    reads = [replace(one, id=new_id(one.at), action=Action.CREDENTIAL_READ) for one in made]
    await database.transact(lambda tx: log.append(tx, *made, *reads))
    return made


async def test_pages_lead_through_the_calls_and_back(database: Database, environment_id: str) -> None:
    made = [one.id for one in reversed(await _wrote(database, environment_id, 7))]
    first = await find(database, environment_id, Wanted(), size=3)
    assert ([one.id for one in first.calls], first.before) == (made[:3], None)
    second = await find(database, environment_id, Wanted(), size=3, after=first.after)
    assert [one.id for one in second.calls] == made[3:6]
    last = await find(database, environment_id, Wanted(), size=3, after=second.after)
    assert ([one.id for one in last.calls], last.after) == (made[6:], None)
    back = await find(database, environment_id, Wanted(), size=3, before=second.before)
    assert ([one.id for one in back.calls], back.before, back.after) == (made[:3], None, made[2])


async def test_filters_hold(database: Database, environment_id: str) -> None:
    made = await _wrote(database, environment_id, 10)

    async def ids(wanted: Wanted) -> list[str]:
        found = await find(database, environment_id, wanted, size=50)
        return [one.id for one in reversed(found.calls)]

    assert await ids(Wanted(ends={End.PROVIDER_ERROR})) == [made[4].id, made[9].id]
    assert await ids(Wanted(connections={"connection-2"})) == [made[number].id for number in (2, 5, 8)]
    assert await ids(Wanted(connections=())) == []
    assert await ids(Wanted(account_id="account-1")) == [one.id for one in made[1::2]]
    assert await ids(Wanted(identifier="user-0")) == [one.id for one in made[0::2]]
    assert await ids(Wanted(since=NOW + 3, until=NOW + 5)) == [made[3].id, made[4].id]
    assert await find(database, new_id(), Wanted(), size=5) == Found([], None, None)


async def test_a_rare_call_takes_pages_to_find_and_no_request_looks_at_everything(
    database: Database, environment_id: str
) -> None:
    made = await _wrote(database, environment_id, 10)
    rare = Wanted(ends={End.PROVIDER_ERROR})
    seen, after, pages = [], None, 0
    while True:
        found = await find(database, environment_id, rare, size=5, after=after, step=2, most=4)
        seen += [one.id for one in found.calls]
        after, pages = found.after, pages + 1
        if after is None:
            break
    assert seen == [made[9].id, made[4].id]
    assert pages == 3


async def test_a_call_is_found_by_id_and_other_entries_are_not_calls(database: Database, environment_id: str) -> None:
    made = (await _wrote(database, environment_id, 1))[0]
    found = await get(database, environment_id, made.id)
    assert found is not None
    assert (found.name, found.ms, found.began_at, found.ended.end) == ("GET /x", 12.5, NOW - 0.0125, End.SUCCESS)
    assert await get(database, new_id(), made.id) is None
    read = (
        await database.transact(
            lambda tx: log.list_entries(tx, environment_id, kinds=[log.Kind(Action.CREDENTIAL_READ)], limit=1)
        )
    )[0]
    assert await get(database, environment_id, read.id) is None


async def test_counts_add_up_over_slices_and_buckets(database: Database, environment_id: str) -> None:
    await _wrote(database, environment_id, 100)
    counted = await count(database, environment_id, Buckets.over(NOW + 10, NOW + 90), size=7)
    assert sum(one.count for one in counted) == 80
    assert sum(one.count for one in counted if one.ended.code == "HTTP_500") == 16
    of_two = await count(database, environment_id, Buckets.over(NOW, NOW + 100), connections={"connection-0"})
    assert sum(one.count for one in of_two) == 34
    assert {one.connection_id for one in of_two} == {"connection-0"}


async def test_more_than_one_request_counts_is_refused(database: Database, environment_id: str) -> None:
    await _wrote(database, environment_id, 30)
    with pytest.raises(TooMuch):
        await count(database, environment_id, Buckets.over(NOW, NOW + 3600), size=5, most=10)
