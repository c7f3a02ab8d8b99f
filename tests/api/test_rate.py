"""The token bucket that slows a caller down."""

import pytest

from holdfast.api import rate
from holdfast.api.rate import RateLimiter
from holdfast.clock import FrozenClock


def test_a_minutes_worth_may_come_at_once_and_then_the_caller_waits() -> None:
    limiter = RateLimiter(60, FrozenClock())
    assert [limiter.take("k") for _ in range(60)] == [None] * 60
    assert limiter.take("k") == pytest.approx(1.0)


def test_waiting_as_long_as_told_is_enough_and_a_moment_less_is_not() -> None:
    clock = FrozenClock()
    limiter = RateLimiter(6, clock)
    for _ in range(6):
        limiter.take("k")
    wait = limiter.take("k")
    assert wait == pytest.approx(10.0)
    clock.advance(wait - 0.01)
    assert limiter.take("k") == pytest.approx(0.01)
    clock.advance(0.02)
    assert limiter.take("k") is None


def test_asking_while_slowed_down_does_not_make_the_wait_longer() -> None:
    limiter = RateLimiter(1, FrozenClock())
    limiter.take("k")
    assert [limiter.take("k") for _ in range(3)] == pytest.approx([60.0] * 3)


def test_a_long_rest_earns_one_minutes_worth_and_no_more() -> None:
    clock = FrozenClock()
    limiter = RateLimiter(2, clock)
    limiter.take("k")
    clock.advance(3600)
    assert [limiter.take("k") is None for _ in range(3)] == [True, True, False]


def test_callers_do_not_share_a_bucket() -> None:
    limiter = RateLimiter(1, FrozenClock())
    assert limiter.take("a") is None
    assert limiter.take("b") is None
    assert limiter.take("a") is not None


def test_zero_means_no_limit() -> None:
    limiter = RateLimiter(0, FrozenClock())
    assert {limiter.take("k") for _ in range(1000)} == {None}


def test_a_clock_set_back_neither_earns_nor_costs() -> None:
    clock = FrozenClock()
    limiter = RateLimiter(2, clock)
    limiter.take("k")
    clock.advance(-100)
    assert [limiter.take("k") is None for _ in range(2)] == [True, False]


def test_a_stream_of_new_callers_does_not_fill_the_memory() -> None:
    limiter = RateLimiter(1, FrozenClock())
    limiter.take("first")
    for number in range(rate.MOST_KEYS):
        limiter.take(str(number))
    assert len(limiter._buckets) == rate.MOST_KEYS
    assert limiter.take(str(rate.MOST_KEYS - 1)) is not None, "a recent caller is still counted"
    assert limiter.take("first") is None, "the one unused for longest was let go"
