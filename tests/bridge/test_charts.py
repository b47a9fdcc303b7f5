"""Charts: where values lie, and what is said beside them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import charts


def one(start: int, low: float, high: float, *, in_window: bool = False):
    interval = {"estimate": (low + high) / 2, "low": low, "high": high}
    band = {"band_low": low - 0.01, "band_high": high + 0.01}
    return {"start": start, "end": start + 3, "interval": interval, "people": 40, "in_window": in_window, **band}


def draw(*bins) -> str:
    return str(charts.event_study(bins, scale=lambda value: value, unit="h", about='Hours & "more"'))


@pytest.mark.parametrize(
    ("start", "end", "words"), [(-8, -5, "-8 to -5"), (-1, -1, "-1"), (0, 3, "1 to 4"), (4, 7, "5 to 8"), (0, 0, "1")]
)
def test_weeks_since_training_are_counted_from_one(start, end, words) -> None:
    assert charts.span({"start": start, "end": end}) == words


def test_the_line_of_no_change_lies_where_a_figure_of_zero_lies() -> None:
    drawn = draw(one(-4, -1, 1), one(0, 2, 4))
    zero = re.search(r'y1="([\d.]+)" y2="[\d.]+" class="zero"', drawn)
    square = re.search(r'y="([\d.]+)" width="9" height="9" class="before"', drawn)
    assert zero
    assert square
    assert float(square[1]) + 4.5 == pytest.approx(float(zero[1]), abs=0.11)


def test_what_is_above_in_figures_is_above_in_the_picture() -> None:
    heights = [float(y) for y in re.findall(r'cy="([\d.]+)"', draw(one(0, 1, 2), one(4, 3, 4), one(8, -2, -1)))]
    assert heights[1] < heights[0] < heights[2]


def test_weeks_that_do_not_count_are_hatched_and_the_training_is_marked() -> None:
    drawn = draw(one(-8, -1, 1), one(-4, -1, 1, in_window=True), one(0, 2, 4))
    assert drawn.count('class="window"') == 1
    assert drawn.count('class="start"') == 1
    assert drawn.count("n = 40") == 3


def test_without_figures_there_is_no_chart_and_texts_are_escaped() -> None:
    empty = one(0, 1, 2) | {"interval": {"estimate": None, "low": None, "high": None}}
    assert draw(empty) == ""
    assert 'aria-label="Hours &amp; &#34;more&#34;"' in draw(one(0, 1, 2))


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_few_round_and_within(low, size) -> None:
    found = charts.ticks(low, low + size)
    assert 2 <= len(found) <= 8
    slack = 1e-9 * max(abs(low), size, 1)
    assert all(low - slack <= tick <= low + size + slack for tick in found)


def draw_trend(*points, waves=()):
    found = {"points": [dict(zip(("period", "observed", "predicted", "people"), one, strict=True)) for one in points]}
    found["waves"] = [{"period": period, "people": people} for period, people in waves]
    return str(charts.trend(found, scale=lambda value: value, unit="h", about="Hours", name=lambda one: f"week {one}"))


def test_a_trend_has_two_lines_with_a_gap_where_periods_are_hidden_and_its_waves() -> None:
    drawn = draw_trend((3, 1, 2, 9), (4, 2, 2, 9), (5, None, None, None), (6, 4, 2, 9), waves=((4, 12), (6, None)))
    assert drawn.count("<circle") == drawn.count("<rect") == 3
    assert (drawn.count('class="observed"'), drawn.count('class="predicted"')) == (2, 2)
    heights = [float(y) for y in re.findall(r'cy="([\d.]+)"', drawn)]
    assert heights == sorted(heights, reverse=True)
    assert ("12 trained" in drawn, "few trained" in drawn, "week 3" in drawn) == (True, True, True)


def test_a_trend_without_figures_is_no_chart_and_one_that_never_varies_is_one() -> None:
    assert draw_trend((1, None, None, None)) == ""
    assert draw_trend((1, 5, 5, 9), (2, 5, 5, 9)).count("<circle") == 2
