"""Who completed what and with which grade, as Moodle's web services say.

Three calls a person, so a course of a thousand takes some minutes: there is no function that lists a course. The
account of the token must see each activity (`mod/quiz:view` and the like), else Moodle leaves it out without a word,
and hold `moodle/course:viewparticipants`, `report/progress:view` and `gradereport/user:view` with
`moodle/grade:viewall` there (4.3).
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from connectors.errors import DestinationRefused
from connectors.lms import Completion, Person
from connectors.moodle import Calls

PEOPLE_AT_ONCE = 25
"""Whose completions are compared, and what differs stored, in one transaction."""
COMPLETED = frozenset({1, 2})
"""Complete, and complete with a passing grade; 0 is incomplete, 3 complete with a failing grade (completionlib.php).

logstore_xapi sends `completed` for both of these alone.
"""
_NO_CRITERIA = "(nocriteriaset)"


def course_id(site: str, course: str) -> int | None:
    """Give the number of a course by its IRI, as logstore_xapi writes it; None if it is not of this site (wwwroot)."""
    number = parse_qs(urlsplit(course).query).get("id", [""])[0]
    is_course = course.startswith(f"{site}/course/view.php?") and number.isdecimal()
    return int(number) if is_course else None


def completions(site: str, calls: Calls, course: str) -> Iterator[list[Completion]]:
    """Give the completions and grades of a course, some people at a time. Raises DestinationError."""
    number, after, has_criteria = course_id(site, course), 0, True
    while people := _people(calls, number, after):
        after += len(people)
        page: list[Completion] = []
        for person in people:
            found = _activities(calls, site, number, person)
            page += found
            if has_criteria and any(one.is_tracked for one in found):  # teachers are not, and asking for them fails
                whole = _course(calls, course, number, person)
                has_criteria = whole is not None
                page += [whole] if whole else []
        yield page


def _people(calls: Calls, course: int | None, after: int) -> list[Person]:
    wanted = {
        "limitfrom": after,
        "limitnumber": PEOPLE_AT_ONCE,
        "sortby": "id",
        "userfields": "id,username,email",
    }
    options = [{"name": name, "value": value} for name, value in wanted.items()]
    found = calls.call("core_enrol_get_enrolled_users", courseid=course, options=options)
    return [Person(str(one["id"]), one.get("username"), one.get("email")) for one in found]


def _activities(calls: Calls, site: str, course: int | None, person: Person) -> list[Completion]:
    told = calls.call("core_completion_get_activities_completion_status", courseid=course, userid=int(person.id))
    tracked = {one["cmid"]: one for one in told["statuses"] if one.get("istrackeduser", True)}
    graded = _grades(calls, course, person)
    kinds = {cmid: one["modname"] for cmid, one in tracked.items()}
    kinds |= {cmid: one["itemmodule"] for cmid, one in graded.items()}
    return [
        Completion(
            person,
            f"{site}/mod/{kind}/view.php?id={cmid}",
            _time(tracked[cmid]["timecompleted"]) if tracked.get(cmid, {}).get("state") in COMPLETED else None,
            _score(graded.get(cmid)),
            _scored_at(graded.get(cmid)),
            is_tracked=cmid in tracked,
        )
        for cmid, kind in sorted(kinds.items())
    ]


def _grades(calls: Calls, course: int | None, person: Person) -> dict[int, dict[str, Any]]:
    told = calls.call("gradereport_user_get_grade_items", courseid=course, userid=int(person.id))
    items = [item for one in told["usergrades"] for item in one["gradeitems"]]
    return {item["cmid"]: item for item in items if item["itemtype"] == "mod" and item.get("cmid")}


def _course(calls: Calls, course: str, number: int | None, person: Person) -> Completion | None:
    """Give whether the whole course is completed; None where it has no criteria for that."""
    try:
        told = calls.call("core_completion_get_course_completion_status", courseid=number, userid=int(person.id))
    except DestinationRefused as err:
        if _NO_CRITERIA in str(err):
            return None
        raise
    status = told["completionstatus"]
    times = [one["timecompleted"] for one in status["completions"] if one.get("timecompleted")]
    at = _time(max(times)) if status["completed"] and times else None
    return Completion(person, course, at, is_tracked=not status["completed"] or at is not None)


def _score(item: dict[str, Any] | None) -> float | None:
    if item is None or item.get("graderaw") is None or not item["grademax"] > item["grademin"]:
        return None
    share = (item["graderaw"] - item["grademin"]) / (item["grademax"] - item["grademin"])
    return float(min(max(share, 0.0), 1.0))


def _scored_at(item: dict[str, Any] | None) -> datetime | None:
    return _time(item.get("gradedategraded") or item.get("gradedatesubmitted")) if item else None


def _time(seconds: int | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
