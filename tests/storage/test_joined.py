"""Asks made as one: shared, halved when one of them fails, and never undone by a caller who leaves."""

import asyncio
from collections.abc import Sequence

from holdfast.storage.joined import Joined


class Book:
    """Doubles numbers, batch by batch; 13 makes its batch fail."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.joined: Joined[int, int] = Joined(self.double)

    async def double(self, numbers: Sequence[int]) -> Sequence[int | None]:
        self.batches.append(list(numbers))
        await asyncio.sleep(0.01)
        if 13 in numbers:
            raise ValueError("13")
        return [None if number < 0 else number * 2 for number in numbers]


async def test_what_arrives_while_a_batch_is_under_way_forms_the_next() -> None:
    book = Book()
    first = asyncio.ensure_future(book.joined.ask(1))
    while not book.batches:
        await asyncio.sleep(0)
    assert await asyncio.gather(first, *(book.joined.ask(number) for number in (2, 3))) == [2, 4, 6]
    assert book.batches == [[1], [2, 3]]


async def test_one_ask_that_fails_is_answered_none_and_the_others_as_ever() -> None:
    book = Book()
    answers = await asyncio.gather(*(book.joined.ask(number) for number in (1, 13, 3, 4)))
    assert answers == [2, None, 6, 8]
    assert await book.joined.ask(5) == 10


async def test_all_are_answered_none_at_once_if_the_database_is_away() -> None:
    class Away(Book):
        async def double(self, numbers: Sequence[int]) -> Sequence[int | None]:
            self.batches.append(list(numbers))
            raise ConnectionError

    book = Away()
    assert await asyncio.gather(*(book.joined.ask(number) for number in range(4))) == [None] * 4
    assert len(book.batches) == 1


async def test_a_caller_who_leaves_does_not_take_the_batch_along() -> None:
    book = Book()
    leaving, staying = (asyncio.ensure_future(book.joined.ask(number)) for number in (1, 2))
    while not book.batches:
        await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == 4
    assert leaving.cancelled()
