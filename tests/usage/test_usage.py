"""How calls are judged, and how a span is cut into buckets."""

import itertools

import pytest

from holdfast.errors import Invalid
from holdfast.usage import Buckets, End, Ended, ended


@pytest.mark.parametrize(
    ("status", "outcome", "expected"),
    [
        (200, None, Ended(End.SUCCESS)),
        (302, "", Ended(End.SUCCESS)),
        (200, "cancelled", Ended(End.SUCCESS)),
        (404, None, Ended(End.PROVIDER_ERROR, "HTTP_404")),
        (503, "cancelled", Ended(End.PROVIDER_ERROR, "HTTP_503")),
        (None, "provider_unreachable", Ended(End.PROVIDER_ERROR, "PROVIDER_UNREACHABLE")),
        (200, "provider_reply_lost", Ended(End.PROVIDER_ERROR, "PROVIDER_REPLY_LOST")),
        (None, "destination_blocked", Ended(End.PLATFORM_ERROR, "DESTINATION_BLOCKED")),
        (0, "cancelled", Ended(End.PLATFORM_ERROR, "CANCELLED")),
    ],
)
def test_a_call_is_judged_by_the_status_and_by_who_failed(
    status: int | None, outcome: str | None, expected: Ended
) -> None:
    assert ended(status, outcome) == expected


@pytest.mark.parametrize(
    ("span", "width"),
    [(60, 60), (29 * 60, 60), (3600, 300), (86400, 3600), (7 * 86400, 6 * 3600), (365 * 86400, 14 * 86400)],
)
def test_thirty_buckets_at_most_cover_the_span(span: int, width: int) -> None:
    since = 1_790_000_123.5
    buckets = Buckets.over(since, since + span)
    starts = list(buckets.starts())
    assert buckets.seconds == width and len(starts) <= 30
    assert starts[0] <= since and starts[-1] + width >= since + span
    assert all(start % width == 0 for start in starts)
    assert [after - before for before, after in itertools.pairwise(starts)] == [width] * (len(starts) - 1)


@pytest.mark.parametrize(("since", "until"), [(10.0, 10.0), (10.0, 5.0), (0.0, 40 * 365 * 86400.0)])
def test_a_span_that_ends_before_it_begins_or_never_is_refused(since: float, until: float) -> None:
    with pytest.raises(Invalid):
        Buckets.over(since, until)
