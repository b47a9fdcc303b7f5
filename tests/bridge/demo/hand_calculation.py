"""The demo report's figures, calculated from the shipped files alone: no bridge, no database, no CEL.

A second opinion: written from the rules in words (bridge/demo/README.md), so that a mistake in the mapping documents or
in the bridge shows as a difference. For a person: `python tests/bridge/demo/hand_calculation.py E1007`.
"""

import argparse
import csv
import gzip
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parents[3] / "bridge" / "demo" / "data"

SITE = "http://moodle.localhost:8099"
COURSES = {f"{SITE}/course/view.php?id={number}" for number in (2, 3, 4)}
QUIZZES = {f"{SITE}/mod/quiz/view.php?id={number}" for number in (12, 13, 38, 39, 64, 65)}
OBJECTION_HANDLING = {f"{SITE}/mod/lesson/view.php?id={number}" for number in (15, 41, 67)}
WINDOW = timedelta(days=90)

COMPLETED = "http://adlnet.gov/expapi/verbs/completed"
UNCOMPLETED = "https://xapi.edlm/profiles/edlm-lms/concepts/verbs/uncompleted"
ENROLMENT = r"\core\event\user_enrolment_created"
MODULE_COMPLETION = r"\core\event\course_module_completion_updated"
ATTEMPT_SUBMITTED = r"\mod_quiz\event\attempt_submitted"
LOG_INFORMATION = "http://lrs.learninglocker.net/define/extensions/info"

# What counts as a learner's last activity: what mappings/moodle.yaml reads, copied by eye, less enrolments, groups and
# what was undone, which others do to a learner. What else there is stands in `is_own_activity`.
OWN_EVENTS = {
    r"\core\event\course_viewed",
    r"\core\event\course_resources_list_viewed",
    r"\core\event\course_completed",
    r"\mod_assign\event\assessable_submitted",
    r"\mod_assign\event\submission_graded",
    r"\mod_book\event\chapter_viewed",
    r"\mod_choice\event\answer_created",
    r"\mod_feedback\event\response_submitted",
    r"\mod_forum\event\discussion_created",
    r"\mod_forum\event\discussion_subscription_created",
    r"\mod_forum\event\discussion_viewed",
    r"\mod_forum\event\post_created",
    r"\mod_forum\event\post_updated",
    r"\mod_glossary\event\comment_created",
    r"\mod_glossary\event\entry_viewed",
    r"\mod_lesson\event\lesson_started",
    r"\mod_lesson\event\question_answered",
    r"\mod_lesson\event\question_viewed",
    r"\mod_lesson\event\lesson_ended",
    r"\mod_quiz\event\attempt_reviewed",
    r"\mod_quiz\event\attempt_started",
    r"\mod_quiz\event\attempt_submitted",
    r"\mod_scorm\event\sco_launched",
    r"\mod_scorm\event\scoreraw_submitted",
    r"\mod_survey\event\response_submitted",
    r"\mod_wiki\event\comment_created",
    r"\mod_wiki\event\comments_viewed",
    r"\mod_wiki\event\page_viewed",
}

METRICS = ("hours_to_resolve", "sla_met", "won", "deal_value")


@dataclass(frozen=True)
class Mean:
    """`value` is None when `count` is 0."""

    value: Fraction | None
    count: int


@dataclass(frozen=True)
class Figures:
    employee_number: str
    name: str
    enrolled_at: datetime | None
    attempts: int
    best_score: float | None
    completed_at: datetime | None
    last_activity_at: datetime | None
    before: dict[str, Mean]
    since: dict[str, Mean]


@dataclass(frozen=True)
class Measure:
    """One ticket's or one opportunity's figure."""

    owner: str
    metric: str
    occurred_at: datetime
    value: Fraction


def calculate(data: Path = DATA) -> dict[str, Figures]:
    """Every learner's figures, by employee number."""
    statements = read_statements(data / "moodle-statements.jsonl.gz")
    tickets = list(measure_incidents(read_rows(data / "incidents.csv.gz")))
    deals = list(measure_opportunities(read_rows(data / "opportunities.csv")))
    figures = (calculate_learner(row, statements, tickets, deals) for row in read_rows(data / "roster.csv"))
    return {learner.employee_number: learner for learner in figures}


def calculate_learner(
    row: dict[str, str], statements: list[dict[str, Any]], tickets: list[Measure], deals: list[Measure]
) -> Figures:
    own = [statement for statement in statements if statement["actor"]["account"]["name"] == row["moodle_user_id"]]
    mine = [measure for measure in tickets if measure.owner == row["resolver"]]
    mine += [measure for measure in deals if measure.owner == row["sales_agent"]]
    attempts = [statement for statement in own if is_attempt(statement)]
    completed_at = first_completion(own)
    return Figures(
        employee_number=row["employee_number"],
        name=row["name"],
        enrolled_at=min((time_of(statement) for statement in own if is_enrolment(statement)), default=None),
        attempts=len({statement["object"]["id"] for statement in attempts}),
        best_score=max(scores(attempts), default=None),
        completed_at=completed_at,
        last_activity_at=max((time_of(statement) for statement in own if is_own_activity(statement)), default=None),
        before=means(mine, completed_at, -WINDOW, timedelta(0)),
        since=means(mine, completed_at, timedelta(0), WINDOW),
    )


def is_enrolment(statement: dict[str, Any]) -> bool:
    return event_of(statement) == ENROLMENT and statement["object"]["id"] in COURSES


def is_attempt(statement: dict[str, Any]) -> bool:
    """The attempt as a whole; the same event also gives one `answered` a question."""
    return (
        event_of(statement) == ATTEMPT_SUBMITTED
        and statement["verb"]["id"] == COMPLETED
        and not QUIZZES.isdisjoint(parents_of(statement))
    )


def is_own_activity(statement: dict[str, Any]) -> bool:
    event, verb = event_of(statement), statement["verb"]["id"]
    counts = (
        event in OWN_EVENTS
        or event.endswith(r"\event\course_module_viewed")
        or (event == MODULE_COMPLETION and verb == COMPLETED)
    )
    return counts and not COURSES.isdisjoint([statement["object"]["id"], *parents_of(statement)])


def scores(attempts: Iterable[dict[str, Any]]) -> Iterator[float]:
    """From 0 to 1. Not `scaled`, which this Moodle plugin makes as -1 to 1.

    An attempt at the minimum is one whose essay waits for its grade: it has no score yet (all 12 such are in quiz 12).
    """
    for statement in attempts:
        score = statement["result"]["score"]
        if score["raw"] > score["min"]:
            yield (score["raw"] - score["min"]) / (score["max"] - score["min"])


def first_completion(own: list[dict[str, Any]]) -> datetime | None:
    """When the first of the three lessons was completed and stayed so.

    A lesson counts from the first `completed` at or after its last `uncompleted`, for Moodle sends both in one second.
    """
    changes = [statement for statement in own if event_of(statement) == MODULE_COMPLETION]
    moments = []
    for lesson in OBJECTION_HANDLING:
        of_lesson = [statement for statement in changes if statement["object"]["id"] == lesson]
        undone = [time_of(statement) for statement in of_lesson if statement["verb"]["id"] == UNCOMPLETED]
        done = [time_of(statement) for statement in of_lesson if statement["verb"]["id"] == COMPLETED]
        moments += [moment for moment in done if not undone or moment >= max(undone)]
    return min(moments, default=None)


def measure_incidents(rows: Iterable[dict[str, str]]) -> Iterator[Measure]:
    """Each incident by its newest row, when that row says that it is closed and when it was resolved."""
    newest: dict[str, dict[str, str]] = {}
    for row in rows:
        if row["number"] not in newest or version(row) > version(newest[row["number"]]):
            newest[row["number"]] = row
    for row in newest.values():
        if row["incident_state"] != "Closed" or "?" in (row["resolved_at"], row["assigned_to"]):
            continue
        resolved_at = incident_time(row["resolved_at"])
        seconds = int((resolved_at - incident_time(row["opened_at"])).total_seconds())
        yield Measure(row["assigned_to"], "hours_to_resolve", resolved_at, Fraction(seconds, 3600))
        yield Measure(row["assigned_to"], "sla_met", resolved_at, Fraction(row["made_sla"] == "true"))


def version(row: dict[str, str]) -> tuple[datetime, int]:
    return incident_time(row["sys_updated_at"]), int(row["sys_mod_count"])


def measure_opportunities(rows: Iterable[dict[str, str]]) -> Iterator[Measure]:
    for row in rows:
        if row["deal_stage"] not in ("Won", "Lost"):
            continue
        closed_at = datetime.fromisoformat(row["close_date"]).replace(tzinfo=UTC)
        won = row["deal_stage"] == "Won"
        yield Measure(row["sales_agent"], "won", closed_at, Fraction(won))
        if won:
            yield Measure(row["sales_agent"], "deal_value", closed_at, Fraction(row["close_value"]))


def means(measures: list[Measure], completed_at: datetime | None, start: timedelta, end: timedelta) -> dict[str, Mean]:
    """Each metric's mean from `completed_at + start` on, up to but without `completed_at + end`."""
    if completed_at is None:
        return {metric: Mean(None, 0) for metric in METRICS}
    inside = [one for one in measures if completed_at + start <= one.occurred_at < completed_at + end]
    return {metric: mean([one.value for one in inside if one.metric == metric]) for metric in METRICS}


def mean(values: list[Fraction]) -> Mean:
    return Mean(sum(values, Fraction(0)) / len(values) if values else None, len(values))


def event_of(statement: dict[str, Any]) -> str:
    return str(statement["context"]["extensions"][LOG_INFORMATION]["event_name"])


def parents_of(statement: dict[str, Any]) -> list[str]:
    return [parent["id"] for parent in statement["context"].get("contextActivities", {}).get("parent", [])]


def time_of(statement: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(statement["timestamp"])


def incident_time(text: str) -> datetime:
    """The file gives no zone; the demo takes UTC."""
    return datetime.strptime(text, "%d/%m/%Y %H:%M").replace(tzinfo=UTC)


def read_statements(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def read_rows(path: Path) -> list[dict[str, str]]:
    opener: Callable[..., Any] = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def lines(learner: Figures) -> Iterator[str]:
    yield f"{learner.employee_number} {learner.name}"
    yield f"  enrolled       {learner.enrolled_at or '-'}"
    yield f"  attempts       {learner.attempts}"
    yield f"  best score     {'-' if learner.best_score is None else format(learner.best_score, '.4f')}"
    yield f"  completed      {learner.completed_at or '-'}"
    yield f"  last activity  {learner.last_activity_at or '-'}"
    for metric in METRICS:
        sides = (("before", learner.before[metric]), ("since", learner.since[metric]))
        yield f"  {metric:<17}" + "   ".join(
            f"{side} {'-' if one.value is None else format(float(one.value), '.4f'):>10} ({one.count:>3})"
            for side, one in sides
        )


def main() -> int:
    parser = argparse.ArgumentParser(description="Calculate the demo report's figures from the shipped files alone.")
    parser.add_argument("employee_number", nargs="*", help="E1001 to E1020; none means all")
    wanted = parser.parse_args().employee_number
    figures = calculate()
    unknown = set(wanted) - set(figures)
    if unknown:
        parser.error(f"not in roster.csv: {', '.join(sorted(unknown))}")
    for number in wanted or figures:
        sys.stdout.write("\n".join(lines(figures[number])) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
