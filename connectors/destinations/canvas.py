"""A destination that is Canvas: columns of our own in the gradebooks of courses. README.md shows a document.

Rows go in by Canvas's bulk job, course by course, and are looked at afterwards: what it could not do it does not say.
https://developerdocs.instructure.com/services/canvas/resources/custom_gradebook_columns
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from marshmallow import ValidationError, fields, post_load, validate, validates, validates_schema

from connectors import canvas_completions, http
from connectors.canvas import WAYS, Canvas, Site
from connectors.destinations.cells import FIELDS, MOST, Column
from connectors.destinations.gradebook import MOST_COLUMNS, Gradebook, Slot
from connectors.destinations.postings import REFUSALS, Sending, Told
from connectors.destinations.rows import FEEDS, Answer, Held, Outcome, Row
from connectors.documents import (
    DestinationSchema,
    Document,
    StrictSchema,
    Text,
    TextList,
    nearest,
    say,
)
from connectors.documents import validate as check
from connectors.errors import DestinationRefused
from connectors.lms import Completion
from connectors.reach import Reach
from connectors.secrets import Secrets
from connectors.sources.choices import Block, Choice, YesNo

BATCH = 500
"""Rows of one call; with their cells they go into Canvas's jobs by CELLS_A_JOB."""
KEPT = timedelta(minutes=10)
"""So long it is taken for granted who is in a course."""
_DEFAULT = (
    {"title": "On the job: highest level seen", "value": "highest_tier_name"},
    {"title": "On the job: times since", "value": "uses_since"},
    {"title": "On the job: next practice", "value": "next_practice"},
)
"""Columns of a course whose document names none."""
_RANK = (Outcome.REFUSED, Outcome.STORED, Outcome.UNCHANGED, Outcome.DELETED, Outcome.LEFT_OUT)
"""What counts of a row that several courses show."""


class ColumnSchema(StrictSchema):
    """`{title: ..., feed: records, value: highest_tier_name}`; `metric` with measures, `skill` with readiness."""

    title = Text(required=True, validate=validate.Length(max=MOST, error=say("This is too long.", f"Most is {MOST}.")))
    feed = Text(load_default="records")
    value = Text(required=True)
    metric = Text(load_default=None)
    skill = Text(load_default=None)
    hidden = YesNo()

    @validates_schema
    def check_value(self, data: Mapping[str, Any], **_: object) -> None:
        """Refuse what there is not to be shown, and a metric or skill in the wrong place."""
        if data["feed"] not in FIELDS:
            what = f"Rows of {data['feed']!r} are not about one learner each, or there is no such feed."
            raise ValidationError({"feed": [say(what, nearest(data["feed"], FIELDS))]})
        if data["value"] not in FIELDS[data["feed"]]:
            what = f"Rows of {data['feed']} have no {data['value']!r}."
            raise ValidationError({"value": [say(what, nearest(data["value"], FIELDS[data["feed"]]))]})
        for key, feed in (("metric", "measures"), ("skill", "readiness")):
            if data["feed"] == feed and not data[key]:
                raise ValidationError({key: [say(f"Which {key} is not said.", f"Add `{key}: ...`.")]})
            if data["feed"] != feed and data[key]:
                raise ValidationError({key: [say(f"Rows of {data['feed']} have no {key}.", "Take it out.")]})


class CourseSchema(StrictSchema):
    """`{course: "565", program: ..., columns: [...]}`."""

    course = Text(
        required=True,
        validate=validate.Regexp(
            r"([0-9]+|sis_course_id:.+|sis_integration_id:.+)\Z",
            error=say("This is no course.", "Write its number in Canvas, or sis_course_id:..., in quotes."),
        ),
    )
    program = Text(required=True)
    columns = fields.List(Block(ColumnSchema), load_default=None)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> tuple[str, tuple[Slot, ...]]:
        """Give the course and what is shown in it."""
        declared = data["columns"]
        if declared is None:
            declared = [{"feed": "records", "metric": None, "skill": None, "hidden": False, **one} for one in _DEFAULT]
        found: dict[tuple[str, str | None], list[Column]] = {}
        for one in declared:
            detail = one["metric"] or one["skill"]
            found.setdefault((one["feed"], detail), []).append(Column(one["title"], one["value"], one["hidden"]))
        slots = (Slot(feed, data["program"], detail, tuple(made)) for (feed, detail), made in found.items())
        return data["course"], tuple(slots)


class CanvasSchema(DestinationSchema):
    """The keys of a `type: canvas` document."""

    url = Text(required=True)
    site = Text(load_default=None)
    auth = Choice(WAYS, required=True)
    allow_private = TextList(load_default=[])
    courses = fields.List(
        Block(CourseSchema),
        required=True,
        validate=validate.Length(min=1, error=say("No course is named.", "Name one.")),
        error_messages={"required": say("The key 'courses' is missing.", "Add `courses: [...]`.")},
    )
    recreate = YesNo(default=True)

    @validates("url")
    def check_url(self, value: str, **_: object) -> None:
        """Refuse an address that we must not call."""
        if fault := http.url_fault(value):
            raise ValidationError([say(*fault)])
        if "/api" in value:
            raise ValidationError([say("This is the interface's address.", "Write the site's: https://x.example.")])

    @validates_schema
    def check_columns(self, data: Mapping[str, Any], **_: object) -> None:
        """Refuse columns that could not be told apart, and more of one kind of row than the ledger can name."""
        titles: dict[str, set[str]] = {}
        kinds: dict[str, set[str]] = {}
        for place, (course, slots) in enumerate(data["courses"]):
            known, mine = titles.setdefault(course, set()), kinds.setdefault(course, set())
            for slot in slots:
                shown = f"{slot.feed} of {slot.program} in course {course}"
                called = [column.title for column in slot.columns]
                again = next((one for at, one in enumerate(called) if one in known or one in called[:at]), None)
                fault = None
                if slot.mark in mine:
                    fault = say(f"Columns for {shown} stand twice.", "Write them into one list.")
                elif again is not None:
                    fault = say(f"Two columns of course {course} are called {again!r}.", "Call one otherwise.")
                elif len(slot.columns) > MOST_COLUMNS:
                    fault = say(f"There are more than {MOST_COLUMNS} columns for {shown}.", "Take some out.")
                if fault:
                    raise ValidationError({"courses": {place: {"columns": [fault]}}})
                mine.add(slot.mark)
                known |= set(called)


@dataclass(slots=True)
class GradebookColumns:
    """The gradebooks; who is in a course is read once and kept for a while by this object."""

    name: str
    title: str
    site: str
    where: Site
    courses: tuple[tuple[str, tuple[Slot, ...]], ...]
    recreate: bool
    reach: Reach
    batch: int = BATCH
    _books: dict[str, Gradebook] = field(default_factory=dict)
    _read_at: datetime | None = None

    def reaching(self, reach: Reach) -> "GradebookColumns":
        """Give it with what its caller has for it: the token, the clock."""
        return replace(self, reach=reach, _books={}, _read_at=None)

    @property
    def feeds(self) -> Sequence[str]:
        """What its columns show."""
        shown = {slot.feed for _, slots in self.courses for slot in slots}
        return tuple(feed for feed in FEEDS if feed in shown)

    @property
    def programs(self) -> Sequence[str]:
        """Those of its courses."""
        return tuple(dict.fromkeys(slot.program for _, slots in self.courses for slot in slots))

    def send(self, rows: Sequence[Row]) -> Iterable[Answer]:
        """Bring rows into the columns that show them; safe to repeat."""
        told: dict[str, list[tuple[Outcome, str | None]]] = {row.key: [] for row in rows}
        with self._speaking() as canvas:
            for course, slots in self.courses:
                for slot in slots:
                    mine = [row for row in rows if row.feed == slot.feed and slot.learner(row.key)]
                    if mine:
                        sending = Sending(canvas, self._book(canvas, course), slot, self.site)
                        for key, answer in sending.send(mine).items():
                            told[key].append(answer)
            if left := [row.key for row in rows if row.deleted and not told[row.key]]:
                for key, answer in self._swept(canvas, left).items():
                    told[key].append(answer)
        return [_answer(row, told[row.key]) for row in rows]

    def _swept(self, canvas: Canvas, keys: Sequence[str]) -> Told:
        """Take away columns that no part of the document asks for: rows are gone that no column shows any more."""
        for course in dict.fromkeys(course for course, _ in self.courses):
            try:
                self._book(canvas, course).sweep()
            except DestinationRefused as err:
                if err.status not in REFUSALS or not canvas.lets_us_in():
                    raise
                return dict.fromkeys(keys, (Outcome.REFUSED, f"Course {course}: {err}"))
        return dict.fromkeys(keys, (Outcome.DELETED, None))

    def held(self, feed: str) -> Iterator[Held]:
        """Give what the columns hold, by key; where courses do not hold the same of a row, it counts as changed."""
        found: dict[str, Held] = {}
        with self._speaking() as canvas:
            for course, slots in self.courses:
                for slot in slots:
                    if slot.feed != feed:
                        continue
                    book = self._book(canvas, course)
                    with _about(course):
                        book.read()
                        made = book.look(slot)
                        entries = list(book.held(slot, made)) if made else []
                    for learner, version, checksum in entries:
                        one = Held(slot.key(learner), version, checksum)
                        other = found.setdefault(one.key, one)
                        if other != one:
                            found[one.key] = Held(one.key, min(one.version, other.version), "changed")
        yield from (found[key] for key in sorted(found))

    def owns(self, course: str) -> bool:
        """Tell whether the IRI of a course is one of those that the document gives by number."""
        return canvas_completions.local_id(course) in {course for course, _ in self.courses}

    def completions(self, course: str) -> Iterator[list[Completion]]:
        """Give what is completed and graded in a course, some at a time."""
        with Canvas(self.where, self.reach, self.name) as canvas:
            yield from canvas_completions.completions(canvas, course)

    @contextmanager
    def _speaking(self) -> Iterator[Canvas]:
        now = self.reach.clock.now()
        if self._read_at is None or now - self._read_at > KEPT:
            self._books, self._read_at = {}, now
        with Canvas(self.where, self.reach, self.name) as canvas:
            for course, _ in self.courses:
                try:
                    self._book(canvas, course).find()
                except DestinationRefused as err:
                    if err.status not in REFUSALS:
                        raise
                    # What is wrong with this course is told when it is written to.
            yield canvas

    def _book(self, canvas: Canvas, course: str) -> Gradebook:
        book = self._books.setdefault(course, Gradebook(canvas, course, self.name, self.recreate, self._marks))
        book.canvas = canvas
        return book

    def _marks(self, number: str) -> frozenset[str] | None:
        """Give the marks of all that a course shows, by whatever names the document calls it."""
        found = set()
        for course, slots in self.courses:
            book = self._books.get(course)
            if book is None or book.number is None:
                return None
            if book.number == number:
                found |= {slot.mark for slot in slots}
        return frozenset(found)


def load(document: Document, *, base: Path) -> GradebookColumns:  # noqa: ARG001 - it has no paths, others do
    """Give the destination that a document declares. Raises ConfigError."""
    data = check(CanvasSchema(), document)
    url = data["url"].rstrip("/")
    return GradebookColumns(
        name=data["name"],
        title=data["title"],
        site=(data["site"] or url).rstrip("/"),
        where=Site(url, data["auth"], frozenset(data["allow_private"])),
        courses=tuple(data["courses"]),
        recreate=data["recreate"],
        reach=Reach(Secrets({})),
    )


def _answer(row: Row, told: Sequence[tuple[Outcome, str | None]]) -> Answer:
    """Give one answer for all courses that show a row."""
    if not told:
        return Answer(row.key, Outcome.LEFT_OUT, "No column shows it.")
    outcome = min((one for one, _ in told), key=_RANK.index)
    words = [words for one, words in told if words and one is outcome]
    return Answer(row.key, outcome, " ".join(dict.fromkeys(words)) or None)


@contextmanager
def _about(course: str) -> Iterator[None]:
    try:
        yield
    except DestinationRefused as err:
        raise DestinationRefused(f"Course {course}: {err}", status=err.status) from err
