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

from connectors import http
from connectors.canvas import WAYS, Canvas, JobFailed, Site
from connectors.destinations import cells
from connectors.destinations.cells import FIELDS, MOST, Column
from connectors.destinations.gradebook import MOST_COLUMNS, Entry, Gradebook, Made, Slot
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
from connectors.errors import DestinationError, DestinationRefused, DestinationUnavailable
from connectors.reach import Reach
from connectors.secrets import Secrets
from connectors.sources.choices import Block, Choice

BATCH = 500
"""Rows of one call; with their cells they go into Canvas's jobs by CELLS_A_JOB."""
CELLS_A_JOB = 1_000
KEPT = timedelta(minutes=10)
"""So long it is taken for granted who is in a course."""
MOST_FAILURES = 24
"""Failed jobs of one call: enough to find one row among 500 that Canvas cannot take, twice."""
_DEFAULT = (
    {"title": "On the job: highest level seen", "value": "highest_tier_name"},
    {"title": "On the job: times since", "value": "uses_since"},
    {"title": "On the job: next practice", "value": "next_practice"},
)
"""Columns of a course whose document names none."""
_RANK = (Outcome.REFUSED, Outcome.STORED, Outcome.UNCHANGED, Outcome.DELETED, Outcome.LEFT_OUT)
"""What counts of a row that several courses show."""
_REFUSALS = frozenset({400, 401, 403, 404, 422})


class YesNo(fields.Boolean):
    """True or false, and nothing that only looks like it."""

    def __init__(self, *, default: bool) -> None:
        wrong = say("This is neither true nor false.", "Write one of the two.")
        super().__init__(truthy={True}, falsy={False}, load_default=default, error_messages={"invalid": wrong})


class ColumnSchema(StrictSchema):
    """`{title: ..., feed: records, value: highest_tier_name}`; `metric` with measures, `skill` with readiness."""

    title = Text(required=True, validate=validate.Length(max=MOST, error=say("This is too long.", f"Most is {MOST}.")))
    feed = Text(load_default="records")
    value = Text(required=True)
    metric = Text(load_default=None)
    skill = Text(load_default=None)
    hidden = YesNo(default=False)

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
                        sending = _Sending(canvas, self._book(canvas, course), slot, self.site)
                        for key, answer in sending.send(mine).items():
                            told[key].append(answer)
            if left := [row.key for row in rows if row.deleted and not told[row.key]]:
                for key, answer in self._swept(canvas, left).items():
                    told[key].append(answer)
        return [_answer(row, told[row.key]) for row in rows]

    def _swept(self, canvas: Canvas, keys: Sequence[str]) -> "_Told":
        """Take away columns that no part of the document asks for: rows are gone that no column shows any more."""
        for course in dict.fromkeys(course for course, _ in self.courses):
            try:
                self._book(canvas, course).sweep()
            except DestinationRefused as err:
                if err.status not in _REFUSALS or not canvas.lets_us_in():
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
                    if err.status not in _REFUSALS:
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


_Told = dict[str, tuple[Outcome, str | None]]
"""What became of rows, by key."""


@dataclass(slots=True)
class _Sending:
    """Rows of one kind on their way into one course."""

    canvas: Canvas
    book: Gradebook
    slot: Slot
    site: str
    failures: int = 0

    def send(self, rows: Sequence[Row]) -> _Told:
        """Give what became of each; what is wrong with the course is told of each of its rows."""
        try:
            return self._send(rows)
        except DestinationError as err:
            self.book.forget()  # what we meant to write may not stand there
            status = err.status if isinstance(err, DestinationRefused) else None
            if status not in _REFUSALS or not self.canvas.lets_us_in():
                raise
            return dict.fromkeys((row.key for row in rows), (Outcome.REFUSED, f"Course {self.book.course}: {err}"))

    def _send(self, rows: Sequence[Row], *, again: bool = True) -> _Told:
        self.book.read()
        made = self.book.ready(self.slot)
        plan = _Plan(self.book, self.slot, made, self.site)
        for row in rows:
            plan.add(row)
        if not plan.writing:
            return plan.told
        others: _Told = {}
        for part in _parts(plan.writing):
            others |= self._write(part, plan.writing)
        if again and (not self.book.is_whole(made) or self._somebody_left(others)):
            self.book.forget()
            return self._send(rows, again=False)
        if not self.book.is_whole(made):
            raise DestinationUnavailable(f"Columns of course {self.book.course} go away while they are written to.")
        missed = plan.missed(self.book.ledger(self.slot, made, anew=True))
        what = f"Canvas said that it had written it into course {self.book.course}, and it is not there."
        return plan.told | dict.fromkeys(missed, (Outcome.REFUSED, what)) | others

    def _somebody_left(self, others: _Told) -> bool:
        """Tell whether Canvas would not take a student, who may have left since we read who is there."""
        return any(outcome is Outcome.LEFT_OUT for outcome, _ in others.values())

    def _write(self, keys: Sequence[str], writing: Mapping[str, "_Writing"]) -> _Told:
        """Write the cells of these rows; gives what became of rows that Canvas does not take.

        A job fails as a whole, wherever it broke off, so it is made again, and then in halves. A student whom the token
        may not see, or who has left, is refused at once, and all others with them.
        """
        data = [datum for key in keys for datum in writing[key].data]
        refused = False
        for _ in range(2):
            try:
                self.book.write(data)
            except (JobFailed, DestinationRefused) as err:
                refused = isinstance(err, DestinationRefused)
                if isinstance(err, DestinationRefused) and err.status not in _REFUSALS:
                    raise
                self.failures += 1
                if self.failures > MOST_FAILURES:
                    what = f"What is written into course {self.book.course} fails again and again."
                    raise DestinationUnavailable(f"{what} The last time: {err}") from err
                if refused:
                    break
            else:
                return {}
        if len(keys) > 1:
            half = len(keys) // 2
            return self._write(keys[:half], writing) | self._write(keys[half:], writing)
        if refused:
            return {keys[0]: (Outcome.LEFT_OUT, f"Canvas shows us no such student in course {self.book.course}.")}
        return {keys[0]: (Outcome.REFUSED, f"Canvas's job fails for it in course {self.book.course}.")}


@dataclass(slots=True)
class _Writing:
    """What is written for one row: cells, then what the ledger says of them, lest it say more than there is."""

    learner: str
    data: list[Mapping[str, str]] = field(default_factory=list)
    entries: dict[str, Entry | None] = field(default_factory=dict)
    """By student; None: taken away."""


@dataclass(slots=True)
class _Plan:
    """What is to be written for some rows, by what stands there now."""

    book: Gradebook
    slot: Slot
    made: Made
    site: str
    told: _Told = field(default_factory=dict)
    writing: dict[str, _Writing] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        """Plan one row."""
        learner = self.slot.learner(row.key) or ""
        ledger = self.book.ledger(self.slot, self.made)
        before = {student for student, entry in ledger.items() if entry.learner == learner}
        if any(ledger[student].version > row.version for student in before):
            self.told[row.key] = (Outcome.UNCHANGED, None)
            return
        students = self.book.students
        student = students.find(row.user, self.site, self.book.is_of_here) if students and not row.deleted else None
        writing = _Writing(learner)
        for other in sorted(before - {student}):
            self._put(writing, other, ["" for _ in self.made.shown], None)
        self.told[row.key] = self._placed(writing, row, student)
        if writing.data:
            self.writing[row.key] = writing
        for number, entry in writing.entries.items():
            # At once, so that two rows of one call do not write over each other.
            if entry is None:
                ledger.pop(number, None)
            else:
                ledger[number] = entry

    def missed(self, ledger: Mapping[str, Entry]) -> Iterator[str]:
        """Give the keys of rows that do not stand in the ledger as they were written."""
        for key, writing in self.writing.items():
            for student, entry in writing.entries.items():
                now = ledger.get(student)
                # Where one learner was taken away, another may stand by now.
                if now != entry and (entry is not None or (now is not None and now.learner == writing.learner)):
                    yield key

    def _placed(self, writing: _Writing, row: Row, student: str | None) -> tuple[Outcome, str | None]:
        if row.deleted:
            return Outcome.DELETED, None
        if student is None:
            return Outcome.LEFT_OUT, f"Nobody in course {self.book.course} is this learner."
        other = self.book.ledger(self.slot, self.made).get(student)
        if other is not None and other.learner != writing.learner:
            what = f"Two learners are one student in course {self.book.course}: {writing.learner}, {other.learner}."
            return Outcome.LEFT_OUT, f"{what} Merge them, or correct the roster."
        columns = list(self.made.shown)
        shown = cells.texts(columns, row.body)
        entry = Entry(row.version, row.checksum, cells.digest(columns, shown), writing.learner)
        if len(entry.text()) > MOST:
            return Outcome.REFUSED, "Its key is too long for Canvas."
        self._put(writing, student, shown, entry)
        return Outcome.STORED, self._missing()

    def _missing(self) -> str | None:
        if not self.made.missing:
            return None
        titles = ", ".join(repr(column.title) for column in self.made.missing)
        return f"In course {self.book.course} somebody deleted {titles}; not made again (`recreate: false`)."

    def _put(self, writing: _Writing, student: str, shown: Sequence[str], entry: Entry | None) -> None:
        for number, text in zip(self.made.shown.values(), shown, strict=True):
            writing.data.append({"column_id": number, "user_id": student, "content": text})
        content = entry.text() if entry else ""
        writing.data.append({"column_id": self.made.ledger, "user_id": student, "content": content})
        writing.entries[student] = entry


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


def _parts(writing: Mapping[str, _Writing]) -> Iterator[list[str]]:
    """Part rows into jobs, none of them between its cells."""
    part: list[str] = []
    size = 0
    for key, one in writing.items():
        if part and size + len(one.data) > CELLS_A_JOB:
            yield part
            part, size = [], 0
        part.append(key)
        size += len(one.data)
    if part:
        yield part


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
