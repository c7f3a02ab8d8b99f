"""Closing entries, written many at once: each of them once, whatever becomes of the answer to a write."""

import asyncio
from typing import Any

import pytest

from holdfast.events import Action
from holdfast.events import store as log
from holdfast.events.entry import Line
from holdfast.ids import new_id
from holdfast.proxy.ledger import Ledger
from holdfast.storage import Database
from tests.tokens.house import House


class Forgetful:
    """A database that does what it is told, and whose answers are lost on the way for a while."""

    def __init__(self, database: Database, lost: int) -> None:
        self._database, self.lost = database, lost
        self.tries: list[log.Appending] = []

    async def direct(self, work: Any) -> Any:
        self.tries.append(work)
        found = await self._database.direct(work)
        if self.lost:
            self.lost -= 1
            raise ConnectionError("the answer was lost")
        return found


def lines(house: House, account_id: str, count: int, user: str = "u") -> list[Line]:
    called, now = Action.PROXY_CALLED.value, house.clock.now()
    ids = [new_id() for _ in range(count)]
    return [
        Line(
            house.environment_id, one, now, called, "api_key", "k", account_id, "", user, "", "prx_1", {"b": 1, "a": 2}
        )
        for one in ids
    ]


async def written(house: House, account_id: str) -> list[str]:
    found = await house.holdfast.database.transact(
        lambda tx: log.list_entries(
            tx, house.environment_id, kinds=[log.Kind(Action.PROXY_CALLED)], limit=1000, account_id=account_id
        )
    )
    return sorted(entry.id for entry in found)


@pytest.mark.parametrize("lost", [0, 1, 2])
async def test_what_was_written_though_the_answer_was_lost_is_there_once(house: House, lost: int) -> None:
    account_id = new_id()
    database: Any = Forgetful(house.holdfast.database, lost)
    ledger, first, more = Ledger(database), lines(house, account_id, 3), lines(house, account_id, 2)
    for line in first:
        ledger.add(line)
    while not database.tries:
        await asyncio.sleep(0.005)
    for line in more:
        ledger.add(line)
    await ledger.drain(30)
    assert await written(house, account_id) == sorted(line.id for line in [*first, *more])
    assert [work.again for work in database.tries][: lost + 1] == [False] + [True] * lost


async def test_an_entry_that_the_database_refuses_is_lost_alone(house: House) -> None:
    account_id, ledger = new_id(), Ledger(house.holdfast.database)
    good, bad = lines(house, account_id, 3), lines(house, account_id, 1, user="\ud800")
    for line in [*good[:2], *bad, *good[2:]]:
        ledger.add(line)
    await ledger.drain(30)
    assert await written(house, account_id) == sorted(line.id for line in good)
    later = lines(house, account_id, 1)[0]
    ledger.add(later)
    await ledger.drain(30)
    assert later.id in await written(house, account_id)
