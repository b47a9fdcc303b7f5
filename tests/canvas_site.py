"""A Canvas of our own: gradebook columns as its controllers keep them, with its pages, jobs, throttling and refusals.

Rests on instructure/canvas-lms: app/controllers/custom_gradebook_column{s,_data}_api_controller.rb and their specs,
app/models/custom_gradebook_column_datum.rb, app/middleware/request_throttle.rb, doc/api/{pagination,object_ids}.md.
"""

import base64
import json
import re
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import responses
from helpdesk import FakeClock
from requests import PreparedRequest

from connectors import Reach, Secrets, load_destination
from connectors.destinations.canvas import GradebookColumns

URL = "https://acme.instructure.com"
TOKEN = "7~canary-canvas-5521"
SHARD = "3147"
Reply = tuple[int, dict[str, str], str]

_MOST_PER_PAGE = 100
_COURSE = r"/api/v1/courses/(?P<course>[^/]+)"
_COLUMNS = rf"{_COURSE}/custom_gradebook_columns"


@dataclass
class Gradebook:
    """A course."""

    students: dict[int, dict[str, Any]] = field(default_factory=dict)
    columns: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Deleted ones too, as in Canvas's table."""
    data: dict[tuple[int, int], str] = field(default_factory=dict)
    refused: int | None = None
    """What everything in it is answered with: 401 or 403 without the permission, 404 when it is gone."""

    def column(self, title: str) -> int:
        """Give the number of a column that is there, by its title."""
        (number,) = [n for n, one in self.columns.items() if one["title"] == title and not one["deleted"]]
        return number

    def cells(self, title: str) -> dict[int, str]:
        """Give what stands in a column, by student."""
        number = self.column(title)
        return {user: text for (column, user), text in self.data.items() if column == number}

    def shown(self) -> list[str]:
        """Give the titles of the columns that teachers see."""
        return [one["title"] for one in self.columns.values() if not one["hidden"] and not one["deleted"]]


@dataclass
class Job:
    """A background job and its Progress."""

    number: int
    course: Gradebook
    data: list[dict[str, Any]]
    looks: int
    """So often it is found queued or running before it is done."""
    fails_after: int | None
    state: str = "queued"


class CanvasSite:
    """The site; `before` is called with each request before it is answered: the world goes on meanwhile."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.courses: dict[int, Gradebook] = {}
        self.jobs: list[Job] = []
        self.looks = 1
        self.failing: deque[int | None] = deque()
        """Of the next jobs: after how many cells they fail; None: they do not."""
        self.poison: set[int] = set()
        """Students whose cells make a job fail."""
        self.faults: deque[Reply | None] = deque()
        self.before: Callable[[PreparedRequest], None] = lambda _request: None
        self.requests: list[PreparedRequest] = []
        self.token = TOKEN
        self.cost = 0.5
        """Of each request; the bucket is full at 600 and loses 10 a second."""
        self._bucket, self._touched = 0.0, clock.now()
        self.throttled = 0
        self._numbers = iter(range(100, 10**9))

    def course(self, number: int, students: int = 0) -> Gradebook:
        """Make a course with students 1 to so many, known by everything."""
        made = self.courses.setdefault(number, Gradebook())
        for one in range(1, students + 1):
            self.enrol(made, one)
        return made

    def enrol(self, course: Gradebook, number: int, **values: Any) -> None:
        """Put a student into a course."""
        known = {"sis_user_id": f"E{number}", "login_id": f"s{number}", "email": f"S{number}@Example.com"}
        course.students[number] = {"id": number, "name": f"Student {number}", **known, **values}

    def delete_column(self, course: Gradebook, title: str) -> None:
        """Delete a column, as a teacher may by the interface."""
        course.columns[course.column(title)]["deleted"] = True

    @property
    def asked(self) -> list[str]:
        """What was asked for: method and path."""
        return [f"{one.method} {urlsplit(str(one.url)).path}" for one in self.requests]

    # --- answering -----------------------------------------------------------------------------------------------

    def answer(self, request: PreparedRequest) -> Reply:
        """Answer a request, or give the next fault."""
        self.requests.append(request)
        self.before(request)
        if self.faults and (fault := self.faults.popleft()):
            return fault
        now = self.clock.now()
        self._bucket = max(0.0, self._bucket - 10 * (now - self._touched).total_seconds())
        self._touched = now
        if self._bucket + 50 >= 600:  # charged up front, and credited back
            self.throttled += 1
            headers = {"Content-Type": "text/plain; charset=utf-8", "X-Rate-Limit-Remaining": "0.0"}
            return 403, headers, "403 Forbidden (Rate Limit Exceeded)\n"
        self._bucket = min(800.0, self._bucket + self.cost)
        status, headers, body = self._routed(request)
        headers |= {"X-Request-Cost": str(self.cost), "X-Rate-Limit-Remaining": str(600 - self._bucket)}
        as_text = "application/json+canvas-string-ids" in request.headers.get("Accept", "")
        return status, headers, json.dumps(_ids_as_text(body) if as_text else body)

    def _routed(self, request: PreparedRequest) -> tuple[int, dict[str, str], Any]:
        headers = {"Content-Type": "application/json; charset=utf-8"}
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            wrong = {"errors": [{"message": "Invalid access token."}]}
            return 401, headers | {"WWW-Authenticate": 'Bearer realm="canvas-lms"'}, wrong
        parts = urlsplit(str(request.url))
        if parts.path == "/api/v1/users/self":
            return 200, headers, {"id": 1, "name": "Bridge"}
        if found := re.fullmatch(r"/api/v1/progress/(\d+)", parts.path):
            return 200, headers, self._progress(self.jobs[int(found[1])])
        for method, pattern, handle in self._routes():
            found = re.fullmatch(pattern, parts.path)
            if found and request.method == method:
                course = self._found(found["course"])
                if course is None:
                    return 404, headers, {"errors": [{"message": "The specified resource does not exist."}]}
                if course.refused is not None:
                    what = {"status": "unauthorized", "errors": [{"message": "user not authorized"}]}
                    return course.refused, headers, what
                status, body = handle(course, found.groupdict(), request)
                if isinstance(body, list) and request.method == "GET":
                    body, link = _page(body, request)
                    headers["link"] = link
                return status, headers, body
        return 404, headers, {"errors": [{"message": "The specified resource does not exist."}]}

    def _routes(self) -> list[tuple[str, str, Callable[..., tuple[int, Any]]]]:
        return [
            ("GET", _COURSE, lambda course, *_: (200, {"id": self._number(course)})),
            ("GET", rf"{_COURSE}/users", self._users),
            ("GET", _COLUMNS, self._list),
            ("POST", _COLUMNS, self._create),
            ("PUT", rf"{_COLUMNS}/(?P<id>\d+)", self._update),
            ("DELETE", rf"{_COLUMNS}/(?P<id>\d+)", self._delete),
            ("GET", rf"{_COLUMNS}/(?P<id>\d+)/data", self._data),
            ("PUT", rf"{_COURSE}/custom_gradebook_column_data", self._bulk),
        ]

    def _found(self, name: str) -> Gradebook | None:
        if name.isdecimal():
            if len(name) > 13:
                return self.courses.get(int(name[-13:])) if name[:-13] == SHARD else None
            return self.courses.get(int(name))
        return self.courses.get(int(name.removeprefix("sis_course_id:C-"))) if "sis_course_id:C-" in name else None

    def _number(self, course: Gradebook) -> int:
        return next(number for number, one in self.courses.items() if one is course)

    def _users(self, course: Gradebook, _names: Any, request: PreparedRequest) -> tuple[int, Any]:
        asked = parse_qs(urlsplit(str(request.url)).query)
        assert asked["enrollment_type[]"] == ["student"]
        assert {"active", "completed", "inactive"} <= set(asked["enrollment_state[]"])
        assert "per_page" in asked
        with_email = "email" in asked.get("include[]", [])
        listed = [dict(one) for one in course.students.values()]
        return 200, listed if with_email else [{k: v for k, v in one.items() if k != "email"} for one in listed]

    def _there(self, course: Gradebook, request: PreparedRequest) -> dict[int, dict[str, Any]]:
        hidden_too = "include_hidden=true" in str(request.url)
        return {
            number: one
            for number, one in course.columns.items()
            if not one["deleted"] and (hidden_too or not one["hidden"])
        }

    def _list(self, course: Gradebook, _names: Any, request: PreparedRequest) -> tuple[int, Any]:
        return 200, [_column(number, one) for number, one in self._there(course, request).items()]

    def _create(self, course: Gradebook, _names: Any, request: PreparedRequest) -> tuple[int, Any]:
        given = json.loads(request.body or "{}")["column"]
        if not given.get("title") or len(given["title"]) > 255:
            return 400, {"title": [{"message": "is too long"}]}
        number = next(self._numbers)
        course.columns[number] = {"hidden": False, "read_only": False, "deleted": False, **given}
        return 200, _column(number, course.columns[number])

    def _update(self, course: Gradebook, names: Any, request: PreparedRequest) -> tuple[int, Any]:
        column = course.columns.get(int(names["id"]))
        if column is None or column["deleted"]:
            return 404, {}
        given = json.loads(request.body or "{}")["column"]
        assert len(given.get("title", "")) <= 255
        column |= given
        return 200, _column(int(names["id"]), column)

    def _delete(self, course: Gradebook, names: Any, _request: PreparedRequest) -> tuple[int, Any]:
        column = course.columns.get(int(names["id"]))
        if column is None or column["deleted"]:
            return 404, {}
        column["deleted"] = True
        return 200, _column(int(names["id"]), column)

    def _data(self, course: Gradebook, names: Any, request: PreparedRequest) -> tuple[int, Any]:
        number = int(names["id"])
        if number not in self._there(course, request):
            return 404, {}
        held = ((user, text) for (column, user), text in course.data.items() if column == number)
        return 200, [{"user_id": user, "content": text} for user, text in held if user in course.students]

    def _bulk(self, course: Gradebook, _names: Any, request: PreparedRequest) -> tuple[int, Any]:
        data = json.loads(request.body or "{}").get("column_data") or []
        if not data:
            return 400, {"errors": [{"message": "column_data is missing"}]}
        if any(int(one["user_id"]) not in course.students for one in data):
            return 401, {"status": "unauthorized", "errors": [{"message": "user not authorized"}]}
        job = Job(len(self.jobs), course, data, self.looks, self.failing.popleft() if self.failing else None)
        self.jobs.append(job)
        return 200, self._progress(job)

    def _progress(self, job: Job) -> dict[str, Any]:
        if job.state in {"queued", "running"}:
            job.looks -= 1
            job.state = "running" if job.looks >= 0 else self._run(job)
        url = f"{URL}/api/v1/progress/{job.number}"
        return {"id": job.number, "workflow_state": job.state, "completion": 0, "url": url, "message": None}

    def _run(self, job: Job) -> str:
        for place, one in enumerate(job.data):
            if job.fails_after is not None and place >= job.fails_after:
                return "failed"
            column, user = int(one["column_id"]), int(one["user_id"])
            if user in self.poison or len(one["content"]) > 255:
                return "failed"
            if column not in job.course.columns or job.course.columns[column]["deleted"]:
                continue  # without a word
            if one["content"].strip():
                job.course.data[column, user] = one["content"]
            else:
                job.course.data.pop((column, user), None)
        return "completed"

    # --- reaching it ---------------------------------------------------------------------------------------------

    @contextmanager
    def online(self) -> Iterator["CanvasSite"]:
        """Let it be reached."""
        with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
            for method in ("GET", "POST", "PUT", "DELETE"):
                mock.add_callback(method, re.compile(re.escape(URL) + "/api/.*"), callback=self.answer)
            yield self

    def destination(self, **keys: Any) -> GradebookColumns:
        """Give the destination of the smallest document, with the given keys added."""
        document: dict[str, Any] = {
            "kind": "destination",
            "name": "canvas",
            "type": "canvas",
            "url": URL,
            "auth": {"type": "bearer", "token": {"secret": "canvas-token"}},
            "courses": [{"course": "565", "program": "sales"}],
        }
        reach = Reach(Secrets({"LRS_BRIDGE_SOURCE_CANVAS_TOKEN": TOKEN}, Path("/nowhere")), self.clock)
        made = load_destination(document | keys, base=Path("/base"), reach=reach)
        assert isinstance(made, GradebookColumns)
        return made


def _column(number: int, one: dict[str, Any]) -> dict[str, Any]:
    return {"id": number, "teacher_notes": False, **{key: value for key, value in one.items() if key != "deleted"}}


def _page(listed: list[Any], request: PreparedRequest) -> tuple[list[Any], str]:
    """Cut a page; what leads to the next says nothing that could be made up, and says it without a rel=last."""
    asked = parse_qs(urlsplit(str(request.url)).query)
    size = min(int(asked.get("per_page", ["10"])[0]), _MOST_PER_PAGE)
    begin = int(base64.b64decode(asked["page"][0].removeprefix("bookmark:"))) if "page" in asked else 0
    base = str(request.url).partition("&page=")[0]
    links = [f'<{base}>; rel="current"']
    if begin + size < len(listed):
        mark = base64.b64encode(str(begin + size).encode()).decode()
        links.append(f'<{base}&page=bookmark:{mark}>; rel="next"')
    return listed[begin : begin + size], ",".join(links)


def _ids_as_text(body: Any) -> Any:
    """Write ids as Canvas does when it is asked to (doc/api/object_ids.md)."""
    if isinstance(body, list):
        return [_ids_as_text(one) for one in body]
    if isinstance(body, dict):
        named = {key: str(one) for key, one in body.items() if key in {"id", "user_id"} and isinstance(one, int)}
        return {key: _ids_as_text(one) for key, one in body.items()} | named
    return body
