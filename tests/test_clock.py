"""Times as text."""

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as some

from holdfast.clock import from_iso, iso


@given(some.floats(min_value=-2_000_000_000, max_value=250_000_000_000))
def test_a_time_is_written_as_datetime_writes_it(at: float) -> None:
    expected = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert iso(at) == expected
    assert abs(from_iso(iso(at)) - at) <= 0.001 + math.ulp(at)


def test_a_time_just_before_a_second_or_a_day_rounds_as_datetime_does() -> None:
    for at in (86_399.9999996, 86_399.9995, 0.9999999, 1_790_035_199.9999998, -0.0000001, 1_790_000_000.0005):
        expected = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        assert iso(at) == expected


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00"),
        ("0001-01-01T00:00:00+12:00", "0001-01-01T00:00:00"),
        ("9999-12-31T23:59:59.9999Z", "9999-12-31T23:59:59"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59"),
        ("9999-12-31T23:59:59-12:00", "9999-12-31T23:59:59"),
    ],
)
def test_what_is_read_can_be_written(text: str, written: str) -> None:
    assert iso(from_iso(text))[:19] == written


def test_a_year_of_five_digits_is_refused() -> None:
    with pytest.raises(ValueError, match="Invalid"):
        from_iso("10000-01-01T00:00:00Z")
