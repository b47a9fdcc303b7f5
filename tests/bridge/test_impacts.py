"""How effects are told: which weeks, and what a picture shows, in words."""

import pytest

from bridge import impacts


@pytest.mark.parametrize(
    ("start", "end", "words"), [(-8, -5, "-8 to -5"), (-1, -1, "-1"), (0, 3, "1 to 4"), (4, 7, "5 to 8"), (0, 0, "1")]
)
def test_weeks_since_training_are_counted_from_one(start: int, end: int, words: str) -> None:
    assert impacts.span({"start": start, "end": end}) == words


def test_a_picture_is_told_by_where_its_intervals_lie() -> None:
    bins = [
        {"end": end, "interval": {"low": low, "high": high}}
        for end, low, high in ((-5, -1, 1), (-1, 0.5, 1), (3, 1, 2), (7, -3, -1), (11, None, None))
    ]

    assert impacts.seen(bins) == (
        "Of 2 spans before, 1 lie above no change with all of the interval, 0 below. "
        "Of 2 spans since, 1 lie above no change with all of the interval, 1 below."
    )
    assert impacts.seen(bins[-1:]) == ""
