"""What a Moodle says of completions and grades; its answers are shaped as a real 4.3 gave them."""

from datetime import UTC, datetime
from typing import Any

import moodle_site
import pytest
import responses
from helpdesk import FakeClock
from moodle_site import URL, MoodleSite

from connectors import Completion, Completions, DestinationRefused, Person
from connectors.moodle_completions import PEOPLE_AT_ONCE

COURSE = f"{URL}/course/view.php?id=2"
PAGE, QUIZ = f"{URL}/mod/page/view.php?id=1", f"{URL}/mod/quiz/view.php?id=3"
AT = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
SECONDS = int(AT.timestamp())


class School:
    """A course with a page and a quiz: its people, what they completed, their grades."""

    def __init__(self) -> None:
        self.people: dict[int, dict[str, Any]] = {}
        self.teachers: set[int] = set()
        self.states: dict[tuple[int, int], int] = {}
        self.grades: dict[int, tuple[float, float, float]] = {}
        """Raw, lowest, highest of the quiz, by person."""
        self.finished: set[int] = set()
        self.has_criteria = True
        self.may_see_grades = True
        self.asked: list[str] = []

    def enrol(self, user: int, *, teaches: bool = False) -> None:
        self.people[user] = {"id": user, "fullname": f"P{user}", "email": f"p{user}@example.com"}
        if teaches:
            self.teachers.add(user)

    def functions(self) -> dict[str, Any]:
        return {
            "core_enrol_get_enrolled_users": self.enrolled,
            "core_completion_get_activities_completion_status": self.activities,
            "gradereport_user_get_grade_items": self.graded,
            "core_completion_get_course_completion_status": self.course,
        }

    def enrolled(self, **form: str) -> list[dict[str, Any]]:
        options = {form[f"options[{n}][name]"]: form[f"options[{n}][value]"] for n in range(4)}
        first, many = int(options["limitfrom"]), int(options["limitnumber"])
        return [self.people[user] for user in sorted(self.people)[first : first + many]]

    def activities(self, userid: str, **_: str) -> dict[str, Any]:
        user = int(userid)
        kinds = {1: "page", 3: "quiz"}
        return {
            "statuses": [
                {
                    "cmid": cmid,
                    "modname": kind,
                    "state": self.states.get((user, cmid), 0),
                    "timecompleted": SECONDS if (user, cmid) in self.states else 0,
                    "istrackeduser": user not in self.teachers,
                }
                for cmid, kind in kinds.items()
            ],
            "warnings": [],
        }

    def graded(self, userid: str, **_: str) -> dict[str, Any]:
        if not self.may_see_grades:
            return {"exception": "required_capability_exception", "errorcode": "nopermissions", "message": "No"}
        raw, low, high = self.grades.get(int(userid), (None, 0, 100))
        at = SECONDS if raw is not None else None
        quiz = {"itemtype": "mod", "itemmodule": "quiz", "cmid": 3, "graderaw": raw, "grademin": low, "grademax": high}
        whole = {"itemtype": "course", "itemmodule": None, "graderaw": raw, "grademin": 0, "grademax": 200}
        items = [quiz | {"gradedatesubmitted": None, "gradedategraded": at}, whole]
        return {"usergrades": [{"userid": int(userid), "gradeitems": items}], "warnings": []}

    def course(self, userid: str, **_: str) -> dict[str, Any]:
        self.asked.append(userid)
        if not self.has_criteria:
            return {"exception": "moodle_exception", "errorcode": "nocriteriaset", "message": "No criteria set"}
        if int(userid) in self.teachers:
            return {"exception": "moodle_exception", "errorcode": "usernotenroled", "message": "User is not enrolled"}
        done = int(userid) in self.finished
        times = [{"timecompleted": SECONDS if done else None}, {"timecompleted": None}]
        return {"completionstatus": {"completed": done, "completions": times}, "warnings": []}


@pytest.fixture
def school():
    return School()


@pytest.fixture
def there(school):
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.add_callback(responses.POST, moodle_site.ADDRESS, callback=MoodleSite(functions=school.functions()).answer)
        yield moodle_site.destination(FakeClock())


def told(there: Completions) -> dict[tuple[str, str], Completion]:
    return {(one.person.id, one.activity): one for page in there.completions(COURSE) for one in page}


def test_a_moodle_can_be_asked_about_its_own_courses(there):
    assert isinstance(there, Completions)
    assert there.owns(COURSE)
    assert not there.owns("https://other.example.com/course/view.php?id=2")
    assert not there.owns(PAGE)


def test_each_activity_is_told_with_its_time_and_its_grade_as_a_share(there, school):
    school.enrol(7)
    school.states[7, 1] = 1
    school.grades[7] = (7.0, 2.0, 12.0)

    found = told(there)

    person = Person("7", None, "p7@example.com")
    assert found["7", PAGE] == Completion(person, PAGE, AT)
    assert found["7", QUIZ] == Completion(person, QUIZ, None, 0.5, AT)
    assert found["7", COURSE] == Completion(person, COURSE, None)


@pytest.mark.parametrize(("state", "is_complete"), [(0, False), (1, True), (2, True), (3, False)])
def test_a_failing_grade_completes_nothing_as_the_statements_say(there, school, state, is_complete):
    school.enrol(7)
    school.states[7, 3] = state

    assert (told(there)["7", QUIZ].completed_at is not None) is is_complete


def test_a_course_is_completed_with_the_last_of_its_criteria(there, school):
    school.enrol(7)
    school.finished.add(7)

    assert told(there)["7", COURSE].completed_at == AT


def test_a_course_without_criteria_is_asked_about_once(there, school):
    for user in (7, 8):
        school.enrol(user)
    school.has_criteria = False

    assert {activity for _, activity in told(there)} == {PAGE, QUIZ}
    assert school.asked == ["7"]


def test_teachers_are_not_tracked(there, school):
    school.enrol(3, teaches=True)

    [(place, quiz)] = told(there).items()
    assert place == ("3", QUIZ)
    assert (quiz.is_tracked, quiz.completed_at, quiz.score) == (False, None, None)


def test_all_people_come_some_at_a_time(there, school):
    for user in range(100, 100 + 2 * PEOPLE_AT_ONCE + 1):
        school.enrol(user)

    pages = [len({one.person.id for one in page}) for page in there.completions(COURSE)]

    assert pages == [PEOPLE_AT_ONCE, PEOPLE_AT_ONCE, 1]


def test_a_missing_right_is_told(there, school):
    school.enrol(7)
    school.may_see_grades = False

    with pytest.raises(DestinationRefused, match="capability"):
        list(there.completions(COURSE))
