"""Whether people were sent in the order that was drawn."""

from collections.abc import Mapping
from datetime import date, timedelta

import pytest

from bridge import waves
from bridge.panel import PersonWeek

START = date(2026, 1, 5)


def kept(drawn: dict[str, int], sent: Mapping[str, int | None], *, last: int = 40) -> waves.Kept:
    """Compare a draw with the weeks in which people were sent; None: never, though they were there to the last week."""
    rows = [
        PersonWeek(learner, START + timedelta(weeks=number), None, None, _week(week), None, {})
        for learner, week in sent.items()
        for number in (0, last)
    ]
    return waves.kept({"people": {one: {"wave": wave} for one, wave in drawn.items()}}, "then", rows)


def _week(number: int | None) -> date | None:
    return None if number is None else START + timedelta(weeks=number)


DRAWN = {f"{wave}{one}": wave for wave in (1, 2, 3) for one in range(10)}
AS_DRAWN: dict[str, int | None] = {one: 4 * wave + int(one[1]) % 2 for one, wave in DRAWN.items()}


def test_people_sent_wave_by_wave_followed_the_order() -> None:
    found = kept(DRAWN, AS_DRAWN)
    assert (found.share, found.people, found.is_random) == (1, 30, True)
    assert "100% of 30 people" in found.text


@pytest.mark.parametrize(
    ("changed", "followed", "people"),
    [
        pytest.param({"30": 4}, 29, 30, id="one of the last wave was sent with the first"),
        pytest.param({"10": 13}, 29, 30, id="one of the first wave was sent after the last"),
        pytest.param({"10": None}, 29, 30, id="one of the first wave was never sent"),
        pytest.param({"30": None}, 29, 29, id="one of the last wave may still be sent"),
        pytest.param({"x": 5}, 30, 31, id="one was sent who was not drawn"),
        pytest.param({"x": None}, 30, 30, id="one was neither drawn nor sent"),
    ],
)
def test_who_was_sent_out_of_order_is_counted(changed: dict[str, int | None], followed: int, people: int) -> None:
    found = kept(DRAWN, AS_DRAWN | changed)
    assert (found.share, found.people) == (followed / people, people)


def test_two_people_in_thirty_out_of_order_are_too_many() -> None:
    assert kept(DRAWN, AS_DRAWN | {"30": 4}).is_random
    found = kept(DRAWN, AS_DRAWN | {"30": 4, "31": 4})
    assert not found.is_random
    assert "does not count as random" in found.text


def test_everybody_sent_at_once_was_sent_in_no_order() -> None:
    assert not kept(DRAWN, dict.fromkeys(DRAWN, 4)).is_random


def test_a_wave_sent_before_the_one_ahead_of_it_is_out_of_order() -> None:
    assert not kept(DRAWN, {one: week if one[0] != "1" else None for one, week in AS_DRAWN.items()}).is_random


def test_the_first_to_be_sent_is_out_of_order_when_of_a_later_wave() -> None:
    found = kept(DRAWN, dict.fromkeys(DRAWN) | {"20": 3})
    assert (found.share, found.people) == (0, 1)


def test_whoever_left_before_their_turn_counts_for_nothing() -> None:
    sent = AS_DRAWN | {"10": None}
    rows = [
        PersonWeek(one, START + timedelta(weeks=2 if week is None else 40), None, None, _week(week), None, {})
        for one, week in sent.items()
    ]
    found = waves.kept({"people": {one: {"wave": wave} for one, wave in DRAWN.items()}}, "then", rows)
    assert (found.share, found.people) == (1, 29)


def test_nothing_is_said_before_anybody_is_sent() -> None:
    found = kept(DRAWN, dict.fromkeys(DRAWN))
    assert (found.share, found.is_random) == (None, False)
    assert "nobody's turn has come" in found.text


def test_waves_begin_by_the_calendar() -> None:
    assert [waves.due(START, 4, wave) for wave in (1, 2, 3)] == [START, date(2026, 2, 2), date(2026, 3, 2)]
    assert waves.due(None, 4, 2) is None
