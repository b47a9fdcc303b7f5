"""A drawn company as a folder that lrs-bridge reads like anyone's: statements, exports, documents; the truth apart.

    documents/     sources, who is who, how all is read, the program and its report
    data/          exports of an HR system, a CRM and a help desk: people, deals, tickets, answers, activity (.csv)
    statements.jsonl    what the LMS sent
    truth/         panel.csv and truth.json, which nothing reads but who checks the estimate

Equal plans give equal bytes. Names are invented, and addresses lead to example.com (RFC 2606).
"""

import csv
import json
import math
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from bridge.simulation.company import METRICS, TOUCHES, Company

START = date(2025, 1, 6)
"""Monday of week 1."""
NAMESPACE = uuid.UUID("7e1f8a40-5d7e-4a3a-9d0c-2f3f1f0a6b52")
"""Of the ids of statements; any fixed value would do."""
DOCUMENTS = Path(__file__).with_name("documents")

LMS = "https://lms.example.com"
COURSE = f"{LMS}/course/view.php?id=7"
QUIZ = f"{LMS}/mod/quiz/view.php?id=41"
ROLE_PLAY = f"{LMS}/mod/checklist/view.php?id=53"
COACH_WEEKS = 4
"""From one role play that a coach watches to the next; all who were sent have them, trained or not."""
SCENARIO = f"{LMS}/mod/scenario/view.php?id=52"
SURVEY = f"{LMS}/mod/feedback/view.php?id=60"
QUESTION = "How satisfied were you with the course?"
OBSTACLES = (
    ("process", "The old form still has to be filled in first."),
    ("tool", "The ticket system closes the call before I can ask."),
    ("workload", "There is no time between two calls."),
    ("authority", "I may not offer that without asking."),
)
ROLES = ("support", "inside-sales", "field-sales", "renewals")
SITES = ("Lyon", "Porto", "Gdansk")
FIRST = ("Ada", "Ben", "Chloe", "Dario", "Elif", "Finn", "Grace", "Hugo", "Ines", "Jonas", "Kaya", "Leon", "Mira")
LAST = ("Adler", "Bauer", "Costa", "Dubois", "Evans", "Fischer", "Garcia", "Hansen", "Ivanov", "Jansen", "Kowal")

_BEHAVIOURS, _ROLE_PLAYS = 2, 3
"""Streams of random numbers of their own, so that what is said of behaviour does not change what the company draws."""


def write(company: Company, folder: Path) -> None:
    """Write everything into a folder, which must be empty or not there; raises FileExistsError."""
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty: name a new folder, or empty this one.")
    for name in ("data", "truth"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    shutil.copytree(DOCUMENTS, folder / "documents")
    moments = _Moments(company)
    _write_csv(folder / "data" / "people.csv", _people(company))
    _write_csv(folder / "data" / "deals.csv", _deals(company, moments))
    _write_csv(folder / "data" / "tickets.csv", _tickets(company, moments))
    _write_csv(folder / "data" / "answers.csv", _answers(company, moments))
    _write_csv(folder / "data" / "activity.csv", _activity(company))
    with (folder / "statements.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(statement, separators=(",", ":")) + "\n" for statement in statements(company))
    _write_csv(folder / "truth" / "panel.csv", _panel(company, moments))
    (folder / "truth" / "truth.json").write_text(json.dumps(truth(company), indent=2) + "\n", "utf-8")


def truth(company: Company) -> dict[str, Any]:
    """Give the plan, and the true mean effect on each metric by its name here; log_hours in logs."""
    effects = {_NAMES[metric]: company.true_effect(metric) for metric in METRICS}
    return {"plan": asdict(company.plan), "start": START.isoformat(), "att_weeks_1_to_12": effects}


def counts(company: Company) -> dict[str, int]:
    """Give how much of everything there is."""
    return {
        "people": len(company.people.team),
        "sent": int((company.people.assigned > 0).sum()),
        "trained": int((company.people.trained > 0).sum()),
        "deals": len(company.deal_row),
        "tickets": len(company.ticket_row),
        "answers": len(company.answer_row),
        "weeks_at_work": len(company.person),
    }


_NAMES = {"won": "deal_won", "log_minutes": "log_hours", "rating": "satisfaction", "follow_ups": "follow_ups"}


class _Moments:
    """When things happened within their weeks, and how long tickets took as it can be read from two times."""

    def __init__(self, company: Company) -> None:
        random = np.random.default_rng([company.plan.seed, 1])
        self.deals = _within_week(random, len(company.deal_row))
        self.tickets = _within_week(random, len(company.ticket_row))
        self.answers = _within_week(random, len(company.answer_row))
        self.lasted = np.maximum(1, np.rint(np.exp(company.ticket_log_minutes) * 60e6)).astype(np.int64)
        """Microseconds from opening to closing."""


def _within_week(random: np.random.Generator, number: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Give seconds since Monday 0:00: after training, which is on Monday at 8, and before Saturday."""
    day = random.integers(0, 5, number)
    return np.asarray(day * 86_400 + random.integers(9 * 3600, 17 * 3600, number), dtype=np.int64)


def _monday(week: int) -> datetime:
    return datetime(START.year, START.month, START.day, tzinfo=UTC) + timedelta(weeks=week - 1)


def _moment(week: int, seconds: int) -> datetime:
    return _monday(week) + timedelta(seconds=seconds)


def _text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _number(person: int) -> str:
    return f"E{person + 1:04}"


def _email(person: int) -> str:
    return f"{_number(person).lower()}@example.com"


def _name(person: int) -> str:
    return f"{FIRST[person % len(FIRST)]} {LAST[person // len(FIRST) % len(LAST)]}"


def _team(team: int) -> str:
    return f"Team {team + 1:02}"


def _people(company: Company) -> Iterator[dict[str, Any]]:
    people, weeks = company.people, company.plan.weeks
    for person in range(len(people.team)):
        team, first, last = int(people.team[person]), int(people.first_week[person]), int(people.last_week[person])
        yield {
            "employee_number": _number(person),
            "name": _name(person),
            "email": _email(person),
            "role": ROLES[int(people.role[person])],
            "team": _team(team),
            "site": SITES[team % len(SITES)],
            "manager": f"Manager of {_team(team)}",
            "hired": (START - timedelta(days=400)).isoformat() if first == 1 else _monday(first).date().isoformat(),
            "left": "" if last == weeks else (_monday(last).date() + timedelta(days=6)).isoformat(),
            "lms_user": str(1000 + person),
            "crm_user": f"005{person:09}",
        }


def _deals(company: Company, moments: _Moments) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(company.deal_row.tolist()):
        closed = _moment(int(company.week[row]), int(moments.deals[number]))
        yield {
            "deal_id": f"D{number + 1:07}",
            "owner": f"005{int(company.person[row]):09}",
            "closed_at": _text(closed),
            "stage": "Won" if company.deal_won[number] else "Lost",
        }


def _tickets(company: Company, moments: _Moments) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(company.ticket_row.tolist()):
        opened = _moment(int(company.week[row]), int(moments.tickets[number]))
        yield {
            "ticket_id": f"T{number + 1:07}",
            "agent": _email(int(company.person[row])),
            "opened_at": _text(opened),
            "solved_at": _text(opened + timedelta(microseconds=int(moments.lasted[number]))),
        }


def _answers(company: Company, moments: _Moments) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(company.answer_row.tolist()):
        yield {
            "answer_id": f"A{number + 1:07}",
            "agent": _email(int(company.person[row])),
            "answered_at": _text(_moment(int(company.week[row]), int(moments.answers[number]))),
            "score": int(company.answer[number]),
        }


def _activity(company: Company) -> Iterator[dict[str, Any]]:
    """Give a line for each week at work: its number of follow-ups, 0 included."""
    for row in range(len(company.person)):
        person, week = int(company.person[row]), int(company.week[row])
        yield {
            "employee_number": _number(person),
            "week": _monday(week).date().isoformat(),
            "follow_ups": int(company.follow_ups[row]),
        }


def statements(company: Company) -> Iterator[dict[str, Any]]:
    """Give what the LMS, the survey and the people themselves said, in order of time."""
    return iter(sorted(_statements(company), key=lambda statement: (statement["timestamp"], statement["id"])))


def _statements(company: Company) -> Iterator[dict[str, Any]]:
    random = np.random.default_rng([company.plan.seed, _BEHAVIOURS])
    people = company.people
    for person in np.flatnonzero(people.assigned).tolist():
        assigned, trained = int(people.assigned[person]), int(people.trained[person])
        yield _statement(person, "http://adlnet.gov/expapi/verbs/registered", COURSE, _moment(assigned, 7 * 3600))
        if trained:
            yield from _of_training(random, person, trained)
            yield from _of_reinforcement(random, company, person, trained)
            if people.blocked_until[person]:
                yield _hindered(random, person, trained)
    counts = random.poisson(2 * company.carried)
    for row in np.flatnonzero(counts).tolist():
        for _ in range(int(counts[row])):
            at = _moment(int(company.week[row]), int(_within_week(random, 1)[0]))
            verb = "https://w3id.org/xapi/dod-isd/verbs/applied"
            yield _statement(int(company.person[row]), verb, COURSE, at, result={"response": "asked-back"})
    yield from _of_coaching(company)


def _of_coaching(company: Company) -> Iterator[dict[str, Any]]:
    """Give what coaches saw in role plays: a level from 0 to 1, by the person and by what they carry from training."""
    random = np.random.default_rng([company.plan.seed, _ROLE_PLAYS])
    usual = random.normal(0.62, 0.1, len(company.people.team))
    watched = (company.week + company.person) % COACH_WEEKS == 0
    watched &= company.people.assigned[company.person] > 0  # the others have no part in the program
    for row in np.flatnonzero(watched).tolist():
        person, week = int(company.person[row]), int(company.week[row])
        level = float(np.round(np.clip(random.normal(usual[person] + 0.2 * company.carried[row], 0.1), 0, 1), 2))
        coach = {"account": {"homePage": LMS, "name": f"coach-{int(company.people.team[person]) + 1}"}}
        at = _moment(week, int(_within_week(random, 1)[0]))
        verb = "https://w3id.org/xapi/dod-isd/verbs/observed"
        told = _statement(person, verb, ROLE_PLAY, at, result={"score": {"raw": level}})
        yield told | {"context": {"instructor": coach}}


def _of_training(random: np.random.Generator, person: int, week: int) -> Iterator[dict[str, Any]]:
    score = float(np.round(random.beta(8, 2), 2))
    verb = "passed" if score >= 0.6 else "failed"
    scored = {"score": {"scaled": score}, "success": score >= 0.6}
    yield _statement(person, f"http://adlnet.gov/expapi/verbs/{verb}", QUIZ, _moment(week, 29_000), result=scored)
    yield _statement(person, "http://adlnet.gov/expapi/verbs/completed", COURSE, _moment(week, 29_400))
    liked = {"score": {"raw": int(random.integers(3, 6))}}
    at = _moment(week, 29_700)
    yield _statement(person, "http://adlnet.gov/expapi/verbs/responded", SURVEY, at, result=liked, question=QUESTION)


def _of_reinforcement(
    random: np.random.Generator, company: Company, person: int, trained: int
) -> Iterator[dict[str, Any]]:
    for (after, _), took_place in zip(TOUCHES, company.people.touches[person].tolist(), strict=True):
        score = {"score": {"scaled": float(np.round(random.beta(6, 3), 2))}}
        if took_place and trained + after <= company.plan.weeks:
            at = _moment(trained + after, 30_000)
            yield _statement(person, "http://adlnet.gov/expapi/verbs/attempted", SCENARIO, at, result=score)


def _hindered(random: np.random.Generator, person: int, trained: int) -> dict[str, Any]:
    category, words = OBSTACLES[int(random.integers(len(OBSTACLES)))]
    result = {"response": words, "extensions": {"urn:lrs-bridge:extension:category": category}}
    return _statement(person, "urn:lrs-bridge:verb:was-hindered", COURSE, _moment(trained + 1, 60_000), result=result)


def _statement(
    person: int,
    verb: str,
    activity: str,
    at: datetime,
    *,
    result: dict[str, Any] | None = None,
    question: str | None = None,
) -> dict[str, Any]:
    made = uuid.uuid5(NAMESPACE, f"{person} {verb} {activity} {at.isoformat()} {json.dumps(result)}")
    told: dict[str, Any] = {
        "id": str(made),
        "actor": {"account": {"homePage": LMS, "name": str(1000 + person)}},
        "verb": {"id": verb},
        "object": {"id": activity},
        "timestamp": _text(at),
    }
    if question:
        survey = {"id": activity, "definition": {"type": "http://id.tincanapi.com/activitytype/survey"}}
        told["object"] = {"id": f"{activity}&question=1", "definition": {"name": {"en": question}}}
        told["context"] = {"contextActivities": {"parent": [survey]}}
    if result:
        told["result"] = result
    return told


def _panel(company: Company, moments: _Moments) -> Iterator[dict[str, Any]]:
    """Give the person-weeks as they are to be found again: sums and counts of each metric, in the units written above.

    Sums of logs are exactly rounded, for the order of tickets is no part of the truth.
    """
    hours = [timedelta(microseconds=int(lasted)).total_seconds() / 3600 for lasted in moments.lasted]
    logs: list[list[float]] = [[] for _ in range(len(company.person))]
    for row, value in zip(company.ticket_row.tolist(), hours, strict=True):
        logs[row].append(math.log(value))
    won, deals = company.weekly("won")
    answers, answered = company.weekly("rating")
    people = company.people
    for row in range(len(company.person)):
        person = int(company.person[row])
        yield {
            "person": _number(person),
            "week": _monday(int(company.week[row])).date().isoformat(),
            "team": _team(int(people.team[person])),
            "role": ROLES[int(people.role[person])],
            "assigned": _week_text(int(people.assigned[person])),
            "first_treated": _week_text(int(people.trained[person])),
            "deal_won_total": int(won[row]),
            "deal_won_count": int(deals[row]),
            "log_hours_total": repr(math.fsum(logs[row])),
            "log_hours_count": len(logs[row]),
            "satisfaction_total": int(answers[row]),
            "satisfaction_count": int(answered[row]),
            "follow_ups_total": int(company.follow_ups[row]),
            "follow_ups_count": 1,
            **{f"true_{_NAMES[metric]}": repr(float(company.truth[metric][row])) for metric in METRICS},
        }


def _week_text(week: int) -> str:
    return _monday(week).date().isoformat() if week else ""


def _write_csv(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer: csv.DictWriter[str] | None = None
        for row in rows:
            if writer is None:
                writer = csv.DictWriter(file, _columns(row), lineterminator="\n")
                writer.writeheader()
            writer.writerow(row)


def _columns(row: dict[str, Any]) -> Sequence[str]:
    return list(row)
