"""The gate by itself: who is let through, who waits, and what is left alone."""

import asyncio
from collections.abc import Sequence

import pytest

from holdfast.accounts import Reason
from holdfast.clock import FrozenClock
from holdfast.tokens import Misconfigured, NeedsReauthorization, RefreshOutcome, RetryAt
from holdfast.tokens.gate import AHEAD, FIRST_REST, LONGEST_REST, PATIENCE, Gate, Health, Lane
from holdfast.tokens.outcome import Resting

ANSWERED = NeedsReauthorization(Reason.REFRESH_REFUSED, "")
FAILED = RetryAt(0.0, "no answer")
HERE = Lane("one", "one.example", "c1")


class Provider:
    """Holds each request until it is let go, and remembers how many it had at once."""

    def __init__(self) -> None:
        self.here = self.most = self.seen = 0
        self.open = asyncio.Event()

    async def ask(self) -> RefreshOutcome:
        self.here += 1
        self.seen += 1
        self.most = max(self.most, self.here)
        await self.open.wait()
        self.here -= 1
        return ANSWERED


async def _settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def _answer(gate: Gate, lane: Lane, *outcomes: RefreshOutcome) -> Sequence[RefreshOutcome | Resting]:
    async def work(outcome: RefreshOutcome) -> RefreshOutcome:
        return outcome

    return [await gate.through(lane, lambda outcome=outcome: work(outcome)) for outcome in outcomes]  # type: ignore[misc]


async def test_no_more_than_the_cap_are_at_one_provider_and_all_get_their_turn() -> None:
    gate, provider = Gate(FrozenClock(), concurrency=10, per_provider=3), Provider()
    tasks = [asyncio.ensure_future(gate.through(HERE, provider.ask)) for _ in range(50)]
    await _settle()
    assert provider.here == 3
    provider.open.set()
    assert await asyncio.gather(*tasks) == [ANSWERED] * 50
    assert provider.most == 3


async def test_a_crowd_at_one_provider_does_not_keep_another_waiting() -> None:
    gate, crowded, other = Gate(FrozenClock(), concurrency=4, per_provider=2), Provider(), Provider()
    tasks = [asyncio.ensure_future(gate.through(HERE, crowded.ask)) for _ in range(20)]
    tasks += [asyncio.ensure_future(gate.through(Lane("two", "two.example", "c2"), other.ask)) for _ in range(20)]
    await _settle()
    assert (crowded.here, other.here) == (2, 2)
    crowded.open.set()
    other.open.set()
    await asyncio.gather(*tasks)
    assert (crowded.most, other.most) == (2, 2)


async def test_a_crowd_of_one_connection_leaves_room_for_another_at_the_same_provider() -> None:
    gate, crowd, other = Gate(FrozenClock(), concurrency=9, per_provider=4, per_connection=3), Provider(), Provider()
    beside = Lane("one", "one.example", "c2")
    tasks = [asyncio.ensure_future(gate.through(HERE, crowd.ask)) for _ in range(20)]
    tasks += [asyncio.ensure_future(gate.through(beside, other.ask)) for _ in range(3)]
    await _settle()
    assert (crowd.here, other.here) == (3, 1)
    view = gate.view()
    assert view.room(HERE) == AHEAD * 3 - 17, "of its own"
    assert view.room(beside) == AHEAD * 4 - 19, "of the provider's"
    assert view.room(beside, {("client", "c2"): AHEAD * 3 - 3}) == 1
    assert view.room(beside, {("client", "c2"): AHEAD * 3 - 2}) == 0
    assert view.room(HERE.of_any_client(), {("client", "c1"): 99}) == AHEAD * 4 - 19
    crowd.open.set()
    other.open.set()
    await asyncio.gather(*tasks)
    assert (crowd.most, crowd.seen, other.seen) == (3, 20, 3)


async def test_the_process_has_a_cap_over_all_providers() -> None:
    gate, provider = Gate(FrozenClock(), concurrency=4, per_provider=3), Provider()
    lanes = [Lane(name, name, name) for name in "abcde"]
    tasks = [asyncio.ensure_future(gate.through(lane, provider.ask)) for lane in lanes * 4]
    await _settle()
    assert provider.here == 4
    provider.open.set()
    await asyncio.gather(*tasks)
    assert (provider.most, provider.seen) == (4, 20)


async def test_a_caller_who_gives_up_leaves_his_place_to_others() -> None:
    gate, provider = Gate(FrozenClock(), concurrency=1, per_provider=1), Provider()
    first, second, third = [asyncio.ensure_future(gate.through(HERE, provider.ask)) for _ in range(3)]
    await _settle()
    second.cancel()
    await _settle()
    first.cancel()
    provider.open.set()
    assert await third == ANSWERED
    assert await gate.through(HERE, provider.ask) == ANSWERED


async def test_work_that_raises_gives_its_place_back() -> None:
    async def broken() -> RefreshOutcome:
        raise OSError("the database is away")

    gate = Gate(FrozenClock(), concurrency=1, per_provider=1)
    for _ in range(3):
        with pytest.raises(OSError, match="away"):
            await gate.through(HERE, broken)
    assert await _answer(gate, HERE, ANSWERED) == [ANSWERED]


async def test_an_endpoint_that_fails_again_and_again_is_left_alone_and_then_tried_by_one() -> None:
    clock, provider = FrozenClock(), Provider()
    gate = Gate(clock, concurrency=10, per_provider=8)
    await _answer(gate, HERE, *[FAILED] * PATIENCE)
    resting = Resting(clock.now() + FIRST_REST)
    assert await _answer(gate, HERE, ANSWERED) == [resting]
    assert await _answer(gate, Lane("one", "other.example", "c2"), ANSWERED) == [ANSWERED], "another host of it is well"
    assert (gate.view().resting(HERE), gate.view().room(HERE)) == (resting, 0)

    clock.advance(FIRST_REST)
    assert gate.view().room(HERE) == 1
    tasks = [asyncio.ensure_future(gate.through(HERE, provider.ask)) for _ in range(8)]
    await _settle()
    assert provider.here == 1, "one tries"
    provider.open.set()
    assert await asyncio.gather(*tasks) == [ANSWERED] * 8, "and when it is answered the others follow"


async def test_when_the_one_who_tries_fails_the_others_go_back_for_twice_as_long() -> None:
    clock = FrozenClock()
    gate = Gate(clock, concurrency=10, per_provider=8)
    await _answer(gate, HERE, *[FAILED] * PATIENCE)
    clock.advance(FIRST_REST)

    async def fails() -> RefreshOutcome:
        await asyncio.sleep(0)
        return FAILED

    outcomes = await asyncio.gather(*(gate.through(HERE, fails) for _ in range(4)))
    assert outcomes == [FAILED, *[Resting(clock.now() + 2 * FIRST_REST)] * 3]


async def test_success_in_between_and_not_having_asked_are_no_failures_in_a_row() -> None:
    gate = Gate(FrozenClock(), concurrency=10, per_provider=8)
    await _answer(gate, HERE, *[FAILED] * (PATIENCE - 1), ANSWERED, *[FAILED] * (PATIENCE - 1))
    waiting = RetryAt(0.0, "another process", asked=False)
    assert await _answer(gate, HERE, *[waiting] * 9, ANSWERED) == [*[waiting] * 9, ANSWERED]


async def test_a_refused_client_rests_its_connection_and_no_other() -> None:
    clock = FrozenClock()
    gate = Gate(clock, concurrency=10, per_provider=8)
    await _answer(gate, HERE, Misconfigured("wrong secret"))
    assert await _answer(gate, HERE, ANSWERED) == [Resting(clock.now() + 60)]
    assert await _answer(gate, Lane("one", "one.example", "c2"), ANSWERED) == [ANSWERED]


async def test_a_closed_gate_sends_back_who_waits_and_lets_finish_who_is_through() -> None:
    clock, provider = FrozenClock(), Provider()
    gate = Gate(clock, concurrency=1, per_provider=1)
    tasks = [asyncio.ensure_future(gate.through(HERE, provider.ask)) for _ in range(3)]
    await _settle()
    gate.close()
    provider.open.set()
    back = Resting(clock.now())
    assert await asyncio.gather(*tasks) == [ANSWERED, back, back]
    assert await _answer(gate, HERE, ANSWERED) == [back]


def test_rests_grow_to_a_limit_and_late_news_does_not_lengthen_them() -> None:
    health, now, rests = Health(), 0.0, []
    for _ in range(PATIENCE + 7):
        health = health.failed(now)
        assert health.failed(now) == health or not health.rests_until
        rests.append(health.rests_until - now if health.rests_until else 0.0)
        now = max(now, health.rests_until)
    assert rests[: PATIENCE - 1] == [0.0] * (PATIENCE - 1)
    assert rests[PATIENCE - 1 :] == [15.0, 30.0, 60.0, 120.0, 240.0, LONGEST_REST, LONGEST_REST, LONGEST_REST]
