"""The functions that expressions can call."""

from datetime import UTC, datetime

import pytest

from bridge.mapping.functions import (
    activity_of_type,
    days,
    duration_seconds,
    fraction,
    hours,
    ifi,
    moment,
    parent,
    text,
)


@pytest.mark.parametrize(
    ("score", "value"),
    [
        # scaled is not looked at where raw and max say it: Moodle's plugin makes it -1 to 1
        ({"raw": 47.5, "min": 0, "max": 100, "scaled": -0.05}, 0.475),
        ({"raw": 0, "min": 0, "max": 100, "scaled": -1}, 0.0),
        ({"raw": 3, "min": 1, "max": 5}, 0.5),
        ({"raw": -2, "min": -4, "max": 4}, 0.25),
        ({"raw": 8, "max": 10}, 0.8),  # a missing min is 0
        ({"raw": 105, "min": 0, "max": 100}, 1.0),  # extra credit
        ({"raw": -1, "min": 0, "max": 100}, None),  # Moodle's word for a grade taken back
        ({"raw": 5, "min": 5, "max": 5}, None),
        ({"raw": 5, "min": 9, "max": 5}, None),
        ({"raw": 55}, None),
        ({"raw": 55, "scaled": 0.55}, 0.55),
        ({"scaled": 0.7}, 0.7),
        ({"scaled": 0}, 0.0),
        ({"scaled": -0.06}, None),  # 47 % as Moodle says it, or a true negative score: not known
        ({"scaled": 1.5}, 1.0),
        ({"raw": "8", "max": 10}, None),
        ({"raw": True, "max": 10}, None),
        ({"raw": float("nan"), "max": 10, "scaled": 0.5}, 0.5),
        ({}, None),
        (None, None),
    ],
)
def test_a_fraction_is_what_raw_min_and_max_say(score, value):
    assert fraction(score) == (None if value is None else pytest.approx(value))


def test_a_parent_is_the_nearest_whose_id_contains_the_text():
    parents = [
        "https://lms/mod/lesson/view.php?id=1",
        "https://lms/course/section.php?id=2",
        "https://lms/course/view.php?id=3",
    ]

    values = {"parents": parents}

    assert parent(values, "/course/") == "https://lms/course/section.php?id=2"
    assert parent(values, "/course/view.php") == "https://lms/course/view.php?id=3"
    assert parent(values, "/quiz/") is None
    assert parent(values, None) is None
    assert parent({"parents": []}, "") is None
    with pytest.raises(TypeError, match=r"a number is no text, and parent\(\) needs one"):
        parent(values, 7)


def activity(name, kind):
    return {"id": name, "definition": {"type": kind}}


def test_an_activity_of_a_type_is_the_object_or_else_the_nearest_in_the_context():
    roles = {
        "other": [activity("other", "course"), activity("last", "tool")],
        "category": [activity("category", "site")],
        "grouping": [activity("near", "course"), activity("far", "course")],
        "parent": activity("quiz-1", "quiz"),  # alone, as xAPI 1.0.0 allows
    }
    values = {"object": activity("attempt", "attempt"), "context": {"contextActivities": roles}}

    found = {kind: activity_of_type(values, kind) for kind in ("attempt", "quiz", "course", "site", "tool", "none")}
    assert found == {
        "attempt": "attempt", "quiz": "quiz-1", "course": "near", "site": "category", "tool": "last", "none": None
    }  # fmt: skip
    assert activity_of_type(values, None) is None


@pytest.mark.parametrize(
    "context",
    [{}, {"contextActivities": None}, {"contextActivities": {"parent": [None, 7, {}, {"id": 7}, {"definition": 7}]}}],
)
def test_a_context_of_another_shape_holds_no_activity(context):
    assert activity_of_type({"object": {"id": "a", "definition": "course"}, "context": context}, "course") is None


@pytest.mark.parametrize(
    ("agent", "alias"),
    [
        ({"mbox": "mailto:Ada@Example.com"}, "mbox:mailto:ada@example.com"),
        ({"account": {"homePage": "https://lms", "name": "7"}}, "account:https://lms|7"),
        ({"objectType": "Group", "member": []}, None),
        (None, None),
    ],
)
def test_an_ifi_is_the_alias_of_an_agent(agent, alias):
    assert ifi(agent) == alias


def test_an_ifi_of_something_else_fails():
    with pytest.raises(TypeError, match=r"a text is no xAPI agent; ifi\(actor\) is what is mostly meant"):
        ifi("mailto:ada@example.com")


@pytest.mark.parametrize(
    ("later", "earlier", "value"),
    [
        ("2026-10-05T10:30:00Z", "2026-10-05T08:00:00Z", 2.5),
        ("2026-10-05T08:00:00Z", "2026-10-05T10:00:00Z", -2.0),
        ("2026-10-05T10:00:00+02:00", "2026-10-05T08:00:00Z", 0.0),
        ("2026-10-06", datetime(2026, 10, 5, tzinfo=UTC), 24.0),
        ("2026-10-05T08:00:00.500Z", "2026-10-05T08:00:00Z", 0.5 / 3600),
        (None, "2026-10-05T08:00:00Z", None),
        ("2026-10-05T08:00:00Z", None, None),
    ],
)
def test_hours_and_days_are_the_difference(later, earlier, value):
    assert hours(later, earlier) == (None if value is None else pytest.approx(value))
    assert days(later, earlier) == (None if value is None else pytest.approx(value / 24))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-10-05T08:00:00Z", datetime(2026, 10, 5, 8, tzinfo=UTC)),
        ("2026-10-05T08:00:00.123456789Z", datetime(2026, 10, 5, 8, 0, 0, 123456, tzinfo=UTC)),
        ("2026-10-05T08:00:00", datetime(2026, 10, 5, 8, tzinfo=UTC)),
        ("2026-10-05T10:00:00+0200", datetime(2026, 10, 5, 8, tzinfo=UTC)),
        ("2026-10-05", datetime(2026, 10, 5, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_as_utc(written, read):
    assert moment(written) == read
    assert moment(written).tzinfo is UTC


@pytest.mark.parametrize("written", ["", "yesterday", "5/10/2026 08:00", "2026-13-01", "0001-01-01T00:00:00+05:00"])
def test_what_is_no_time_is_shown(written):
    with pytest.raises(ValueError, match=f"'{written[:5]}.*is no time"):
        moment(written)


@pytest.mark.parametrize(
    ("language_map", "value"),
    [
        ({"de": "Hallo", "en": "Hello"}, "Hello"),
        ({"de": "Hallo", "en-GB": "Hello"}, "Hello"),
        ({"fr": "Salut", "de": "Hallo"}, "Hallo"),
        ({"und": "?"}, "?"),
        ({}, None),
        ("plain", "plain"),
        (None, None),
    ],
)
def test_the_text_of_a_language_map_is_english_or_the_first(language_map, value):
    assert text(language_map) == value


@pytest.mark.parametrize(
    ("language", "value"),
    [("de", "Hallo"), ("DE", "Hallo"), ("de-CH", "Grüezi"), ("fr", "Hello"), ("", "Hello"), (None, "Hello")],
)
def test_a_language_is_looked_for_before_english(language, value):
    language_map = {"de-CH": "Grüezi", "de": "Hallo", "en-US": "Hello", "es": "Hola"}

    assert text(language_map, language) == value


@pytest.mark.parametrize(("language_map", "says"), [(7, "a number is no language map"), ({"en": 7}, "a number stands")])
def test_the_text_of_something_else_fails(language_map, says):
    with pytest.raises(TypeError, match=says):
        text(language_map)


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [
        ("PT1H30M", 5_400),
        ("PT0.5S", 0.5),
        ("P1DT1S", 86_401),
        ("P2W", 1_209_600),
        ("PT0S", 0),
        ("P0Y0M0DT1M5S", 65),
        (None, None),
    ],
)
def test_a_duration_is_its_seconds(duration, seconds):
    assert duration_seconds(duration) == seconds


@pytest.mark.parametrize("duration", ["P1Y", "P1M", "PT", "P", "1h", "", "PT1.2.3S", "-PT1S"])
def test_a_duration_without_a_fixed_length_fails(duration):
    with pytest.raises(ValueError):  # noqa: PT011 - the words differ for a number that is none
        duration_seconds(duration)
