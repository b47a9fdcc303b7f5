"""Readiness: what is evidence and what it weighs, when somebody is unknown, and whose cells are hidden."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from factories import COURSE, DAY, LESSON, QUIZ, START, fact, learner, program
from scipy.stats import beta
from sqlalchemy import text
from sqlalchemy.orm import Session

from bridge import readiness
from bridge.mapping import Behaviour, FactKind
from bridge.mapping.kinds import Direction, Evaluation, Evidence, Family, Metric, Skill

SCENARIO = "http://moodle.example.com/mod/scenario/view.php?id=9"
SKILL = Skill("listening", "Listening", moments=("an angry customer",), activities=(SCENARIO, QUIZ), required=0.7)
METRICS = {
    "won": Metric("won", "Won", "", Family.BINARY, Direction.UP, "crm"),
    "reopened": Metric("reopened", "Reopened", "", Family.BINARY, Direction.DOWN, "helpdesk"),
    "hours": Metric("hours", "Hours", "h", Family.DURATION, Direction.DOWN, "helpdesk"),
}
NOW = START + 10 * DAY
STAFF = {"role": ("agent",)}


def of(*behaviours: Evidence, **changes: Any):
    named = tuple(Behaviour(f"b{number}", "does it", one) for number, one in enumerate(behaviours))
    return program(**{"skills": (SKILL,), "behaviours": named, "population": STAFF} | changes)


def found(session: Session, asked=None, now=NOW):
    return readiness.people(session, asked or of(), METRICS, now=now)


def standing(session: Session, asked=None, now=NOW) -> readiness.Standing | None:
    """Give what is known of the only learner."""
    [standings] = found(session, asked, now).standings.values() or [{}]
    return next(iter(standings.values()), None)


def agent(session: Session, key: str = "E1", team: str = "North", **attributes: str):
    return learner(session, key, **{"team": team, "role": "agent"} | attributes)


def practise(session: Session, key: str = "E1", *, times: int = 1, value: float | None = 1.0, at=NOW, **more: Any):
    for _ in range(times):
        values = {"kind": "practised", "activity": SCENARIO, "value": value, "occurred_at": at} | more
        fact(session, f"account:{key}", **values)


# --- what is evidence ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "values", "source"),
    [
        ("practised", {"value": 0.5}, "practised"),
        ("practised", {"success": True}, "practised"),
        ("assessed", {"value": 0.5, "activity": QUIZ}, "tested"),
        ("observed", {"value": 0.5}, "observed"),
        ("observed", {}, "observed"),
        ("applied", {}, "told"),
        ("applied", {"detail": {"by": "account:E1"}}, "told"),  # their own witness
        ("applied", {"detail": {"by": "account:boss"}}, "observed"),
    ],
)
def test_an_item_weighs_what_its_source_does(session: Session, kind: str, values: dict[str, Any], source: str) -> None:
    agent(session)
    practise(session, **{"kind": kind, "value": None} | values)

    one = standing(session)

    assert one is not None
    assert dict(one.sources) == {source: pytest.approx(readiness.SOURCES[source].weight)}


def test_the_posterior_is_the_prior_and_the_weighed_items(session: Session) -> None:
    agent(session)
    practise(session, value=0.9)
    practise(session, kind="assessed", activity=QUIZ, value=0.5, at=NOW - DAY)

    one = standing(session)

    assert one is not None
    first, second = 0.6, 0.2 * 2 ** (-1 / (28 * 7))
    assert one.n == pytest.approx(first + second)
    assert (one.a, one.b) == pytest.approx((2 + first * 0.9 + second * 0.5, 2 + first * 0.1 + second * 0.5))
    assert one.mean == pytest.approx(one.a / (one.a + one.b))
    assert one.variance == pytest.approx(beta.var(one.a, one.b))
    assert one.band() == pytest.approx(beta.interval(0.8, one.a, one.b), abs=1e-9)


def test_after_a_half_life_evidence_counts_half(session: Session) -> None:
    agent(session)
    practise(session, at=NOW - timedelta(weeks=28))

    one = standing(session)

    assert one is not None
    assert one.n == pytest.approx(0.3)
    assert one.newest == NOW - timedelta(weeks=28)


def test_a_program_may_weigh_evidence_otherwise(session: Session) -> None:
    agent(session)
    practise(session, at=NOW - timedelta(weeks=4))
    asked = of(readiness=Evaluation(half_life_weeks=4, practised=1.0))

    one = standing(session, asked)
    told = readiness.matrix(session, asked, METRICS, now=NOW).told()

    assert one is not None
    assert one.n == pytest.approx(0.5)
    assert (told["half_life_weeks"], told["weights"]["practised"], told["weights"]["told"]) == (4, 1.0, 0.1)


def test_a_test_is_remembered_three_days_after_the_last_practice(session: Session) -> None:
    agent(session)
    for days in (9, 5, 3, 0):  # 4, 2 and 3 days apart
        practise(session, kind="assessed", activity=QUIZ, at=NOW - days * DAY)

    one = standing(session)

    assert one is not None
    ages = {"remembered": (5, 0), "tested": (9, 3)}
    assert dict(one.sources) == {
        name: pytest.approx(readiness.SOURCES[name].weight * sum(2 ** (-days / 196) for days in old))
        for name, old in ages.items()
    }


@pytest.mark.parametrize(("metric", "value", "good"), [("won", 1.0, 1), ("reopened", 1.0, 0), ("reopened", 0.0, 1)])
def test_outcomes_of_real_moments_count_whole_and_by_what_is_better(
    session: Session, metric: str, value: float, good: float
) -> None:
    agent(session)
    fact(session, "account:E1", metric=metric, value=value, weight=0.5, occurred_at=NOW)

    one = standing(session, of(Evidence(metric=metric)))

    assert one is not None
    assert dict(one.sources) == {"real": 0.5}
    assert one.a == pytest.approx(2 + 0.5 * good)
    assert found(session).standings == {}, "a metric that no behaviour names is no evidence"


def test_a_metric_that_is_not_of_yes_and_no_says_nothing_of_readiness(session: Session) -> None:
    agent(session)
    fact(session, "account:E1", metric="hours", value=0.5, occurred_at=NOW)

    assert found(session, of(Evidence(metric="hours"))).standings == {}


def test_facts_of_a_behaviour_count_once_however_they_are_found(session: Session) -> None:
    agent(session)
    practise(session, kind="observed", course=COURSE, value=1.0)
    practise(session, kind="observed", activity=LESSON, course=COURSE, value=1.0)
    practise(session, kind="applied", activity=LESSON, course=COURSE, value=None, detail={"what": "something else"})

    seen = Evidence(fact=FactKind.OBSERVED)
    one = standing(session, of(seen, seen, Evidence(fact=FactKind.APPLIED, what=("asked back",))))

    assert one is not None
    assert dict(one.sources) == {"observed": pytest.approx(1.6)}


@pytest.mark.parametrize("values", [{"activity": LESSON}, {"at": NOW + DAY}, {"value": None}])
def test_what_is_elsewhere_or_to_come_or_without_a_result_is_no_evidence(
    session: Session, values: dict[str, Any]
) -> None:
    agent(session)
    practise(session, **values)

    assert found(session).standings == {}


def test_levels_on_another_scale_are_left_out_with_all_of_their_rule_and_counted(session: Session) -> None:
    agent(session)
    practise(session, kind="observed", value=1.0)  # of 5: the worst
    practise(session, kind="observed", value=5.0)

    result = found(session)

    assert (result.standings, result.left_out) == ({}, 2)


UNCOUNTED = [
    {"kind": "completed", "activity": LESSON, "value": 1.0, "success": True},
    {"kind": "completed", "activity": SCENARIO, "value": 0.0},
    {"kind": "completed", "activity": QUIZ, "occurred_at": START - 5 * DAY},
    {"kind": "uncompleted", "activity": LESSON},
    {"kind": "enrolled", "activity": COURSE},
    {"kind": "enrolled", "activity": SCENARIO, "success": True},
    {"kind": "unenrolled", "activity": COURSE},
    {"kind": "started", "activity": SCENARIO},
    {"kind": "progressed", "activity": SCENARIO, "value": 1.0},
    {"kind": "surveyed", "activity": SCENARIO, "value": 5.0, "detail": {"question": "Did you like it?"}},
    {"kind": "committed", "activity": SCENARIO, "detail": {"what": "ask"}},
    {"kind": "recognised", "activity": SCENARIO, "detail": {"what": "asked"}},
]


@pytest.mark.parametrize("population", [STAFF, {}])
def test_completion_and_satisfaction_never_enter(session: Session, population: dict[str, Any]) -> None:
    """Whatever facts of them are added, changed or taken away: no figure moves."""
    asked = of(Evidence(fact=FactKind.OBSERVED), Evidence(metric="won"), population=population)
    for number in range(12):
        agent(session, f"E{number}", team="North" if number < 6 else "South")
        practise(session, f"E{number}", times=number + 3, value=number / 12, at=NOW - number * DAY)
        practise(session, f"E{number}", kind="assessed", activity=QUIZ, at=NOW)
        fact(session, f"account:E{number}", metric="won", value=number % 2, occurred_at=NOW)
    agent(session, "idle")

    def told() -> dict[str, Any]:
        return readiness.matrix(session, asked, METRICS, now=NOW).told()

    before = told()
    for key in ("E1", "E7", "idle"):
        for values in UNCOUNTED:
            fact(session, f"account:{key}", **{"course": COURSE} | values)
    added = told()
    kinds = "select id from rule where fact not in ('practised', 'assessed', 'observed', 'applied')"
    session.execute(text(f"update fact set value = 0.123, success = false where rule_id in ({kinds})"))  # noqa: S608
    changed = told()

    assert before == added == changed
    assert [cell["hidden"] for cell in before["cells"]] == [False] * len(before["cells"])
    assert before["cells"][0]["ready"] is not None


# --- who is known, and what is shown ---------------------------------------------------------------------------------


def test_below_an_effective_n_of_3_somebody_is_unknown(session: Session) -> None:
    agent(session)
    practise(session, times=4)
    assert not standing(session).known  # 2.4
    practise(session)
    assert standing(session).known  # 3.0


def test_the_prior_is_the_mean_of_the_role_where_it_is_one_of_five_people(session: Session) -> None:
    for number in range(5):
        agent(session, f"E{number}")
        practise(session, f"E{number}", value=0.8)
    for number in range(4):
        agent(session, f"S{number}", role="seller")
        practise(session, f"S{number}", value=0.2)

    standings = found(session, of(population={})).standings["listening"].values()

    agents = [one for one in standings if one.a > 3]
    assert [one.a for one in agents] == pytest.approx([4 * 0.8 + 0.6 * 0.8] * 5)
    overall = (5 * 0.8 + 4 * 0.2) / 9
    assert [one.a for one in standings if one.a < 3] == pytest.approx([4 * overall + 0.6 * 0.2] * 4)


def team(session: Session, name: str, size: int, *, known: int, value: float = 1.0) -> None:
    for number in range(size):
        agent(session, f"{name}{number}", team=name)
        if number < known:
            practise(session, f"{name}{number}", times=10, value=value)


def cells(session: Session, asked=None) -> dict[str | None, readiness.Cell]:
    matrix = readiness.matrix(session, asked or of(), METRICS, now=NOW)
    return {"all" if cell.everyone else cell.team: cell for cell in matrix.cells}


def test_a_cell_says_who_is_ready_what_is_missing_and_how_old_the_evidence_is(session: Session) -> None:
    team(session, "North", 8, known=6)
    team(session, "South", 7, known=5, value=0.0)

    found = cells(session)

    north, south = found["North"], found["South"]
    assert (north.people, north.known, north.unknown, north.ready, north.not_ready) == (8, 6, 2, 6, 0)
    assert (south.people, south.known, south.unknown, south.ready, south.not_ready) == (7, 5, 2, 0, 5)
    assert north.evidenced is not None
    assert north.low is not None
    assert north.high is not None
    assert north.low < north.evidenced < north.high
    assert north.gap == pytest.approx(0.7 - north.evidenced)
    assert (north.age_days, north.effective_n) == (0, pytest.approx(6))
    assert north.sources == {"practised": 1}
    assert (found["all"].people, found["all"].known, found["all"].ready) == (15, 11, 6)


def test_a_cell_of_few_is_hidden_and_with_it_what_would_tell_it(session: Session) -> None:
    team(session, "North", 8, known=6)
    team(session, "South", 9, known=7)
    team(session, "East", 9, known=3)
    team(session, "West", 6, known=0)

    found = cells(session)

    assert {name: cell.hidden for name, cell in found.items()} == {
        "North": True,
        "South": False,
        "East": True,
        "West": False,
        "all": False,
    }
    for name in ("North", "East"):
        cell = found[name]
        assert (cell.known, cell.ready, cell.evidenced, cell.gap, cell.age_days, cell.sources) == (None,) * 5 + ({},)
    assert (found["West"].known, found["West"].unknown, found["West"].evidenced) == (0, 6, None)


def test_a_small_team_is_hidden_whole_and_a_small_company_too(session: Session) -> None:
    team(session, "North", 4, known=4)

    found = cells(session)

    assert all(cell.hidden and cell.people is None for cell in found.values())


def test_without_a_required_level_nobody_is_ready_or_not(session: Session) -> None:
    team(session, "North", 6, known=6)
    skill = Skill("listening", "Listening", activities=(SCENARIO,))

    cell = cells(session, of(skills=(skill,)))["North"]

    assert (cell.ready, cell.not_ready, cell.gap) == (None, None, None)
    assert cell.evidenced is not None


def test_the_population_is_that_of_today(session: Session) -> None:
    team(session, "North", 5, known=5)
    agent(session, "gone", role="boss")
    practise(session, "gone", times=10)
    learner(session, "nothing")

    assert cells(session)["all"].people == 5
    assert cells(session, of(population={}))["all"].people == 6, "without a population, who has evidence"


@pytest.mark.parametrize("asked", [{"skills": ()}, {}])
def test_a_program_without_skills_or_people_gives_files_all_the_same(session: Session, asked: dict[str, Any]) -> None:
    made = readiness.matrix(session, of(**asked), METRICS, now=NOW)

    assert (
        len(made.told()["cells"]) == len(list(csv.reader(io.StringIO(made.as_csv())))) - 1 == len(made.program.skills)
    )


def test_files_hold_what_the_cells_do_and_nothing_of_hidden_ones(session: Session) -> None:
    team(session, "North", 8, known=6)
    team(session, "South", 8, known=3)
    made = readiness.matrix(session, of(), METRICS, now=NOW)

    rows = list(csv.DictReader(io.StringIO(made.as_csv())))

    assert [(row["scope"], row["team"], row["hidden"]) for row in rows] == [
        ("team", "North", "True"),
        ("team", "South", "True"),
        ("all", "", "False"),
    ]
    assert [rows[1][key] for key in ("known", "unknown", "ready", "evidenced", "share_practised")] == [""] * 5
    assert float(rows[2]["evidenced"]) == made.told()["cells"][2]["evidenced"]
