"""What a Canvas says of completions and grades; its answers are shaped as its documentation has them."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import responses
from canvas_site import URL, CanvasSite
from helpdesk import FakeClock
from requests import PreparedRequest

from connectors import Completion, Completions, DestinationUnavailable, Person

SHARD = "1072"
COURSE = f"urn:instructure:canvas:course:{SHARD}0000000000565"
QUIZ = f"urn:instructure:canvas:assignment:{SHARD}0000000000077"
AT = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
ADA = Person(f"{SHARD}0000000000007", "ada", "ada@example.com")


class Course:
    """Who is in the course 565, how far they came, and what was graded."""

    def __init__(self) -> None:
        self.students = {7: {"id": 7, "name": "Ada", "login_id": "ada", "email": "ada@example.com"}}
        self.completed: dict[int, str] = {}
        self.graded: list[dict[str, Any]] = []
        self.by_modules = True
        self.down = False

    def answer(self, request: PreparedRequest) -> tuple[int, dict[str, str], str]:
        asked = parse_qs(urlsplit(str(request.url)).query)
        status, body = self._body(urlsplit(str(request.url)).path.removeprefix("/api/v1/courses/565/"), asked)
        links = {}
        if isinstance(body, list):  # two a page
            place = int(asked.get("page", ["0"])[0])
            if place + 2 < len(body):
                links = {"Link": f'<{str(request.url).partition("&page=")[0]}&page={place + 2}>; rel="next"'}
            body = body[place : place + 2]
        return status, {"Content-Type": "application/json", **links}, json.dumps(body)

    def _body(self, path: str, asked: dict[str, list[str]]) -> tuple[int, Any]:
        match path:
            case "users":
                return 200, list(self.students.values())
            case "bulk_user_progress" if not self.by_modules:
                return 400, {"error": {"message": "No progress available because this course is not module based"}}
            case "bulk_user_progress":
                told = [{"id": one, "progress": {"completed_at": self.completed.get(one)}} for one in self.students]
                return 200, told
            case "students/submissions" if not self.down:
                assert asked["student_ids[]"] == ["all"]
                return 200, self.graded
        return 503, {}

    def grade(self, user: int, score: float | None, points: float | None = 20.0) -> None:
        assignment = {"id": 77, "points_possible": points}
        at = "2026-06-01T09:00:00Z" if score is not None else None
        self.graded.append(
            {"user_id": user, "assignment_id": 77, "score": score, "graded_at": at, "assignment": assignment}
        )


@pytest.fixture
def course() -> Course:
    return Course()


@pytest.fixture
def there(course: Course) -> Iterator[Completions]:
    made = CanvasSite(FakeClock()).destination()
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.add_callback(responses.GET, re.compile(re.escape(URL) + "/api/.*"), callback=course.answer)
        yield made


def told(there: Completions) -> list[Completion]:
    return [one for page in there.completions(COURSE) for one in page]


def test_a_canvas_is_asked_about_the_courses_of_its_document(there):
    assert isinstance(there, Completions)
    assert there.owns(COURSE)
    assert not there.owns(f"urn:instructure:canvas:course:{SHARD}0000000000566")
    assert not there.owns("https://moodle.example.com/course/view.php?id=565")


def test_a_course_is_completed_when_its_modules_are(there, course):
    course.completed[7] = "2026-06-01T09:00:00Z"

    assert told(there) == [Completion(ADA, COURSE, AT)]


def test_a_grade_is_a_share_of_the_points_and_named_as_live_events_name_it(there, course):
    course.grade(7, 15.0)

    assert told(there)[1:] == [Completion(ADA, QUIZ, None, 0.75, AT, is_tracked=False)]


@pytest.mark.parametrize(("score", "points"), [(None, 20.0), (3.0, None), (3.0, 0.0)])
def test_what_is_not_graded_or_gives_no_points_says_nothing(there, course, score, points):
    course.grade(7, score, points)

    assert told(there)[1:] == []


def test_somebody_who_is_no_student_is_left_out(there, course):
    course.grade(99, 15.0)

    assert told(there)[1:] == []


def test_a_course_without_modules_has_grades_alone(there, course):
    course.by_modules = False
    course.grade(7, 20.0)

    assert [(one.activity, one.score) for one in told(there)] == [(QUIZ, 1.0)]


def test_all_pages_are_read(there, course):
    for number in range(8, 13):
        course.students[number] = {"id": number, "login_id": f"p{number}"}
        course.completed[number] = "2026-06-01T09:00:00Z"

    assert len({one.person.id for one in told(there) if one.completed_at}) == 5


def test_a_canvas_that_is_down_is_told(there, course):
    course.down = True

    with pytest.raises(DestinationUnavailable):
        told(there)
