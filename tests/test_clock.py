"""Times as text."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as some

from holdfast.clock import from_iso, iso


@given(some.floats(min_value=-2_000_000_000, max_value=250_000_000_000))
def test_a_time_is_written_as_datetime_writes_it(at: float) -> None:
    expected = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert iso(at) == expected
    assert abs(from_iso(iso(at)) - at) <= 0.001


def test_a_time_just_before_a_second_or_a_day_rounds_as_datetime_does() -> None:
    for at in (86_399.9999996, 86_399.9995, 0.9999999, 1_790_035_199.9999998, -0.0000001, 1_790_000_000.0005):
        expected = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        assert iso(at) == expected
