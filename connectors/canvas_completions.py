"""Who completed what and with which grade, as Canvas says: module progress of courses, and graded submissions.

Two lists a course and one of its students (https://canvas.instructure.com/doc/api/courses.html, submissions.html; read
2026-11-21). The token needs `view_all_grades` in the course. Things are named as the statements of Live Events name
them, `urn:instructure:canvas:assignment:` and a global id: the shard's number and, in 13 digits, the local id.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any

from connectors.caliper.deeds import LOCAL_DIGITS
from connectors.canvas import Canvas
from connectors.errors import DestinationRefused
from connectors.lms import Completion, Person

COURSE, ASSIGNMENT = "urn:instructure:canvas:course:", "urn:instructure:canvas:assignment:"
AT_ONCE = 200
"""Completions that are compared, and what differs stored, in one transaction."""
_NOT_BY_MODULES = 400
"""Answered where the course has no modules with requirements, so that nobody completes it."""


def local_id(course: str) -> str | None:
    """Give the number of a course within its Canvas, by its IRI; None if it is no course of a Canvas."""
    number = course.removeprefix(COURSE)
    return str(int(number[-LOCAL_DIGITS:])) if number != course and number.isdecimal() else None


def completions(canvas: Canvas, course: str) -> Iterator[list[Completion]]:
    """Give the completions and grades of a course, some at a time. Raises DestinationError."""
    number, shard = local_id(course), course.removeprefix(COURSE)[:-LOCAL_DIGITS]
    people = {str(one["id"]): _person(one, shard) for one in _students(canvas, number)}
    told = _all(canvas, course, number, shard, people)
    while page := list(islice(told, AT_ONCE)):
        yield page


def _students(canvas: Canvas, course: str | None) -> Iterable[Mapping[str, Any]]:
    asked = {"enrollment_type[]": "student", "enrollment_state[]": ["active", "completed", "inactive"]}
    return canvas.pages(f"courses/{course}/users", **asked, **{"include[]": "email"})


def _person(user: Mapping[str, Any], shard: str) -> Person:
    return Person(_global(user["id"], shard), user.get("login_id"), user.get("email"))


def _all(
    canvas: Canvas, course: str, number: str | None, shard: str, people: Mapping[str, Person]
) -> Iterator[Completion]:
    yield from _progress(canvas, course, number, people)
    asked = {"student_ids[]": "all", "workflow_state": "graded", "include[]": "assignment"}
    for one in canvas.pages(f"courses/{number}/students/submissions", **asked):
        person, points = people.get(str(one["user_id"])), (one.get("assignment") or {}).get("points_possible")
        if person and points and one.get("score") is not None and one.get("graded_at"):
            score = min(max(float(one["score"]) / float(points), 0.0), 1.0)
            activity = ASSIGNMENT + _global(one["assignment_id"], shard)
            yield Completion(person, activity, None, score, datetime.fromisoformat(one["graded_at"]), is_tracked=False)


def _progress(canvas: Canvas, course: str, number: str | None, people: Mapping[str, Person]) -> Iterator[Completion]:
    try:
        for one in canvas.pages(f"courses/{number}/bulk_user_progress"):
            person, at = people.get(str(one["id"])), (one.get("progress") or {}).get("completed_at")
            if person:
                yield Completion(person, course, datetime.fromisoformat(at) if at else None)
    except DestinationRefused as err:
        if err.status != _NOT_BY_MODULES:
            raise


def _global(number: object, shard: str) -> str:
    text = str(number)
    return text if len(text) > LOCAL_DIGITS or not shard else f"{shard}{text.zfill(LOCAL_DIGITS)}"
