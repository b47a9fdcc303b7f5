"""What stands in the way: who is counted where, what is hidden, and how far people come."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from factories import COURSE, DAY, LESSON, QUIZ, START, fact, learner, program
from sqlalchemy.orm import Session

from bridge import obstacles, records
from bridge.mapping import Behaviour, FactKind
from bridge.mapping.kinds import Evidence, Touchpoint

NOW = START + 40 * DAY


def of(session: Session, **changes: Any) -> obstacles.Hindrances:
    asked = program(**changes)
    records.refresh_all(session, [asked], {})
    return obstacles.hindrances(session, asked, now=NOW)


def team(session: Session, name: str, size: int) -> list[str]:
    for number in range(size):
        learner(session, f"{name}{number}", team=name)
    return [f"account:{name}{number}" for number in range(size)]


def hinder(session: Session, *people: str, word: str | None = "tool", at=START, **more: Any) -> None:
    for one in people:
        detail = {"text": "No time, says Ann"} | ({"category": word} if word else {})
        fact(session, one, **{"kind": "obstacle", "activity": COURSE, "occurred_at": at, "detail": detail} | more)


def people(found: obstacles.Hindrances, part: str, name: str) -> dict[str | None, Any]:
    table = found.table(part)
    return {team: next(one for one in counts if one.name == name) for team, counts in table.items()}


@pytest.mark.parametrize(
    ("word", "category"),
    [
        ("process", "process"),
        ("Processes", "process"),
        (" TOOLS ", "tool"),
        ("workload", "workload"),
        ("authority", "authority"),
        ("confidence", "confidence"),
        ("manager", "manager"),
        ("weather", "other"),
        ("", "other"),
        (None, "other"),
    ],
)
def test_a_word_is_one_of_six_categories_or_other(word: str | None, category: str) -> None:
    assert obstacles.category(word) == category


def test_people_count_once_in_a_category_and_the_newest_is_told(session: Session) -> None:
    north = team(session, "North", 6)
    hinder(session, *north)
    hinder(session, *north[:2], word="Tools", at=START + DAY)
    hinder(session, *north, word=None)
    hinder(session, north[0], at=NOW + DAY)
    hinder(session, north[0], activity="http://elsewhere.example.com", word="manager")

    found = of(session)

    counted = people(found, "obstacles", "tool")
    assert {name: (one.people, one.newest) for name, one in counted.items()} == {
        "": (6, START + DAY),
        "North": (6, START + DAY),
    }
    assert people(found, "obstacles", "other")[""].people == 6
    assert people(found, "obstacles", "manager")[""].people == 0


def test_few_people_are_hidden_and_with_them_what_would_tell_them(session: Session) -> None:
    for name, size in (("North", 6), ("South", 3), ("West", 7)):
        hinder(session, *team(session, name, size))
    hinder(session, "account:West0", word="manager")

    found = of(session)

    counted = {name: (one.people, one.hidden) for name, one in people(found, "obstacles", "tool").items()}
    assert counted == {"": (16, False), "North": (None, True), "South": (None, True), "West": (7, False)}
    alone = people(found, "obstacles", "manager")
    assert (alone[""].people, alone[""].hidden, alone["West"].newest) == (None, True, None)
    assert alone["North"].people == 0, "nobody is no secret"


def test_words_and_names_are_never_told(session: Session) -> None:
    hinder(session, *team(session, "North", 6))

    found = of(session)

    assert "Ann" not in str(found.told()) + found.as_csv()
    assert "North0" not in str(found.told()) + found.as_csv()


def train(session: Session, *people: str, days: int = 0) -> None:
    for one in people:
        fact(session, one, kind="enrolled", activity=COURSE, occurred_at=START - DAY)
        fact(session, one, kind="completed", activity=LESSON, occurred_at=START + days * DAY)


def use(session: Session, one: str, days: float, kind: str = "applied") -> None:
    at = START + timedelta(days=days)
    fact(session, one, kind=kind, activity=QUIZ, course=COURSE, occurred_at=at)


def steps(found: obstacles.Hindrances, team: str = "") -> dict[str, tuple[int | None, int | None]]:
    return {one.name: (one.people, one.of) for one in found.table("funnel")[team]}


def test_the_funnel_goes_from_being_sent_to_the_last_touchpoint(session: Session) -> None:
    north = team(session, "North", 8)
    train(session, *north[:6])
    for one in north[6:]:
        fact(session, one, kind="enrolled", activity=COURSE, occurred_at=START)
    for one, days, kind in (
        (0, 1, "practised"),  # no use yet
        (1, -1, "applied"),  # before the training
        (2, 7, "applied"),  # just within 14 - 7
        (3, 6.9, "applied"),  # just before
        (4, 20.9, "practised"),
        (5, 21, "observed"),  # a touchpoint too late, and too early for the next
        (4, 36.9, "applied"),
        (6, 14, "practised"),  # never completed
    ):
        use(session, north[one], days, kind)

    found = of(session)

    assert steps(found) == {
        "assigned": (8, 8),
        "completed": (6, 8),
        "applied": (4, 6),
        "day_14": (2, 6),
        "day_30": (1, 6),
        "day_90": (0, 0),
    }
    assert steps(found, "North") == steps(found)
    assert found.table("funnel")[""][3].share == pytest.approx(1 / 3)
    assert found.table("funnel")[""][5].share is None


def test_those_whose_days_are_not_over_do_not_count(session: Session) -> None:
    north = team(session, "North", 12)
    train(session, *north[:6])
    train(session, *north[6:], days=20)  # day 14 + 7 is day 41

    assert steps(of(session, reinforcement=(Touchpoint(14),)))["day_14"] == (0, 6)
    assert steps(of(session, reinforcement=(Touchpoint(13),)))["day_13"] == (0, 12)


def test_use_shows_in_a_behaviour_s_metric_too(session: Session) -> None:
    north = team(session, "North", 6)
    train(session, *north)
    fact(session, north[0], metric="won", value=1.0, occurred_at=START + DAY)

    found = of(session, behaviours=(Behaviour("asks", "asks", Evidence(metric="won")),))

    assert steps(found)["applied"] == (1, 6)


def test_use_in_the_activities_of_a_behaviour_counts(session: Session) -> None:
    train(session, *(north := team(session, "North", 6)))
    list_of = "http://moodle.example.com/checklist"
    fact(session, north[0], kind="observed", activity=list_of, occurred_at=START + 14 * DAY)
    seen = Behaviour("asks", "asks", Evidence(fact=FactKind.OBSERVED, activities=(list_of,)))

    found = of(session, behaviours=(seen,))

    assert (steps(found)["applied"], steps(found)["day_14"]) == ((1, 6), (1, 6))


def test_steps_of_few_people_are_hidden_and_with_them_what_would_tell_them(session: Session) -> None:
    for name, size in (("North", 6), ("South", 3), ("West", 9)):
        train(session, *team(session, name, size))

    found = of(session)

    assert set(steps(found, "South").values()) == set(steps(found, "North").values()) == {(None, None)}
    assert steps(found, "West")["completed"] == (9, 9)
    assert steps(found)["completed"] == (18, 18)


def test_files_hold_every_count(session: Session) -> None:
    train(session, *(north := team(session, "North", 6)))
    hinder(session, *north)

    found = of(session)

    rows = list(csv.DictReader(io.StringIO(found.as_csv())))
    assert len(rows) == len(found.told()["counts"]) == 2 * (7 + 6)
    assert {row["newest"] for row in rows if row["name"] == "tool"} == {"2026-10-01T09:00:00Z"}


def test_a_program_of_nobody_has_tables_of_nobody(session: Session) -> None:
    found = of(session)

    assert {count.people for count in found.counts} == {0}
